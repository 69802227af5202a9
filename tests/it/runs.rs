//! Run directories, through the program: status, verify, resume, shards, merge.

use crate::cli::Isoline;
use isoline::store::sha256_hex;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The program with the shipped models, on the processor.
pub fn isoline(args: &[&str]) -> Isoline {
    Isoline::new(args)
        .env("ISOLINE_MODELS", Path::new(env!("CARGO_MANIFEST_DIR")).join("models"))
        .env("ISOLINE_DEVICE", "cpu")
}

/// A run steered with two steps and without corrections: quick, but it goes through every part.
pub const QUICK: &str = "model = \"digits-gan\"\nseeds = \"0-36\"\noutdir = \"unused\"\ntile = 4\nsteps = 2\ncorrections = 0\n\
[[jobs]]\nname = \"novel\"\nmode = \"novel\"\n[[jobs]]\nname = \"plain\"\nmode = \"balanced\"\nseeds = \"2,40-44\"\n";

/// SHA-256 of every file of a run, except those that tell how it was made. What is left: pictures, records, recipes,
/// sheet and tables.
pub fn hashes(run: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                walk(&entry, root, found);
            } else {
                found.insert(entry.strip_prefix(root).unwrap().to_owned(), sha256_hex(&fs::read(&entry).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(run, run, &mut found);
    let own = ["events.jsonl", "run.lock", "provenance.json", "plan.toml", "shards"];
    found.retain(|path, _| !own.iter().any(|o| path.starts_with(o)));
    found
}

fn setting() -> (tempfile::TempDir, BTreeMap<PathBuf, String>) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("job.toml"), QUICK).unwrap();
    isoline(&["generate", "-q", "-c", "job.toml", "-o", "whole", "--csv"]).cwd(dir.path()).succeeds();
    let whole = hashes(&dir.path().join("whole"));
    (dir, whole)
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn shards_merge_to_the_bytes_of_a_single_run() {
    let (dir, whole) = setting();
    assert_eq!(whole.keys().filter(|p| p.extension().is_some_and(|e| e == "png")).count(), 37 + 6 + 1);
    for shards in [1u64, 2, 7] {
        let run = format!("run-{shards}");
        let count = shards.to_string();
        let plan = isoline(&["plan", "job.toml", "-q", "--csv", "-o", &run, "--shards", &count]);
        assert!(plan.cwd(dir.path()).succeeds().starts_with("43 samples in 13 tiles"));
        let status = |args: &[&str]| isoline(&["status", &run]).args(args).cwd(dir.path()).succeeds();
        let all = if shards == 1 { "0\n".to_owned() } else { format!("0-{}\n", shards - 1) };
        assert_eq!(status(&["--missing"]), all);
        isoline(&["merge", &run]).cwd(dir.path()).fails(3, &["shards are not finished", all.trim()]);
        for index in (0..shards).rev() {
            let work = || isoline(&["work", "-q", &run, "--shard"]).arg(format!("{index}/{shards}")).cwd(dir.path());
            assert!(work().succeeds().contains("is finished"));
            assert!(work().succeeds().contains("was finished before"));
        }
        assert_eq!(status(&["--missing"]), "\n");
        let merged = isoline(&["merge", &run]).cwd(dir.path()).succeeds();
        assert!(merged.starts_with("43 samples merged"), "{merged}");
        assert!(hashes(&dir.path().join(&run)) == whole, "{shards} shards differ from one run");
        let provenance = json(&fs::read_to_string(dir.path().join(&run).join("provenance.json")).unwrap());
        assert_eq!(provenance["shards"].as_array().unwrap().len() as u64, shards);
        let manifest = provenance["shards"][0].as_object().unwrap();
        let mut keys: Vec<&str> = manifest.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let wanted = [
            "attempt", "count", "first", "format", "hash", "host", "index", "last", "plan", "rows", "seconds",
            "version",
        ];
        assert_eq!(keys, wanted);
        assert_eq!((&manifest["attempt"], &manifest["first"]), (&1.into(), &0.into()));
        let rows: u64 = provenance["shards"].as_array().unwrap().iter().map(|m| m["rows"].as_u64().unwrap()).sum();
        assert_eq!(rows, 43);
    }
    // A finished shard says so even if its device is missing.
    let elsewhere = isoline(&["work", "-q", "run-7", "--shard", "2/7", "--device", "cuda"]).cwd(dir.path());
    assert_eq!(elsewhere.succeeds(), "shard 2/7 was finished before\n");
    isoline(&["status", "whole", "--missing"]).cwd(dir.path()).fails(2, &["--missing", "fixes no number of shards"]);
    isoline(&["work", "run-7", "--shard", "0/6"]).cwd(dir.path()).fails(2, &["the plan has 7 shards"]);
    let environment = isoline(&["work", "-q", "run-7"]).env("SHARD_INDEX", "3").env("SHARD_COUNT", "7");
    assert!(environment.cwd(dir.path()).succeeds().contains("shard 3/7 was finished before"));
}

#[test]
fn damage_is_named_by_verify_and_mended_by_resume() {
    let (dir, whole) = setting();
    let run = dir.path().join("whole");
    let call = |command: &str| isoline(&[command, "-q", "whole"]).cwd(dir.path());
    assert!(call("verify").succeeds().starts_with("43 of 43 samples are whole"));
    fs::write(run.join("novel/images/000003.png"), b"damaged").unwrap();
    fs::remove_file(run.join("novel/images/000009.png")).unwrap();
    fs::write(run.join("plain/records/tile-0000010.json"), b"{").unwrap();
    fs::write(run.join("novel/images/.isoline-x.tmp"), b"left").unwrap();
    let found = json(&call("verify").arg("--json").run().stdout);
    let problems: Vec<&str> = found["problems"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    assert_eq!(problems.len(), 4, "{problems:?}");
    for words in
        ["000003.png has another hash", "000009.png is missing", "tile-0000010.json is not a whole", ".isoline-x.tmp"]
    {
        assert!(problems.iter().any(|p| p.contains(words)), "{words} not in {problems:?}");
    }
    call("verify").fails(3, &["tiles 0,2,11 are not whole", "isoline resume"]);
    let status = json(&call("status").arg("--json").succeeds());
    // Records are read; for pictures, only their presence is checked.
    assert_eq!((&status["missing_tiles"], &status["done"]), (&"2,11".into(), &38.into()), "{status}");
    call("resume").succeeds();
    call("verify").succeeds();
    assert!(hashes(&run) == whole);
}

#[test]
fn a_record_of_another_run_is_left_alone() {
    let (dir, _) = setting();
    let record = dir.path().join("whole/novel/records/tile-0000001.json");
    let text = fs::read_to_string(&record).unwrap();
    for (from, to, words) in [
        ("\"run_id\": \"", "\"run_id\": \"0", "belongs to run 0"),
        ("\"format\": 1", "\"format\": 2", "a newer isoline wrote it"),
    ] {
        let foreign = text.replacen(from, to, 1);
        fs::write(&record, &foreign).unwrap();
        isoline(&["resume", "-q", "whole"]).cwd(dir.path()).fails(2, &["tile-0000001.json", words, "move it away"]);
        assert_eq!(fs::read_to_string(&record).unwrap(), foreign);
    }
}

#[test]
fn another_recipe_is_refused_with_the_keys_that_differ() {
    let (dir, _) = setting();
    let other = isoline(&["generate", "-q", "-c", "job.toml", "-o", "whole", "--set", "tile=8", "--set", "drift=0.5"]);
    other
        .cwd(dir.path())
        .fails(2, &["whole: this folder has a job \"novel\"", "settings.drift was absent, is 0.5, tile was 4, is 8"]);
    isoline(&["resume", "whole/novel"]).cwd(dir.path()).fails(3, &["no plan.toml", "the run's folder is whole"]);
    isoline(&["status", "absent"]).cwd(dir.path()).fails(3, &["no run folder"]);
}

#[test]
fn labels_are_planned_sharded_and_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = "model = \"digits-vae\"\n[labels]\ncount = 2600\nestimator = \"exact\"\n[fit]\nwidth = 8\nblocks = 0\n\
                  epochs = 1\nbatch = 64\nlearning_rate = 1e-3\n";
    fs::write(dir.path().join("reward.toml"), config).unwrap();
    let run = |args: &[&str]| isoline(args).cwd(dir.path());
    for (name, shards) in [("one", 1u64), ("two", 2)] {
        run(&["plan", "-q", "reward.toml", "-o", name, "--shards", &shards.to_string()]).succeeds();
        for index in 0..shards {
            run(&["work", "-q", name, "--shard", &format!("{index}/{shards}")]).succeeds();
        }
        assert!(run(&["merge", "-q", name]).succeeds().starts_with("2600 samples merged"));
    }
    let (one, two) = (hashes(&dir.path().join("one")), hashes(&dir.path().join("two")));
    assert!(one == two && one.len() == 14, "{:?}", one.keys());
    // The training finds every label and makes none.
    let model = dir.path().join("model");
    fs::create_dir(&model).unwrap();
    for file in ["card.toml", "weights.safetensors"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-vae").join(file);
        fs::copy(from, model.join(file)).unwrap();
    }
    let text = run(&["train-reward", "--progress", "json", "-c", "reward.toml", "-m", "model", "-o", "two"]).run();
    assert_eq!(text.code, 0, "{}", text.stderr);
    let events = fs::read_to_string(dir.path().join("two/events.jsonl")).unwrap();
    assert!(events.contains("\"skipped\":2600") && !events.contains("\"event\":\"tile\""), "{events}");
    let status = json(&run(&["status", "two", "--json"]).succeeds());
    assert_eq!((&status["done"], &status["kind"]), (&2600.into(), &"labels".into()));
}

/// `isoline describe -o` and plan, work, merge give the same table, spectra, page and tiles, from every source of
/// latents.
#[test]
fn descriptors_are_planned_sharded_and_merged() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| isoline(args).cwd(dir.path());
    run(&["describe", "-q", "digits-vae", "--seeds", "0-24", "--npz", "-o", "made"]).succeeds();
    run(&["generate", "-q", "-m", "digits-vae", "--mode", "balanced", "--seeds", "0-18", "-o", "pictures"]).succeeds();
    let seeds = ["--seeds", "0-90,200", "--estimator", "input-subspace", "--directions", "6", "--calibrate-on", "40"];
    let latents =
        ["--latents", "made/spectra.npz", "--key", "latents", "--complexity-radius", "0.1", "--model-rank", "5"];
    let images = ["--images", "pictures/images", "--no-complexity", "--scales", "0.1,1"];
    for (flags, keys, samples, tiles) in [
        (
            &seeds[..],
            "seeds = \"0-90,200\"\nestimator = \"input-subspace\"\ndirections = 6\ncalibrate_on = 40",
            92,
            7 + 3,
        ),
        (&latents, "latents = \"made/spectra.npz\"\nkey = \"latents\"\ncomplexity_radius = 0.1\nmodel_rank = 5", 25, 2),
        (&images, "images = \"pictures/images\"\ncomplexity = false\nscales = [0.1, 1.0]", 19, 2),
    ] {
        let config = format!("[describe]\nmodel = \"digits-vae\"\ncsv = true\nnpz = true\n{keys}\n");
        fs::write(dir.path().join("describe.toml"), config).unwrap();
        run(&["describe", "-q", "digits-vae", "--csv", "--npz", "-o", "whole"]).args(flags).succeeds();
        let whole = hashes(&dir.path().join("whole"));
        let files =
            ["descriptors.parquet", "descriptors.csv", "spectra.npz", "report.html", "settings.toml", "recipe.toml"];
        assert!(files.iter().all(|f| whole.contains_key(Path::new(f))), "{:?}", whole.keys());
        assert_eq!(whole.len(), files.len() + tiles, "{:?}", whole.keys());
        for shards in [1u64, 2, 7] {
            let name = format!("run-{shards}");
            run(&["plan", "-q", "describe.toml", "-o", &name, "--shards", &shards.to_string()]).succeeds();
            for index in 0..shards {
                run(&["work", "-q", &name, "--shard", &format!("{index}/{shards}")]).succeeds();
            }
            let merged = run(&["merge", "-q", &name]).succeeds();
            assert!(merged.starts_with(&format!("{samples} samples merged")), "{merged}");
            run(&["verify", &name]).succeeds();
            assert!(hashes(&dir.path().join(&name)) == whole, "{keys}: {shards} shards differ from one run");
            fs::remove_dir_all(dir.path().join(&name)).unwrap();
        }
        run(&["verify", "whole"]).succeeds();
        fs::remove_dir_all(dir.path().join("whole")).unwrap();
    }
}

#[test]
fn a_description_that_cannot_be_planned_is_refused_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let plan = |keys: &str| {
        fs::write(dir.path().join("describe.toml"), format!("[describe]\n{keys}\n")).unwrap();
        isoline(&["plan", "describe.toml", "-o", "x"]).cwd(dir.path())
    };
    let model = |keys: &str| plan(&format!("model = \"digits-vae\"\n{keys}"));
    plan("seeds = \"0\"").fails(2, &["describe.toml: describe.model", "missing"]);
    model("tiel = 4").fails(2, &["describe.toml", "tiel", "did you mean \"tile\""]);
    model("tile = 257").fails(2, &["describe.toml: describe.tile", "1 to 256", "257"]);
    model("seeds = \"5-3\"").fails(2, &["describe.toml: describe.seeds", "5-3"]);
    model("seeds = \"0\"\nimages = \"x\"").fails(2, &["describe.seeds", "exclude each other"]);
    model("spectra = \"x.npz\"").fails(2, &["describe.spectra", "isoline describe MODEL --spectra"]);
    model("complexity_radius = nan").fails(2, &["describe.complexity_radius", "NaN"]);
    model("estimator = \"exct\"").fails(2, &["describe.estimator = \"exct\"", "did you mean \"exact\""]);
    model("model_rank = 13").fails(2, &["describe.model_rank", "12", "13"]);
    model("key = \"z\"").fails(2, &["describe.key", "only latents"]);
    model("latents = \"absent.npz\"").fails(4, &["absent.npz", "check the path"]);
    assert!(!dir.path().join("x").exists());
}

#[test]
fn a_description_is_not_gone_on_with_from_other_latents() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| isoline(args).cwd(dir.path());
    run(&["describe", "-q", "digits-vae", "--seeds", "0-20", "--npz", "-o", "made"]).succeeds();
    fs::copy(dir.path().join("made/spectra.npz"), dir.path().join("z.npz")).unwrap();
    let keys = "[describe]\nmodel = \"digits-vae\"\nlatents = \"z.npz\"\nkey = \"latents\"\n";
    fs::write(dir.path().join("describe.toml"), keys).unwrap();
    run(&["plan", "-q", "describe.toml", "-o", "run", "--shards", "2"]).succeeds();
    // Jobs may have been submitted for two shards, so a plan that is made again keeps them.
    let again = run(&["plan", "describe.toml", "-o", "run"]).succeeds();
    assert!(again.contains("shards 0-1"), "{again}");
    run(&["work", "-q", "run", "--shard", "0/2"]).succeeds();
    run(&["describe", "-q", "digits-vae", "--seeds", "7-27", "--npz", "-o", "other"]).succeeds();
    fs::copy(dir.path().join("other/spectra.npz"), dir.path().join("z.npz")).unwrap();
    run(&["work", "-q", "run", "--shard", "1/2"]).fails(3, &["is another now", "source was \"latents"]);
    // Damaged tiles are made again; those of other runs or later versions are refused and left.
    let tile = dir.path().join("made/tiles/exact/tile-0000001.npz");
    let whole = fs::read(&tile).unwrap();
    let before = hashes(&dir.path().join("made"));
    let at = whole.windows(8).rposition(|w| w == b"\"format\"").unwrap();
    for (damage, words) in [(&b"half"[..], "not whole"), (&whole[..whole.len() / 2], "not whole")] {
        fs::write(&tile, damage).unwrap();
        run(&["verify", "made"]).fails(3, &["tiles 1 are not whole"]);
        let found = run(&["verify", "made"]).run().stdout;
        assert!(found.contains("tile-0000001.npz") && found.contains(words), "{found}");
        run(&["resume", "-q", "made"]).succeeds();
        assert!(hashes(&dir.path().join("made")) == before);
    }
    assert!(whole[at..].starts_with(b"\"format\":2,"), "{}", String::from_utf8_lossy(&whole[at..at + 40]));
    let other = fs::read(dir.path().join("other/tiles/exact/tile-0000001.npz")).unwrap();
    // It has the same recipe, so it is the same tile.
    assert!(other == whole, "a tile holds all its samples, whatever was asked of it");
    run(&["describe", "-q", "digits-vae", "--seeds", "0-20", "--frame-seed", "1", "-o", "third"]).succeeds();
    fs::copy(dir.path().join("third/tiles/exact/tile-0000001.npz"), &tile).unwrap();
    run(&["resume", "-q", "made"]).fails(2, &["tile-0000001.npz belongs to run", "move it away"]);
    assert!(fs::read(&tile).unwrap() != whole);
}

#[test]
fn metrics_and_events_tell_what_was_made() {
    let (dir, _) = setting();
    fs::remove_file(dir.path().join("whole/novel/records/tile-0000002.json")).unwrap();
    isoline(&["resume", "-q", "whole", "--metrics-file", "isoline.prom"]).cwd(dir.path()).succeeds();
    let text = fs::read_to_string(dir.path().join("isoline.prom")).unwrap();
    let value = |name: &str| {
        let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name} not in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(
        (value("isoline_samples{"), value("isoline_samples_done{"), value("isoline_tiles_made_total{")),
        (43.0, 43.0, 1.0)
    );
    let made: f64 = ["ok", "unreached", "off_manifold", "non_finite"]
        .iter()
        .map(|s| text.lines().find(|l| l.contains(&format!("status=\"{s}\""))).unwrap())
        .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!((made, value("isoline_exit_code{")), (4.0, 0.0));
    let lines: Vec<serde_json::Value> = fs::read_to_string(dir.path().join("whole/events.jsonl"))
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let count = |event: &str| lines.iter().filter(|l| l["event"] == event).count();
    assert_eq!((count("start"), count("sample"), count("tile"), count("end")), (2, 47, 14, 2));
    assert!(lines.iter().all(|l| l["t"].as_f64().unwrap() > 1.7e9));
}
