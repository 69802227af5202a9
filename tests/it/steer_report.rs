//! `steer-report`, through the program: a row per sample, equal evaluations, what is held out, and going on after a stop.

use crate::runs::isoline;
use isoline::geometry::{EstimatorSettings, JacobianEstimator, estimator_with, psi_k};
use isoline::steer::Engine;
use isoline::table::{Table, Values, read_parquet};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const SMALL: &[&str] = &[
    "steer-report",
    "digits-vae",
    "-q",
    "--seeds",
    "0-6",
    "--novelty",
    "10,90",
    "--tile",
    "4",
    "--steps",
    "6",
    "--corrections",
    "3",
    "--methods",
    "search,none",
    "--json",
];

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn samples(folder: &Path) -> Table {
    read_parquet(&folder.join("samples.parquet")).unwrap().0
}

#[track_caller]
fn numbers(table: &Table, name: &str) -> Vec<f64> {
    match &table.column(name).unwrap_or_else(|| panic!("no column {name}")).values {
        Values::F64(v) => v.iter().map(|v| v.unwrap_or(f64::NAN)).collect(),
        Values::I64(v) => v.iter().map(|v| v.map_or(f64::NAN, |v| v as f64)).collect(),
        Values::U64(v) => v.iter().map(|v| v.map_or(f64::NAN, |v| v as f64)).collect(),
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn texts(table: &Table, name: &str) -> Vec<String> {
    match &table.column(name).unwrap_or_else(|| panic!("no column {name}")).values {
        Values::Text(v) => v.iter().map(|v| v.clone().unwrap_or_default()).collect(),
        other => panic!("{name}: {other:?}"),
    }
}

/// The records of a comparison, each with the time when it was written and its bytes.
fn records(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, (SystemTime, Vec<u8>)>) {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "json") {
                let written = fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(path.clone(), (written, fs::read(path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&folder.join("tiles"), &mut found);
    found
}

/// A report without what depends on the clock.
fn timeless(mut report: serde_json::Value) -> serde_json::Value {
    for method in report["methods"].as_array_mut().unwrap() {
        method.as_object_mut().unwrap().remove("seconds_per_sample");
    }
    for key in ["started", "seconds", "command"] {
        report["provenance"].as_object_mut().unwrap().remove(key).unwrap();
    }
    report
}

#[test]
fn a_row_per_sample_and_a_search_of_equal_evaluations() {
    let dir = tempfile::tempdir().unwrap();
    let report = json(&isoline(SMALL).args(&["-o", "r"]).cwd(dir.path()).succeeds());
    let shorts: Vec<&str> =
        report["methods"].as_array().unwrap().iter().map(|m| m["short"].as_str().unwrap()).collect();
    // The budget of the search comes along.
    assert_eq!(shorts, ["gradient-closed", "search", "none"]);
    let table = samples(&dir.path().join("r"));
    let (method, seed) = (texts(&table, "method"), numbers(&table, "seed"));
    assert_eq!(table.rows(), 3 * 7 * 2);
    let (asked, reached) = (numbers(&table, "novelty_asked"), numbers(&table, "novelty_reached"));
    for (i, miss) in numbers(&table, "miss").into_iter().enumerate() {
        assert!((miss - (asked[i] - reached[i]).abs()).abs() < 1e-12, "row {i}");
    }
    // What was exact is not measured again, and the report says so.
    assert!(table.column("novelty_remeasured").is_none());
    assert!(report["remeasured_by"].as_str().unwrap().starts_with("exact"), "{}", report["remeasured_by"]);
    assert!(report["methods"][0]["held_out"].is_null());
    // The same samples as those of `generate`, to the bit, whatever stands around them.
    let args = ["generate", "-q", "-m", "digits-vae", "--seeds", "3-5", "--novelty", "90", "--steps", "6"];
    let made = isoline(&args).args(&["--corrections", "3", "--json", "-o", "g"]).cwd(dir.path()).succeeds();
    for row in json(&made).as_array().unwrap() {
        let is = |i: &usize| {
            method[*i] == "gradient-closed" && seed[*i] == row["sample"]["seed"].as_f64().unwrap() && asked[*i] == 90.0
        };
        let i = (0..table.rows()).find(is).unwrap();
        assert_eq!(row["sample"]["novelty_reached"].as_f64().unwrap().to_bits(), reached[i].to_bits());
        assert_eq!(row["sample"]["attempts"].as_f64(), Some(numbers(&table, "attempts")[i]).filter(|n| *n != 1.0));
    }
    // Evaluations, counted by hand. A latent has 12 values, so an exact measurement is 1 + 12; without guidance there is
    // one more, the reward's word at the start.
    let (evaluations, steps) = (numbers(&table, "evaluations"), numbers(&table, "steps"));
    let mean = |name: &str, of: &[f64]| {
        let own: Vec<f64> = (0..table.rows()).filter(|i| method[*i] == name).map(|i| of[i]).collect();
        own.iter().sum::<f64>() / own.len() as f64
    };
    assert_eq!(mean("none", &evaluations), 14.0);
    assert_eq!(mean("search", &evaluations), mean("search", &steps) + 14.0);
    // One candidate costs one evaluation, so the search stays less than one below its budget.
    let [budget, search] = ["gradient-closed", "search"].map(|m| mean(m, &evaluations));
    assert!((0.0..1.0).contains(&(budget - search)), "{budget} {search}");
    for (i, name) in method.iter().enumerate().filter(|(_, m)| *m == "gradient-closed") {
        // Each measurement, each step, and the start, at the least.
        let attempts = numbers(&table, "attempts")[i];
        assert!(evaluations[i] >= 13.0 * attempts + steps[i] + 1.0, "{name} {i}");
    }
    let from = &report["provenance"];
    assert_eq!((&from["seeds"], &from["levels"], &from["tile"]), (&"0-6".into(), &vec![10.0, 90.0].into(), &4.into()));
    assert!(from["command"].as_str().unwrap().starts_with("isoline steer-report digits-vae -q --seeds 0-6"), "{from}");
    let page = fs::read_to_string(dir.path().join("r/report.html")).unwrap();
    let foot = page.split_once("<footer>").unwrap().1;
    assert!(foot.contains(from["reward"]["sha256"].as_str().unwrap()) && foot.contains("corrections = 3"), "{foot}");
    assert!(page.matches("<svg").count() >= 5);
}

/// Killed in the middle, stopped once more, and gone on with: the same samples and figures as without a break, and what
/// was finished is not made again.
#[test]
fn a_stopped_report_goes_on_with_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let call = |folder: &str, points: &str| {
        let call = isoline(SMALL).args(&["-o", folder]).cwd(dir.path());
        if points.is_empty() { call } else { call.failing_at(points) }
    };
    let whole = json(&call("whole", "").succeeds());
    let broken = dir.path().join("broken");
    assert_eq!(call("broken", "record.after@3=kill").run().code, -1);
    let first = records(&broken);
    assert_eq!(first.len(), 3);
    let stopped = call("broken", "record.after@2=signal:15").run();
    assert_eq!(stopped.code, 75, "{}", stopped.stderr);
    assert!(stopped.stderr.contains("samples are complete in broken; the same command resumes"), "{}", stopped.stderr);
    let second = records(&broken);
    assert_eq!(second.len(), 5);
    let report = json(&call("broken", "").succeeds());
    let last = records(&broken);
    // Three entries, two levels, two tiles.
    assert_eq!(last.len(), 12);
    for (path, kept) in first.iter().chain(&second) {
        assert!(last[path] == *kept, "{} was made again", path.display());
    }
    assert_eq!(timeless(report), timeless(whole));
    let (one, other) = (samples(&dir.path().join("whole")), samples(&broken));
    let same = |t: &Table| t.columns().iter().filter(|c| c.name != "ms").cloned().collect::<Vec<_>>();
    assert_eq!(same(&one), same(&other));
    // Another method in the same folder keeps what is there; other seeds are another comparison.
    let more: Vec<&str> = SMALL.iter().map(|a| if *a == "search,none" { "gradient,truncation" } else { a }).collect();
    isoline(&more).args(&["-o", "broken"]).cwd(dir.path()).succeeds();
    let after = records(&broken);
    assert!(last.iter().all(|(path, kept)| after[path] == *kept) && after.len() == 12 + 4 + 8, "{}", after.len());
    let other: Vec<&str> = SMALL.iter().map(|a| if *a == "0-6" { "0-7" } else { a }).collect();
    isoline(&other)
        .args(&["-o", "broken"])
        .cwd(dir.path())
        .fails(2, &["another recipe", "seeds was", "choose another folder"]);
}

#[test]
fn a_method_that_does_not_fit_is_refused_with_those_that_do() {
    let dir = tempfile::tempdir().unwrap();
    let call = |methods: &str| isoline(&["steer-report", "digits-vae", "--methods", methods]).cwd(dir.path());
    let fit = "those that fit it: gradient, search, truncation, none";
    call("gradint").fails(2, &["--methods", "did you mean \"gradient\"", fit]);
    call("none,forward").fails(2, &["--methods forward", fit]);
    isoline(&["steer-report", "digits-vae", "--novelty", "5,5"]).cwd(dir.path()).fails(2, &["--novelty", "twice"]);
}

fn diffusion(reward: Option<&str>) -> Engine {
    let (_, device) = isoline::device::open("cpu").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-diffusion");
    Engine::load(&folder, reward, &device).unwrap()
}

/// What is measured again is the same latent by directions of another key, put into the same calibration; the picture is
/// the same to the byte.
#[test]
fn what_is_held_out_is_measured_by_other_directions() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["generate", "-q", "-m", "digits-diffusion", "--seeds", "0-1", "--novelty", "90", "--save-latents"];
    let made = |more: &[&str], out: &str| {
        let call = isoline(&args).args(&["--steps", "3", "--corrections", "1", "--json", "-o", out]).args(more);
        json(&call.cwd(dir.path()).succeeds())
    };
    let (plain, again) = (made(&[], "plain"), made(&["--remeasure"], "again"));
    let table = samples(&dir.path().join("again"));
    assert!(samples(&dir.path().join("plain")).column("novelty_remeasured").is_none());
    let recipe = fs::read_to_string(dir.path().join("again/recipe.toml")).unwrap();
    assert!(recipe.contains("remeasure = \"input-subspace:16 of frame 1\""), "{recipe}");
    assert!(!fs::read_to_string(dir.path().join("plain/recipe.toml")).unwrap().contains("remeasure"));
    let engine = diffusion(None);
    let settings = EstimatorSettings { seed: 1, ..EstimatorSettings::default() };
    let other = estimator_with("input-subspace:16", &settings).unwrap();
    // What the two sets of directions differ by on unguided samples is taken out (theory, 20b).
    let unguided = isoline::steer::seed_noise(
        &(0..128).map(|i| u64::MAX - i).collect::<Vec<_>>(),
        engine.generator.spec().latent_width,
    );
    let moments = |estimator: &dyn JacobianEstimator| {
        let spectra = estimator.spectra(&*engine.generator, unguided.values()).unwrap();
        let k = engine.reward.card.model_rank;
        let values: Vec<f64> =
            spectra.iter().map(|s| psi_k(&s.as_ref().unwrap().singular_values, k).unwrap()).collect();
        let mean = values.iter().sum::<f64>() / 128.0;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 127.0).sqrt())
    };
    let own = estimator_with("input-subspace:16", &EstimatorSettings::default()).unwrap();
    let ((m, s), (m2, s2)) = (moments(&*own), moments(&*other));
    for (i, (one, two)) in plain.as_array().unwrap().iter().zip(again.as_array().unwrap()).enumerate() {
        assert_eq!(one["sample"]["sha256"], two["sample"]["sha256"]);
        assert!(one["sample"].get("novelty_remeasured").is_none());
        let latent: Vec<f32> =
            two["sample"]["latent"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
        let spectrum = other.spectra(&*engine.generator, &latent).unwrap().pop().flatten().unwrap();
        let psi = psi_k(&spectrum.singular_values, engine.reward.card.model_rank).unwrap();
        let expected = engine.reward.calibration.novelty_of(m + (psi - m2) * s / s2).percentile.percent();
        let found = two["sample"]["novelty_remeasured"].as_f64().unwrap();
        // Fifteen digits are kept, and on the processor a sample does not depend on its tile.
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        assert!((numbers(&table, "novelty_remeasured")[i] - found).abs() < 1e-12);
        assert_ne!(Some(found), two["sample"]["novelty_reached"].as_f64());
    }
    let gan = isoline(&[
        "generate",
        "-m",
        "digits-gan",
        "--seeds",
        "0",
        "--mode",
        "novel",
        "--remeasure",
        "--json",
        "-o",
        "gan",
    ]);
    let gan = gan.args(&["--progress", "none"]).cwd(dir.path()).run();
    assert!(gan.code == 0 && gan.stderr.contains("nothing to hold out"), "{}", gan.stderr);
    assert!(samples(&dir.path().join("gan")).column("novelty_remeasured").is_none());
    let denoiser = diffusion(Some("denoiser"));
    assert_eq!(denoiser.held_out().unwrap().how(), "input-subspace:16 of frame 1 at 0.2");
}

#[test]
fn a_report_shows_both_measurements_of_guides_too() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["steer-report", "digits-diffusion", "-q", "--seeds", "0-1", "--novelty", "20,80", "--tile", "2"];
    let steps = ["--steps", "2", "--corrections", "1"];
    let call = isoline(&args).args(&steps).args(&["--methods", "none,density", "-o", "r"]);
    // By its own reward, which knows noises only, a guided picture cannot be measured, and guides are left out.
    call.cwd(dir.path()).fails(2, &["--methods density", "guided pictures cannot be measured"]);
    let call = isoline(&args).args(&steps).args(&["--methods", "none,density", "--reward", "denoiser", "-o", "r"]);
    let printed = call.cwd(dir.path()).succeeds();
    assert!(
        printed.contains("Measured again by input-subspace:16 of frame 1 at 0.2, which steering never used"),
        "{printed}"
    );
    let report = json(&fs::read_to_string(dir.path().join("r/study.json")).unwrap());
    let table = samples(&dir.path().join("r"));
    let (asked, again) = (numbers(&table, "novelty_asked"), numbers(&table, "novelty_remeasured"));
    let (method, strength) = (texts(&table, "method"), numbers(&table, "strength"));
    assert_eq!(method.iter().filter(|m| *m == "density").count(), 4);
    for (i, miss) in numbers(&table, "miss_remeasured").into_iter().enumerate() {
        assert!((miss - (asked[i] - again[i]).abs()).abs() < 1e-12);
        assert_eq!(strength[i].is_finite(), method[i] == "density");
    }
    for method in report["methods"].as_array().unwrap() {
        assert_eq!(method["held_out"]["levels"].as_array().unwrap().len(), 2);
        assert_eq!(method["held_out"]["misses"]["samples"], 4);
    }
    // Unguided samples at two levels are the same samples: the two measurements are apart by the same at both.
    let plain: Vec<f64> = (0..8).filter(|i| method[*i] == "none").map(|i| again[i]).collect();
    assert_eq!(plain[0], plain[1]);
}

/// The pictures of each level beside unguided ones are compared as `generate` and `evaluate` would compare them, to the bit.
#[test]
fn steered_pictures_are_evaluated_beside_unguided_ones() {
    let dir = tempfile::tempdir().unwrap();
    let call = |args: &[&str]| isoline(args).cwd(dir.path());
    let small = ["--seeds", "0-39", "--novelty", "10,90", "--steps", "6", "--corrections", "3", "--tile", "8"];
    let report = |more: &[&str]| {
        let args = ["steer-report", "digits-vae", "-q", "--json", "--methods", "gradient,none", "-o", "r"];
        json(&call(&args).args(&small).args(more).succeeds())
    };
    // Made without an evaluation, the tiles have no pictures, and are made again; those that have are kept.
    let plain = report(&[]);
    assert!(plain.get("evaluation").is_none() && !dir.path().join("r/evaluation.csv").exists());
    let found = report(&["--evaluate"]);
    let first = records(&dir.path().join("r"));
    let table = read_parquet(&dir.path().join("r/evaluation.parquet")).unwrap().0;
    crate::columns::every_column_is_described(&dir.path().join("r/evaluation.parquet"));
    assert_eq!(timeless(report(&["--evaluate"])), timeless(found.clone()));
    assert!(records(&dir.path().join("r")) == first, "tiles with pictures were made again");
    assert_eq!(timeless(plain)["methods"], timeless(found.clone())["methods"]);

    let sets = found["evaluation"]["sets"].as_array().unwrap();
    let names: Vec<(&str, Option<f64>)> =
        sets.iter().map(|s| (s["method"].as_str().unwrap(), s["asked"].as_f64())).collect();
    let [open, closed] = ["gradient-open", "gradient-closed"];
    let levels = [(open, Some(10.0)), (open, Some(90.0)), (closed, Some(10.0)), (closed, Some(90.0))];
    assert_eq!(names, [&[("unguided", None)][..], &levels].concat());
    assert_eq!(table.rows(), 5 * 6);

    let generate = |seeds: &str, more: &[&str], out: &str| {
        let args = ["generate", "-q", "-m", "digits-vae", "--seeds", seeds, "-o", out];
        call(&args).args(more).succeeds();
    };
    generate("40-79", &["--mode", "balanced"], "others");
    generate("0-39", &["--mode", "balanced"], "same");
    generate("0-39", &["--novelty", "90", "--steps", "6", "--corrections", "3"], "novel");
    let args = ["evaluate", "others", "same", "novel", "-q", "--json", "-o", "e", "--metrics"];
    let other = json(&call(&args).arg("precision,recall,density,coverage,fd,fd_infinity").succeeds());
    for (ours, theirs) in [(&sets[0], &other["generated"][0]), (&sets[4], &other["generated"][1])] {
        assert_eq!((&ours["samples"], &ours["findings"]), (&40.into(), &theirs["findings"]));
        let note = ours["findings"][4]["note"].as_str().unwrap();
        assert!(note.contains("biased by 40 samples, expected at least"), "{note}");
    }
    let page = fs::read_to_string(dir.path().join("r/report.html")).unwrap();
    assert!(page.contains("New pictures or junk: beside unguided ones") && page.contains("biased by 40 samples"));

    // Real pictures, here of the model itself; and what cannot be compared is said before anything is steered.
    let real = report(&["--evaluate", "--real", "others"]);
    let beside: Vec<&serde_json::Value> =
        real["evaluation"]["sets"].as_array().unwrap().iter().filter(|s| s["against"] == "real").collect();
    assert_eq!(beside.len(), 5);
    assert_eq!(beside[0]["findings"], sets[0]["findings"], "the unguided pictures of others, from their files");
    assert_eq!(real["provenance"]["settings"]["real"], "others");
    let refused = |more: &[&str], code: i32, says: &[&str]| {
        let args = ["steer-report", "digits-vae", "-q", "--seeds", "0-3", "--novelty", "50", "-o", "x"];
        let line = call(&args).args(more).fails(code, says);
        assert!(!dir.path().join("x/tiles").exists(), "{line}");
    };
    refused(&["--features", "pixels"], 2, &["--evaluate"]);
    refused(&["--evaluate", "--features", "nowhere"], 2, &["--features", "the folder of a classifier"]);
    refused(&["--evaluate", "--real", "nowhere"], 3, &["nowhere", "found nothing there"]);
    let mut rows = isoline::store::Arrays::default();
    rows.insert("features", &[4, 8], vec![0.5; 32]);
    fs::write(dir.path().join("rows.npz"), rows.to_npz().unwrap()).unwrap();
    refused(&["--evaluate", "--real", "rows.npz"], 3, &["expected pictures, found rows of numbers"]);
    let args = ["steer-report", "digits-vae", "-q", "--seeds", "7", "--evaluate", "-o", "x"];
    call(&args).fails(2, &["--seeds: expected at least 2"]);
}
