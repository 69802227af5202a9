//! Guidance in `isoline generate`: every method on a small model; a sample alone and among others; particles and their
//! records; classes, previews, recipes, bad input; and numbers that stop being finite on the way.

use super::models::{setting, taught, train};
use crate::cli::{Finished, Isoline};
use isoline::render::png::read_picture;
use isoline::steer::GUIDES;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn call(dir: &Path, out: &str, more: &[&str]) -> Isoline {
    Isoline::new(&["generate", "-q", "--device", "cpu", "--json", "-m", "mini", "--set", "tile=4", "-o", out])
        .args(more)
        .cwd(dir)
}

/// The samples of a run.
fn rows(text: &str) -> Vec<Value> {
    let rows: Value = serde_json::from_str(text).unwrap();
    rows.as_array().unwrap().iter().map(|r| r["sample"].clone()).collect()
}

/// The flags for each method, with a set-point if it has one.
fn asked(name: &str, has_set_point: bool) -> Vec<&str> {
    match has_set_point {
        true => vec!["--method", name, "--novelty", "80", "--corrections", "1", "--interval", "0.05,5"],
        false => vec!["--method", name, "--guidance", "0.2"],
    }
}

#[test]
fn a_guided_sample_is_the_same_alone_among_others_and_again() {
    let dir = taught();
    let mut cases: Vec<(String, Vec<&str>)> =
        GUIDES.iter().map(|g| (g.name.to_owned(), asked(g.name, g.has_set_point))).collect();
    for potential in ["diff", "max", "add", "tempered"] {
        let mut more = asked("particles", true);
        more.extend(["--particles", "5", "--potential", potential]);
        cases.push((format!("particles-{potential}"), more));
    }
    cases.push(("push".into(), vec!["--method", "forward", "--form", "push", "--guidance", "-0.2"]));
    cases.push(("recurrence".into(), [asked("forward", true), vec!["--recurrence", "3"]].concat()));
    cases.push(("class".into(), vec!["--method", "none", "--mode", "balanced", "--class", "2", "--cfg-scale", "1.5"]));
    cases.push(("class-forward".into(), [asked("forward", true), vec!["--class", "1"]].concat()));
    for (name, more) in &cases {
        let (alone, among) = (format!("{name}-alone"), format!("{name}-among"));
        let one = rows(&call(dir, &alone, &[&["--seeds", "6"], more.as_slice()].concat()).succeeds());
        let again = || call(dir, &among, &[&["--seeds", "5-7,10"], more.as_slice()].concat());
        let all = rows(&again().succeeds());
        let six = all.iter().find(|r| r["seed"] == 6).unwrap();
        assert_eq!(&one[0], six, "{name}: a sample depends on its neighbours");
        // ψ_k of the sampler is a number of the noise, and only optimised noise is known.
        assert_eq!(six["psi_k"].is_number(), name == "noise", "{name}: {six}");
        // A lost picture is made again with the same bytes; so is one made from a picture's own recipe.
        let picture = dir.join(&among).join(six["file"].as_str().unwrap());
        let bytes = fs::read(&picture).unwrap();
        fs::remove_file(&picture).unwrap();
        assert_eq!(rows(&again().succeeds()), all, "{name}: resumed");
        assert!(fs::read(&picture).unwrap() == bytes, "{name}: another picture after a resume");
        let copy = format!("{name}-copy");
        let printed = Isoline::new(&["generate", "-q", "--device", "cpu", "-m", "mini", "-o", &copy, "--from"])
            .arg(&picture)
            .cwd(dir)
            .succeeds();
        assert!(fs::read(dir.join(printed.trim())).unwrap() == bytes, "{name}: another picture from its recipe");
        Isoline::new(&["verify", "-q", &among]).cwd(dir).succeeds();
        let sizes: Vec<f64> =
            six["effective_sizes"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        if name.starts_with("particles") {
            // At least two levels of the nine steps lie inside the reward's interval, and then there is the end.
            let most = if name == "particles" { 8.0 } else { 5.0 };
            assert!(sizes.len() >= 3 && sizes.iter().all(|s| (1.0..=most + 1e-9).contains(s)), "{name}: {sizes:?}");
        } else {
            assert!(sizes.is_empty(), "{name}: {sizes:?}");
        }
    }
    // Every method changes the picture.
    call(dir, "plain", &["--seeds", "6", "--mode", "balanced"]).succeeds();
    let picture = |name: &str| read_picture(&dir.join(name).join("images/000006.png")).unwrap();
    let plain = picture("plain");
    for (name, _) in &cases {
        assert!(picture(&format!("{name}-alone")) != plain, "{name} did nothing");
    }
}

/// By a reward of the noise nothing is said of a guided picture: no number, no verdict, and the reason wherever a number
/// would stand.
#[test]
fn a_guided_picture_is_unmeasured_by_a_reward_of_the_noise() {
    let dir = taught();
    let class = vec!["--method", "none", "--mode", "balanced", "--class", "2", "--cfg-scale", "1.5"];
    for (name, more) in [("forward", asked("forward", true)), ("density", asked("density", false)), ("class", class)] {
        let out = format!("unmeasured-{name}");
        let more = [&["--seeds", "4-6", "--csv"], more.as_slice()].concat();
        for row in rows(&call(dir, &out, &more).succeeds()) {
            for key in ["novelty_reached", "beyond", "psi_k", "psi", "nu"] {
                assert!(row[key].is_null(), "{name}: {key} in {row}");
            }
            assert_eq!([&row["status"], &row["missed"]], ["unmeasured", "no_noise"], "{name}");
            // Its noise has not moved, and what the reward says of the picture is no measurement.
            assert!(row["angle"] == 0.0 && row["novelty_predicted"].is_number() && row["file"].is_string(), "{name}");
        }
        let table = fs::read_to_string(dir.join(&out).join("samples.csv")).unwrap();
        assert_eq!(table.matches(",unmeasured,no_noise,").count(), 3, "{table}");
        let said = Isoline::new(&["generate", "--device", "cpu", "-m", "mini", "--set", "tile=4", "-o", &out])
            .args(&more)
            .cwd(dir)
            .run();
        assert!(said.code == 0 && said.stdout.matches("unmeasured (no_noise)").count() == 3, "{}", said.stdout);
        assert!(said.stderr.contains("3 of 3 samples are unmeasured: the reward's quantity is a number of the noise"));
        assert!(!said.stderr.contains("did not reach"), "{}", said.stderr);
        Isoline::new(&["verify", "-q", &out]).cwd(dir).succeeds();
    }
}

#[test]
fn previews_show_the_estimates_on_the_way() {
    let dir = taught();
    for more in [vec!["--novelty", "80"], vec!["--method", "forward", "--novelty", "80"]] {
        let out = format!("previews-{}", more.len());
        let plain = rows(&call(dir, &format!("{out}-none"), &[&["--seeds", "6"], more.as_slice()].concat()).succeeds());
        let more = [&["--seeds", "6", "--preview-every", "2"], more.as_slice()].concat();
        let shown = rows(&call(dir, &out, &more).succeeds());
        assert_eq!(shown[0]["psi_k"], plain[0]["psi_k"]);
        // Steps 0 and 2 out of three.
        let mut names: Vec<String> = fs::read_dir(dir.join(&out).join("previews"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["000006-000.png", "000006-002.png"]);
        Isoline::new(&["verify", "-q", &out]).cwd(dir).succeeds();
    }
}

#[test]
fn bad_keys_of_guidance_are_refused() {
    let dir = taught();
    let cases: &[(&[&str], &[&str])] = &[
        (&["--method", "forwart", "--novelty", "80"], &["--method forwart", "did you mean \"forward\""]),
        (&["--method", "forward", "--novelty", "80", "--class", "3"], &["--class", "0 to 2", "found 3"]),
        (&["--class", "1", "--novelty", "80"], &["class", "gradient"]),
        (&["--method", "none", "--mode", "balanced", "--cfg-scale", "2"], &["cfg_scale", "needs a class"]),
        (&["--method", "density", "--novelty", "80"], &["novelty", "no set-point"]),
        (&["--method", "forward", "--form", "pull", "--novelty", "80"], &["form", "set-point or push"]),
        (&["--method", "forward", "--form", "push", "--novelty", "80"], &["form", "no end"]),
        (&["--method", "forward", "--novelty", "80", "--interval", "3,1"], &["interval", "least < greatest"]),
        (&["--method", "forward", "--novelty", "80", "--recurrence", "9"], &["recurrence", "1 to 4"]),
        (&["--method", "particles", "--novelty", "80", "--particles", "0"], &["particles", "1 to 256"]),
        (&["--method", "particles", "--novelty", "80", "--potential", "mox"], &["potential", "did you mean \"max\""]),
        (&["--method", "forward", "--novelty", "80", "--particles", "4"], &["particles", "needs the method"]),
        (&["--method", "gradient", "--novelty", "80", "--guidance", "1"], &["guidance", "a method that guides"]),
        (&["--method", "forward", "--novelty", "80", "--guidance", "1000"], &["guidance", "found 1000"]),
    ];
    for (more, words) in cases {
        call(dir, "bad", &[&["--seeds", "1"], *more].concat()).fails(2, words);
        assert!(!dir.join("bad").exists() || !dir.join("bad/recipe.toml").exists(), "{more:?} left a recipe");
    }
    // A one-pass generator has no denoiser.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan");
    let more = ["--method", "forward", "--novelty", "80", "--seeds", "1"];
    Isoline::new(&["generate", "-q", "--device", "cpu", "-o", "bad", "-m"])
        .arg(folder)
        .args(&more)
        .cwd(dir)
        .fails(2, &["--method", "no diffusion model"]);
    // A reward of another model.
    fs::create_dir(dir.join("other")).unwrap();
    for file in ["card.toml", "weights.safetensors"] {
        fs::copy(dir.join("mini").join(file), dir.join("other").join(file)).unwrap();
    }
    let card = fs::read_to_string(dir.join("other/card.toml")).unwrap();
    fs::write(dir.join("other/card.toml"), card.replace("steps = 3", "steps = 5")).unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(dir.join("mini/reward")).arg(dir.join("other")).status();
    assert!(copied.unwrap().success());
    Isoline::new(&["generate", "-q", "--device", "cpu", "-m", "other", "--method", "forward", "--novelty", "80"])
        .cwd(dir)
        .fails(3, &["reward", "another card"]);
}

/// NaN from the network in one sample, on every way to a picture: the sample's status says so, and its neighbours keep
/// their bits.
#[test]
fn a_denoiser_that_is_not_finite_costs_one_sample() {
    let dir = taught();
    let ways: [(&str, Vec<&str>); 6] = [
        ("plain", vec!["--mode", "balanced"]),
        ("latent", vec!["--novelty", "80"]),
        ("forward", asked("forward", true)),
        ("particles", asked("particles", true)),
        ("noise", asked("noise", true)),
        ("class", vec!["--method", "none", "--mode", "balanced", "--class", "2"]),
    ];
    for (name, more) in &ways {
        let more = [&["--seeds", "4-7"], more.as_slice()].concat();
        let clean = rows(&call(dir, &format!("{name}-clean"), &more).succeeds());
        let ended: Finished = call(dir, &format!("{name}-spoilt"), &more).failing_at("denoiser#5=nan").run();
        assert_eq!(ended.code, 6, "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains("1 of 4 samples were not finite") && ended.stderr.lines().count() == 1);
        let spoilt = rows(&ended.stdout);
        for (a, b) in clean.iter().zip(&spoilt) {
            match a["seed"].as_u64() {
                Some(5) => assert!(b["status"] == "non_finite" && b["file"].is_null(), "{name}: {b}"),
                _ => assert_eq!(a, b, "{name}: a neighbour moved"),
            }
        }
    }
}

#[test]
fn a_trained_model_needs_no_guidance_keys() {
    let dir = setting();
    train(dir.path(), "mini").succeeds();
    Isoline::new(&["generate", "-q", "--device", "cpu", "-m", "mini", "--mode", "novel", "--seeds", "1"])
        .cwd(dir.path())
        .fails(3, &["no reward here", "isoline train-reward"]);
}
