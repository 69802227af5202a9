//! `isoline evaluate`: the golden table through the command, what it leaves, what it refuses.

use crate::cli::Isoline;
use crate::identity::Judge;
use crate::shared;
use isoline::render::Picture;
use isoline::render::png::read_picture;
use isoline::store::{Arrays, WeightTensor, write_safetensors};
use isoline::table::{Column, Table, Values, write_parquet};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn evaluate(dir: &Path) -> Isoline {
    // A cache of its own, so that no test sees features of another one.
    Isoline::new(&["evaluate", "-q", "--device", "cpu", "-o"])
        .arg(dir.join("out"))
        .env("XDG_CACHE_HOME", dir.join("cache"))
}

/// The fixture of the golden table: row i of 8 values from hashes of i + offset, by Box and Muller.
fn normals(offset: usize) -> Vec<f64> {
    let hash = |i: usize, j: usize| {
        let x = 43758.5453 * (12.9898 * i as f64 + 78.233 * j as f64).sin();
        x - x.floor()
    };
    let normal = |i: usize, j: usize| {
        (-2.0 * hash(i, 2 * j).max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * hash(i, 2 * j + 1)).cos()
    };
    (offset..offset + 400).flat_map(|i| (0..8).map(move |j| normal(i, j))).collect()
}

/// Real, held-out and generated rows as three files of different formats.
fn golden(dir: &Path) -> [PathBuf; 3] {
    let [real, test, generated] = ["real.npz", "test.safetensors", "generated.parquet"].map(|name| dir.join(name));
    let mut arrays = Arrays::default();
    arrays.insert("features", &[400, 8], normals(0));
    fs::write(&real, arrays.to_npz().unwrap()).unwrap();
    let tensor = WeightTensor { shape: vec![400, 8], values: normals(5000).iter().map(|v| *v as f32).collect() };
    fs::write(&test, write_safetensors(&BTreeMap::from([("features".to_owned(), tensor)])).unwrap()).unwrap();
    let rows: Vec<f64> = normals(10_000).iter().map(|v| 1.2 * v + 0.3).collect();
    let column = |j: usize| Column::new(format!("f{j}"), Values::F64(rows.chunks(8).map(|r| Some(r[j])).collect()));
    let table = Table::new((0..8).map(column).collect()).unwrap();
    fs::write(&generated, write_parquet(&table, &[]).unwrap()).unwrap();
    [real, test, generated]
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn found<'a>(report: &'a Value, metric: &str) -> &'a Value {
    let findings = report["generated"][0]["findings"].as_array().unwrap();
    findings.iter().find(|f| f["metric"] == metric).unwrap_or_else(|| panic!("no {metric}"))
}

/// What the original programs say of these rows, through files of three formats.
#[test]
fn the_golden_table_comes_out_of_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let [real, test, generated] = golden(dir.path());
    let args = [text(&real), text(&generated), "--test", text(&test), "--json"];
    let report: Value = serde_json::from_str(&evaluate(dir.path()).args(&args).succeeds()).unwrap();
    for (metric, expected) in [
        ("fd", 1.097_836),
        ("kd", 0.437_275),
        ("precision", 0.7925),
        ("recall", 0.99),
        ("density", 0.5895),
        ("coverage", 0.8425),
        ("auth_pct", 73.5),
        ("vendi", 7.892_285),
        ("sliced_wasserstein", 0.354_732),
    ] {
        let f = found(&report, metric);
        let value = f["value"].as_f64().unwrap();
        assert!((value - expected).abs() < 1e-6, "{metric}: {value}, expected {expected}");
        let [low, high] = [0, 1].map(|i| f["interval"][i].as_f64().unwrap());
        assert!(low <= value && value <= high && low < high, "{metric}: {low} to {high} around {value}");
    }
    // What needs a classifier says so; nothing is left out without a word.
    assert!(found(&report, "inception_score")["note"].as_str().unwrap().contains("needs class probabilities"));
    assert!(found(&report, "sfid")["value"].is_null());
    assert_eq!(report["real"]["samples"], 400);
    let page = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(page.contains("AuthPct") && page.contains("</svg>") && !page.contains("http://127"), "{}", page.len());
}

/// The same key gives the same table on any number of threads; another key other draws.
#[test]
fn the_same_key_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let [real, test, generated] = golden(dir.path());
    let run = |seed: &str, threads: &str| {
        let args = [text(&real), text(&generated), "--test", text(&test), "--seed", seed];
        evaluate(dir.path()).args(&args).env("RAYON_NUM_THREADS", threads).succeeds();
        fs::read(dir.path().join("out/evaluation.csv")).unwrap()
    };
    let first = run("1", "1");
    assert!(first == run("1", "2") && first != run("2", "2"));
}

fn pictures(folder: &Path, count: u64, pixel: impl Fn(u64, usize) -> u8) {
    fs::create_dir_all(folder).unwrap();
    for i in 0..count {
        let pixels = (0..784).map(|p| pixel(i, p)).collect();
        let picture = Picture::from_pixels(pixels, [1, 28, 28]).unwrap();
        let bytes = isoline::render::png::smallest(&picture).unwrap();
        fs::write(folder.join(format!("{i:04}.png")), bytes).unwrap();
    }
}

/// Pictures by pixels and by a classifier: a run folder against a folder, and against itself.
#[test]
fn pictures_are_compared_by_pixels_and_by_a_classifier() {
    let dir = tempfile::tempdir().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let run = |name: &str, seeds: &str| {
        let folder = dir.path().join(name);
        let args =
            ["generate", "-m", "digits-gan", "-q", "--device", "cpu", "--mode", "balanced", "--seeds", seeds, "-o"];
        Isoline::new(&args).arg(&folder).env("ISOLINE_MODELS", &models).succeeds();
        folder
    };
    let (a, b) = (run("a", "0-63"), run("b", "64-127"));
    let judge = Judge::new("judge", 0.12);
    let args = [text(&a), text(&b), "--features", text(judge.folder()), "--json"];
    let report: Value = serde_json::from_str(&evaluate(dir.path()).args(&args).succeeds()).unwrap();
    let score = found(&report, "inception_score")["value"].as_f64().unwrap();
    assert!((1.0..=2.0).contains(&score), "{score}");
    assert_eq!(report["width"], 784, "the only layer with weights reads the pixels");

    let args = [text(&a), text(&a), "--metrics", "fd,auth_pct,precision", "--json"];
    let report: Value = serde_json::from_str(&evaluate(dir.path()).args(&args).succeeds()).unwrap();
    assert_eq!(report["features"], "pixels");
    assert!(found(&report, "fd")["value"].as_f64().unwrap().abs() < 1e-6);
    assert!(found(&report, "fd")["note"].as_str().unwrap().contains("biased by 64 samples"));
    assert_eq!(found(&report, "auth_pct")["value"], 0.0, "copies are not authentic");
    assert!(report["remarks"][0].as_str().unwrap().contains("the very samples"));
    assert_eq!(report["world"]["layout"], "a picture of 28×28 pixels, grey values from 0 to 255");
    let names: Vec<_> = report["world"]["metrics"].as_array().unwrap().iter().map(|m| m["name"].clone()).collect();
    assert_eq!(names, ["fd", "auth_pct", "precision"]);
    let page = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(page.matches("data:image/png").count() > 64);
    // The picture of a sample is the file itself.
    assert_eq!(read_picture(&a.join("images/000000.png")).unwrap().pixels.len(), 784);
}

/// What must hold of every sample is counted: here two copies of real pictures, one that comes twice, and one that is flat.
#[test]
fn copied_repeated_and_flat_samples_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let noise = |i: u64, p: usize| (i * 37 + p as u64 * 11 + i * i * p as u64) as u8;
    pictures(&at("real"), 12, noise);
    pictures(&at("made"), 12, |i, p| match i {
        0 | 1 => noise(i, p),
        2 | 3 => noise(40, p),
        4 => 9,
        _ => noise(i + 100, p),
    });
    let args = [text(&at("real")), text(&at("made")), "--metrics", "precision", "--json"].map(str::to_owned);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let report: Value = serde_json::from_str(&evaluate(dir.path()).args(&args).succeeds()).unwrap();
    let found: Vec<_> = report["generated"][0]["constraints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["name"].as_str().unwrap(), c["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(found, [("flat", 1), ("repeated", 1), ("copied", 2)]);
    let said = evaluate(dir.path()).args(&args[..4]).succeeds();
    assert!(said.contains("copied") && said.contains("the same as a real sample"), "{said}");
}

/// Descriptors of latents as features: spectra of two sets of seeds.
#[test]
fn columns_of_a_run_are_features() {
    let dir = tempfile::tempdir().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let run = |name: &str, seeds: &str| {
        let folder = dir.path().join(name);
        let args = ["describe", "digits-gan", "-q", "--device", "cpu", "--seeds", seeds, "-o"];
        Isoline::new(&args).arg(&folder).env("ISOLINE_MODELS", &models).succeeds();
        folder
    };
    let (a, b) = (run("a", "0-99"), run("b", "100-199"));
    let args = [text(&a), text(&b), "--columns", "psi_k,nu", "--metrics", "fd,recall", "--json"];
    let report: Value = serde_json::from_str(&evaluate(dir.path()).args(&args).succeeds()).unwrap();
    assert_eq!(report["width"], 2);
    let recall = found(&report, "recall")["value"].as_f64().unwrap();
    assert!(recall > 0.8, "both are of one distribution: {recall}");
    let line = evaluate(dir.path())
        .args(&[text(&a), text(&b), "--columns", "psi_j"])
        .fails(2, &["--columns psi_j", "did you mean \"psi"]);
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
}

#[test]
fn what_cannot_be_compared_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let [real, ..] = golden(dir.path());
    let npz = |name: &str, shape: &[usize], values: Vec<f64>| {
        let mut arrays = Arrays::default();
        arrays.insert("features", shape, values);
        fs::write(at(name), arrays.to_npz().unwrap()).unwrap();
        at(name)
    };
    let mut holed = normals(0);
    holed[8 * 17 + 3] = f64::NAN;
    let nan = npz("nan.npz", &[400, 8], holed);
    let narrow = npz("narrow.npz", &[400, 7], vec![0.5; 2800]);
    let flat = npz("flat.npz", &[3200], vec![0.5; 3200]);
    let one = npz("one.npz", &[1, 8], vec![0.5; 8]);
    let few = npz("few.npz", &[4, 8], (0..32).map(f64::from).collect());
    pictures(&at("grey"), 12, |i, p| (i * 37 + p as u64 * 11) as u8);
    pictures(&at("single"), 1, |_, _| 9);
    pictures(&at("odd"), 3, |_, p| p as u8);
    fs::write(at("odd/0001.png"), b"<html>not a picture</html>").unwrap();
    fs::write(at("note.txt"), "hello").unwrap();
    for (args, code, says) in [
        (vec![text(&real), text(&nan)], 3, "row 17, value 3 is NaN, expected finite numbers"),
        (vec![text(&real), text(&narrow)], 3, "expected rows of 8 values as in real, found 7"),
        (vec![text(&real), text(&flat)], 3, "has the shape [3200], expected [samples, values of each]"),
        (vec![text(&real), text(&one)], 3, "expected at least 2 samples, found 1"),
        (vec![text(&real), text(&few), "--metrics", "precision"], 3, "expected at least 6"),
        (vec![text(&real), text(&at("grey"))], 2, "holds pictures and"),
        (vec![text(&at("grey")), text(&at("single"))], 3, "expected at least 2 samples, found 1"),
        (vec![text(&at("grey")), text(&at("odd"))], 3, "expected a PNG or JPEG picture, found a web page"),
        (vec![text(&at("grey")), text(&at("note.txt"))], 3, "found another kind of file"),
        (vec![text(&at("grey")), text(&at("nowhere"))], 3, "found nothing there"),
        (vec![text(&real), text(&real), "--metrics", "precison"], 2, "did you mean \"precision\"?"),
        (vec![text(&real), text(&real), "--metrics", "c_t"], 2, "needs held-out samples"),
        (vec![text(&real), text(&real), "--features", "pixels"], 2, "is for pictures"),
        (
            vec![text(&at("grey")), text(&at("grey")), "--features", "nowhere"],
            2,
            "expected pixels, or the folder of a classifier",
        ),
        (vec![text(&real), text(&real), "--columns", "faetures"], 2, "holds \"features\""),
        (vec![text(&real), text(&real), "--nearest", "0"], 2, "expected 1 to 1000"),
    ] {
        let line = evaluate(dir.path()).args(&args).fails(code, &[says]);
        assert_eq!(line.trim_end().lines().count(), 1, "{args:?}: {line}");
        assert!(!at("out").exists(), "{args:?} left something");
    }
}

/// Fewer samples than features: measured, and every metric that it biases says so; nothing that is left out is without a
/// reason. The same for two samples, the fewest that there can be.
#[test]
fn few_samples_are_measured_with_a_word_of_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, rows: usize, offset: usize| {
        let path = dir.path().join(name);
        let mut arrays = Arrays::default();
        arrays.insert("features", &[rows, 40], normals(offset)[..rows * 40].to_vec());
        fs::write(&path, arrays.to_npz().unwrap()).unwrap();
        path
    };
    for rows in [30, 2] {
        let [real, test, generated] =
            [("real.npz", 0), ("test.npz", 5000), ("generated.npz", 10_000)].map(|(name, from)| file(name, rows, from));
        let args = [text(&real), text(&generated), "--test", text(&test), "--json"];
        let report: Value = serde_json::from_str(&evaluate(dir.path()).args(&args).succeeds()).unwrap();
        for f in report["generated"][0]["findings"].as_array().unwrap() {
            let (name, note) = (f["metric"].as_str().unwrap(), f["note"].as_str().unwrap_or(""));
            match f["value"].as_f64() {
                Some(value) => assert!(value.is_finite(), "{name}: {value}"),
                None => assert!(note.starts_with("not measured: "), "{name}: {note}"),
            }
            let biased = f["biased_below"].as_u64().unwrap() > rows as u64;
            assert!(!biased || f["value"].is_null() || note.contains("biased by"), "{name}: {note}");
        }
        let note = found(&report, "fd")["note"].as_str().unwrap();
        let says =
            if rows == 2 { "not measured: real: 2 samples, expected at least 3" } else { "biased by 30 samples" };
        assert!(note.starts_with(says), "{note}");
    }
}

/// Features of real and generated digits by LeNet, with what scipy, torchmetrics and prdc say of them.
#[test]
#[ignore = "needs the shared data"]
fn the_shared_features_have_their_reference_values() {
    let dir = tempfile::tempdir().unwrap();
    let folder = shared::data().join("reference");
    let expected: Value = serde_json::from_slice(&fs::read(folder.join("metrics.json")).unwrap()).unwrap();
    let file = folder.join("lenet84_features.safetensors");
    let bytes = fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let alone = |name: &str| {
        let path = dir.path().join(format!("{name}.safetensors"));
        let tensor = tensors.tensor(name).unwrap();
        let values = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let tensor = WeightTensor { shape: tensor.shape().to_vec(), values };
        fs::write(&path, write_safetensors(&BTreeMap::from([(name.to_owned(), tensor)])).unwrap()).unwrap();
        path
    };
    let real = alone("real_a");
    for name in ["real_b", "vae", "gan_mlp"] {
        let generated = alone(name);
        let args = [text(&real), text(&generated), "--metrics", "fd,kd,precision,recall,density,coverage", "--json"];
        let report: Value = serde_json::from_str(&evaluate(dir.path()).args(&args).succeeds()).unwrap();
        for (metric, key) in [
            ("fd", "frechet_scipy"),
            ("kd", "kid_poly_mmd2_unbiased"),
            ("precision", "precision"),
            ("recall", "recall"),
            ("density", "density"),
            ("coverage", "coverage"),
        ] {
            let (value, expected) =
                (found(&report, metric)["value"].as_f64().unwrap(), expected[name][key].as_f64().unwrap());
            println!("{name} {metric}: {value:.9}, expected {expected:.9}");
            assert!((value - expected).abs() <= 1e-6 * expected.abs(), "{name} {metric}: {value}, expected {expected}");
        }
    }
}

/// A second simulated sample is near the reference, a damaged one is not, and the physics of each is told.
#[test]
fn showers_are_compared_as_the_challenge_does() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let simulate = |name: &str, first: &str| {
        let args = ["simulate", "-q", "photons", "-n", "1500", "--first", first, "-o"];
        Isoline::new(&args).arg(at(name)).succeeds()
    };
    assert!(simulate("a.hdf5", "0").contains("mean E_tot/E_inc  0.99"));
    simulate("b.hdf5", "100000");
    let calo = |args: &[&str]| {
        let all = [&["evaluate", "-q", "--device", "cpu", "--domain", "calo"], args].concat();
        Isoline::new(&all).arg("-o").arg(at("out"))
    };
    let (a, b) = (at("a.hdf5"), at("b.hdf5"));
    let report: Value = serde_json::from_str(&calo(&[text(&a), text(&b), "--json"]).succeeds()).unwrap();
    let of = |part: &str, name: &str| {
        let list = report[part].as_array().unwrap();
        list.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no {name} in {part}")).clone()
    };
    let fpd = of("figures", "FPD · 10³");
    let [value, floor] = ["value", "floor"].map(|key| fpd[key].as_f64().unwrap());
    assert!(value < 3.0 * floor && fpd["note"].as_str().unwrap().contains("1500"), "{fpd}");
    for separation in report["separations"].as_array().unwrap() {
        let [value, error, floor] = ["value", "error", "floor"].map(|key| separation[key].as_f64().unwrap());
        assert!(
            (value - floor).abs() < 5.0 * error + 1e-12,
            "a second sample is within its error of the floor: {separation}"
        );
    }
    assert_eq!((&report["world"]["domain"], &report["world"]["features"][0]["name"]), (&"calo".into(), &"high".into()));
    let sound = of("physics", "sound")["value"].as_f64().unwrap();
    assert!(sound > 0.99, "{sound}");
    let published = report["published"].as_array().unwrap();
    assert!(published.iter().any(|row| row[0] == "CaloDiffusion") && published.iter().all(|row| row[0] != "this"));
    let page = fs::read_to_string(at("out/report.html")).unwrap();
    assert!(page.contains("Not measured here"));

    for (args, code, says) in [
        (vec![text(&a), text(&b), "--geometry", "pions"], 3, "expected 533 voxels"),
        (vec![text(&a), text(&b), "--geometry", "photns"], 2, "did you mean \"photons\"?"),
        (vec![text(&a), text(&b), "--metrics", "fd"], 2, "--metrics: is for pictures"),
        (vec![text(&a), text(&b), text(&b)], 2, "expected one file of showers"),
    ] {
        let line = calo(&args).fails(code, &[says]);
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    }
    fs::write(at("no.hdf5"), "PK not a file of showers").unwrap();
    let hdf5 = |name: &str, sets: &[(&str, &[u64], &[f64])]| {
        let mut file = hdf5_pure::FileBuilder::new();
        for (name, shape, values) in sets {
            file.create_dataset(name).with_f64_data(values).with_shape(shape);
        }
        fs::write(at(name), file.finish().unwrap()).unwrap();
    };
    let voxels = [0.5; 368];
    let of_energy = |name: &str, energy: f64| {
        hdf5(name, &[("incident_energies", &[1, 1], &[energy]), ("showers", &[1, 368], &voxels)]);
    };
    hdf5("names.hdf5", &[("energies", &[1, 1], &[256.0]), ("showers", &[1, 368], &voxels)]);
    hdf5("voxels.hdf5", &[("incident_energies", &[1, 1], &[256.0]), ("showers", &[1, 367], &voxels[1..])]);
    hdf5("counts.hdf5", &[("incident_energies", &[2, 1], &[256.0, 512.0]), ("showers", &[1, 368], &voxels)]);
    of_energy("zero.hdf5", 0.0);
    of_energy("negative.hdf5", -256.0);
    of_energy("nan.hdf5", f64::NAN);
    of_energy("single.hdf5", 256.0);
    fs::remove_dir_all(at("out")).unwrap();
    for (name, says) in [
        ("no.hdf5", "expected an HDF5 file"),
        ("names.hdf5", "expected the data sets incident_energies and showers, found no incident_energies"),
        ("voxels.hdf5", "expected 368 voxels"),
        ("counts.hdf5", "expected as many showers as energies, found 1 and 2"),
        ("zero.hdf5", "expected energies in MeV above 0, found 0 for shower 0"),
        ("negative.hdf5", "expected energies in MeV above 0, found -256 for shower 0"),
        ("nan.hdf5", "expected energies in MeV above 0, found NaN for shower 0"),
        ("single.hdf5", "expected at least"),
        ("nowhere.hdf5", "could not read"),
    ] {
        let file = at(name);
        let line = calo(&[text(&a), text(&file)]).run();
        assert!([2, 3, 4].contains(&line.code) && line.stderr.contains(says), "{name}: {} {}", line.code, line.stderr);
        assert_eq!(line.stderr.trim_end().lines().count(), 1, "{}", line.stderr);
        assert!(!at("out").exists(), "{name} left something");
    }
    let again = ["simulate", "-q", "photons", "-n", "5", "-o"];
    Isoline::new(&again).arg(&a).fails(2, &["is there already"]);
    Isoline::new(&["simulate", "-q", "photons", "-n", "0", "-o"])
        .arg(at("c.hdf5"))
        .fails(2, &["--count: expected 1 to"]);
}
