//! A model without a reward: it can be sampled, described and put on a sheet; what needs a reward says how to make one and
//! what that takes. And the labels for one: a labelling that is stopped goes on where it was.

use crate::cli::Isoline;
use crate::runs::isoline;
use ::isoline::render::png::read_picture;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A copy of a shipped model without its rewards, called `bare`.
fn bare(dir: &Path, model: &str) {
    fs::create_dir(dir.join("bare")).unwrap();
    for file in ["card.toml", "weights.safetensors"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model).join(file);
        fs::copy(from, dir.join("bare").join(file)).unwrap();
    }
}

fn call(dir: &Path, args: &[&str]) -> Isoline {
    isoline(args).cwd(dir)
}

#[test]
fn a_model_without_a_reward_has_pictures_a_sheet_and_a_description() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    bare(root, "digits-vae");
    let made =
        call(root, &["generate", "-m", "bare", "--mode", "balanced", "--seeds", "0-3", "-o", "a", "--csv"]).run();
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stderr.contains("4 of 4 samples are unmeasured: the model has no reward"), "{}", made.stderr);
    assert_eq!(made.stdout.matches("unmeasured (no_reward)").count(), 4, "{}", made.stdout);
    let table = fs::read_to_string(root.join("a/samples.csv")).unwrap();
    let head: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    for line in table.lines().skip(1) {
        let cell = |name: &str| line.split(',').nth(head.iter().position(|h| *h == name).unwrap()).unwrap();
        for empty in ["novelty_asked", "novelty_predicted", "novelty_reached", "beyond", "psi_k", "measured"] {
            assert_eq!(cell(empty), "", "{empty}: {line}");
        }
        assert_eq!((cell("status"), cell("missed")), ("unmeasured", "no_reward"));
    }
    assert!(root.join("a/grid.png").is_file());
    call(root, &["verify", "-q", "a"]).succeeds();
    // The same pictures as with a reward, and again from the recipe inside one.
    let with = ["generate", "-q", "-m", "digits-vae", "--mode", "balanced", "--seeds", "0-3", "-o", "b"];
    call(root, &with).succeeds();
    for seed in 0..4 {
        let picture = |run: &str| read_picture(&root.join(format!("{run}/images/{seed:06}.png"))).unwrap();
        assert!(picture("a") == picture("b"), "seed {seed}");
    }
    let again = call(root, &["generate", "-q", "-m", "bare", "-o", "c", "--from", "a/images/000002.png"]).succeeds();
    assert!(fs::read(root.join(again.trim())).unwrap() == fs::read(root.join("a/images/000002.png")).unwrap());
    // What was planned without a reward is made without one, even where there is one by now.
    fs::remove_file(root.join("a/images/000001.png")).unwrap();
    let reward = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-vae/reward");
    fs::create_dir(root.join("bare/reward")).unwrap();
    for file in ["card.toml", "reward.safetensors", "calibration.safetensors"] {
        fs::copy(reward.join(file), root.join("bare/reward").join(file)).unwrap();
    }
    call(root, &["resume", "-q", "a"]).succeeds();
    call(root, &["verify", "-q", "a"]).succeeds();
    assert_eq!(fs::read_to_string(root.join("a/samples.csv")).unwrap(), table);
    fs::remove_dir_all(root.join("bare/reward")).unwrap();

    let described = call(root, &["describe", "bare", "--seeds", "0-3", "-o", "d", "--csv"]).run();
    assert_eq!(described.code, 0, "{}", described.stderr);
    assert!(described.stderr.contains("novelty is empty: the model has no reward"), "{}", described.stderr);
    let table = fs::read_to_string(root.join("d/descriptors.csv")).unwrap();
    assert_eq!(table.matches("novelty: the model has no reward").count(), 4, "{table}");
    assert!(fs::read_to_string(root.join("d/report.html")).unwrap().contains("the model has no reward"));
}

#[test]
fn a_class_needs_no_reward() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    bare(root, "digits-diffusion");
    let run = |model: &str, out: &str, more: &[&str]| {
        let args = ["generate", "-q", "--json", "-m", model, "-o", out, "--seeds", "0-1", "--set", "tile=2"];
        let asked = ["--mode", "balanced", "--method", "none", "--class", "3", "--cfg-scale", "1.5"];
        let text = call(root, &[args.as_slice(), &asked, more].concat()).succeeds();
        let rows: Value = serde_json::from_str(&text).unwrap();
        let first = rows[0]["sample"].clone();
        (first, read_picture(&root.join(out).join("images/000001.png")).unwrap())
    };
    let (without, picture) = run("bare", "a", &["--recurrence", "2"]);
    let (with, same) = run("digits-diffusion", "b", &["--recurrence", "2", "--reward", "denoiser"]);
    assert!(picture == same && without["steps"] == with["steps"], "{without} {with}");
    assert_eq!([&without["status"], &without["missed"]], ["unmeasured", "no_reward"]);
    let twelve = ["generate", "-m", "bare", "--mode", "balanced", "--method", "none", "--class", "12", "--seeds", "0"];
    call(root, &twelve).fails(2, &["--class", "found 12"]);
}

#[test]
fn what_needs_a_reward_names_the_command_its_labels_and_their_time() {
    let dir = tempfile::tempdir().unwrap();
    bare(dir.path(), "digits-vae");
    for args in [
        ["generate", "-m", "bare", "--novelty", "90"].as_slice(),
        &["generate", "-m", "bare", "--seeds", "0"],
        &["generate", "-m", "bare", "--method", "truncation", "--trunc", "0.5", "--mode", "balanced"],
        &["steer-report", "bare"],
    ] {
        let words = ["bare/reward: no reward here", "isoline train-reward --model", "bare: about "];
        let line = call(dir.path(), args).fails(3, &words);
        // digits-vae has 12 directions: a label takes well under 90 ms, so 40,960 take less than an hour anywhere.
        assert!(line.contains(" for 40,960 labels on this machine, measured on 3"), "{line}");
    }
}

/// The numbers of labels that are kept in a folder, by the index of their first.
fn kept(folder: &Path) -> BTreeSet<(usize, usize)> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let counts = names.filter_map(|n| {
        let parts: Vec<&str> = n.strip_suffix(".json")?.split('-').collect();
        Some((parts.get(2)?.parse().ok()?, parts.get(3)?.parse().ok()?))
    });
    counts.collect()
}

#[test]
fn stopped_labels_go_on_where_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let config = "model = \"digits-vae\"\n[labels]\ncount = 2048\nestimator = \"exact\"\n[fit]\nwidth = 8\nblocks = 0\n\
                  epochs = 1\nbatch = 256\nlearning_rate = 1e-3\n";
    fs::write(root.join("job.toml"), config).unwrap();
    for run in ["whole", "stopped"] {
        call(root, &["plan", "-q", "job.toml", "-o", run, "--shards", "1"]).succeeds();
    }
    call(root, &["resume", "-q", "whole"]).succeeds();
    // 128 calls of 16 latents in four parts. The signal comes before the 36th, so 35 are made: one part and three calls.
    let stopped = call(root, &["resume", "-q", "stopped"]).failing_at("label.call@36=signal:15");
    stopped.fails(75, &["560 of 2048 samples are complete in stopped", "the same command resumes"]);
    assert_eq!(kept(&root.join("stopped")), BTreeSet::from([(0, 512), (512, 48)]));
    let status: Value = serde_json::from_str(&call(root, &["status", "stopped", "--json"]).run().stdout).unwrap();
    assert_eq!(status["done"], 560, "{status}");
    // A failing disk in the midst of a part loses nothing either. Then 91 calls are left, and a 92nd would panic.
    let failed = call(root, &["resume", "-q", "stopped"]).failing_at("label.call@3=eio");
    failed.fails(4, &["label in"]);
    assert_eq!(kept(&root.join("stopped")), BTreeSet::from([(0, 512), (512, 80)]));
    call(root, &["resume", "-q", "stopped"]).failing_at("label.call@92=panic").succeeds();
    let whole: BTreeSet<(usize, usize)> = (0..4).map(|i| (512 * i, 512)).collect();
    assert_eq!(kept(&root.join("stopped")), whole);
    let table = |run: &str| fs::read(root.join(run).join("labels.safetensors")).unwrap();
    assert!(table("whole") == table("stopped"), "other labels after a stop");
    call(root, &["verify", "-q", "stopped"]).succeeds();
    // What is kept of a part and damaged is made again.
    let last = fs::read_dir(root.join("stopped")).unwrap().map(|e| e.unwrap().path());
    let last = last.filter(|p| p.to_string_lossy().contains("-00001536-512")).collect::<Vec<_>>();
    last.iter().for_each(|p| fs::remove_file(p).unwrap());
    let again = call(root, &["resume", "-q", "stopped"]).failing_at("label.call@5=signal:15");
    again.fails(75, &["1600 of 2048"]);
    let part = root.join("stopped").join(last[0].file_name().unwrap().to_str().unwrap().replace("-512.", "-64."));
    fs::write(part.with_extension("safetensors"), b"damaged").unwrap();
    call(root, &["resume", "-q", "stopped"]).succeeds();
    assert!(table("whole") == table("stopped"), "a damaged part was kept");
}
