//! A small diffusion model, through the program: training, resuming, its reward, pictures, and bad input.

use crate::cli::Isoline;
use isoline::render::Picture;
use isoline::render::png::{PngText, encode};
use std::fs;
use std::io::Write;
use std::path::Path;

pub const CARD: &str = r#"format = 1
id = "mini"
family = "diffusion"
about = "for tests"
[latent]
shape = [1, 4, 4]
prior = "normal"
[sample]
shape = [1, 4, 4]
range = [-1.0, 1.0]
[provenance]
trained_on = "stripes"
licence = "CC0-1.0"
how = "draft"
[denoiser]
prediction = "edm"
classes = 3
settings = { sigma_data = 1.0 }
sampler = { solver = "heun", schedule = "karras", steps = 3, sigma = [0.05, 20.0] }
[[denoiser.embed]]
kind = "fourier"
count = 4
low = 0.5
high = 4.0
[[denoiser.embed]]
kind = "linear"
key = "embed"
out = 8
[[layers]]
kind = "unet"
key = "unet"
channels = [4, 8]
condition = 8
attention = [1]
groups = 2
[[layers]]
kind = "conv2d"
key = "out"
out = 1
kernel = 3
padding = 1
"#;

pub const CONFIG: &str = r#"card = "mini.card.toml"
objective = "edm"
epochs = 2
batch = 20
learning_rate = 5e-3
seed = 3
ema = 0.9
[data]
kind = "idx"
path = "stripes.idx"
labels = "labels.idx"
[settings]
drop_class = 0.3
"#;

/// A data set of stripes at three places; the place is the class.
pub fn setting() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut idx: Vec<u8> = [0x803u32, 120, 4, 4].iter().flat_map(|v| v.to_be_bytes()).collect();
    idx.extend(
        (0..120u32)
            .flat_map(|i| (0..16u32).map(move |p| if (p % 4 + i).is_multiple_of(3) { 255 } else { (i / 3) as u8 })),
    );
    let mut labels: Vec<u8> = [0x801u32, 120].iter().flat_map(|v| v.to_be_bytes()).collect();
    labels.extend((0..120u32).map(|i| (i % 3) as u8));
    fs::write(dir.path().join("stripes.idx"), idx).unwrap();
    fs::write(dir.path().join("labels.idx"), labels).unwrap();
    fs::write(dir.path().join("mini.card.toml"), CARD).unwrap();
    fs::write(dir.path().join("mini.toml"), CONFIG).unwrap();
    dir
}

pub fn train(dir: &Path, name: &str) -> Isoline {
    Isoline::new(&["train-generator", "-q", "--device", "cpu", "-c", "mini.toml", "--data", ".", "-o"])
        .arg(format!("work-{name}"))
        .arg("--model")
        .arg(name)
        .cwd(dir)
}

pub const REWARD: &str = "model = \"mini\"\n[labels]\ncount = 2048\nestimator = \"exact\"\n[noised]\nsigma = [0.05, 5.0]\nsigma_data = 1.0\n\
                [fit]\nwidth = 32\nblocks = 0\nepochs = 24\nbatch = 64\nlearning_rate = 3e-3\n";

/// A folder with the model `mini` and its reward, made once for all tests. Each test writes under names of its own.
pub fn taught() -> &'static Path {
    static TAUGHT: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let made = TAUGHT.get_or_init(|| {
        let dir = setting();
        train(dir.path(), "mini").succeeds();
        fs::write(dir.path().join("reward.toml"), REWARD).unwrap();
        Isoline::new(&["train-reward", "-q", "--device", "cpu", "-c", "reward.toml", "-o", "labels"])
            .cwd(dir.path())
            .succeeds();
        dir
    });
    made.path()
}

#[test]
fn a_resumed_training_of_a_denoiser_equals_an_unbroken_one() {
    let dir = setting();
    for objective in ["edm", "flow"] {
        let card = CARD.replace(
            "prediction = \"edm\"\nclasses = 3\nsettings = { sigma_data = 1.0 }",
            &format!("prediction = \"{objective}\"\nclasses = 3"),
        );
        fs::write(dir.path().join("mini.card.toml"), card).unwrap();
        fs::write(dir.path().join("mini.toml"), CONFIG.replace("\"edm\"", &format!("\"{objective}\""))).unwrap();
        let (whole, parts) = (format!("{objective}-whole"), format!("{objective}-parts"));
        train(dir.path(), &whole).succeeds();
        train(dir.path(), &parts).arg("--stop-after").arg("1").succeeds();
        train(dir.path(), &parts).succeeds();
        let weights = |name: &str| fs::read(dir.path().join(name).join("weights.safetensors")).unwrap();
        assert!(weights(&whole) == weights(&parts), "{objective}: weights differ after a resume");
        assert!(dir.path().join(format!("work-{whole}/samples/epoch-0002.png")).is_file());
    }
}

/// The same pictures and classes as a zip of PNG files with a `dataset.json` teach the same model to the last bit.
#[test]
fn a_zip_with_classes_teaches_what_an_idx_file_teaches() {
    let dir = setting();
    train(dir.path(), "idx").succeeds();
    let bytes = fs::read(dir.path().join("stripes.idx")).unwrap();
    let zip = |labels: &str| {
        let mut writer = zip::ZipWriter::new(fs::File::create(dir.path().join("stripes.zip")).unwrap());
        for (i, pixels) in bytes[16..].chunks_exact(16).enumerate().rev() {
            let picture = Picture::from_pixels(pixels.to_vec(), [1, 4, 4]).unwrap();
            writer.start_file(format!("{}/{i:03}.png", i / 50), zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(&encode(&picture, &PngText::default()).unwrap()).unwrap();
        }
        writer.start_file("dataset.json", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(format!("{{\"labels\": {labels}}}").as_bytes()).unwrap();
        writer.finish().unwrap();
    };
    let labels = |classes: usize| {
        let all: Vec<String> = (0..120).map(|i| format!("[\"{}/{i:03}.png\", {}]", i / 50, i % classes)).collect();
        format!("[{}]", all.join(","))
    };
    let source = "kind = \"idx\"\npath = \"stripes.idx\"\nlabels = \"labels.idx\"";
    let config = CONFIG.replace(source, "kind = \"edm\"\npath = \"stripes.zip\"");
    fs::write(dir.path().join("mini.toml"), config).unwrap();
    zip(&labels(3));
    train(dir.path(), "edm").succeeds();
    let weights = |name: &str| fs::read(dir.path().join(name).join("weights.safetensors")).unwrap();
    assert!(weights("idx") == weights("edm"), "the two differ");
    // A class that the card does not know, and no classes at all.
    zip(&labels(4));
    train(dir.path(), "a").fails(3, &["stripes.zip", "a class from 0 to 2", "found classes up to 3"]);
    zip("null");
    train(dir.path(), "a").fails(3, &["stripes.zip", "a class from 0 to 2", "found no labels"]);
    fs::write(dir.path().join("mini.toml"), CONFIG.replace("kind = \"idx\"", "kind = \"edn\"")).unwrap();
    train(dir.path(), "a").fails(2, &["mini.toml: data.kind", "\"folder\" or \"edm\", found \"edn\""]);
}

/// A folder with a trained model `mini` and a reward that knows little about its pictures. That is enough where only
/// statuses and bytes matter.
pub fn rewarded() -> tempfile::TempDir {
    let dir = setting();
    train(dir.path(), "mini").succeeds();
    let text = "model = \"mini\"\n[labels]\ncount = 2048\nestimator = \"exact\"\n[noised]\nsigma = [0.05, 5.0]\nsigma_data = 1.0\n\
                [fit]\nwidth = 8\nblocks = 0\nepochs = 1\nbatch = 64\nlearning_rate = 3e-3\n";
    fs::write(dir.path().join("reward.toml"), text).unwrap();
    Isoline::new(&["train-reward", "-q", "--device", "cpu", "--json", "-c", "reward.toml", "-o", "labels"])
        .cwd(dir.path())
        .succeeds();
    dir
}

/// Labels, a reward on noised pictures, and pictures at an asked level work as for any generator. A seed's picture does
/// not depend on its neighbours.
#[test]
fn a_diffusion_model_is_steered_like_any_generator() {
    let dir = setting();
    train(dir.path(), "mini").succeeds();
    fs::write(dir.path().join("reward.toml"), REWARD).unwrap();
    let report =
        Isoline::new(&["train-reward", "-q", "--device", "cpu", "--json", "-c", "reward.toml", "-o", "labels"])
            .cwd(dir.path())
            .succeeds();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let levels: Vec<f64> = report["levels"].as_array().unwrap().iter().map(|l| l[1].as_f64().unwrap()).collect();
    // The map of a small network: at the least noise the reward knows it well; at the greatest, nothing is left of the
    // pictures.
    assert!(levels.len() == 10 && levels[0] > 0.5 && levels[9] < levels[0], "{levels:?}");
    let generate = |out: &str, seeds: &str, how: &[&str]| {
        let what = ["generate", "-q", "--device", "cpu", "--json", "-m", "mini", "--seeds", seeds, "-o", out];
        let text = Isoline::new(&[&what, how].concat()).cwd(dir.path()).succeeds();
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        rows.as_array().unwrap().iter().map(|r| r["sample"].clone()).collect::<Vec<_>>()
    };
    let (alone, among) = (generate("alone", "5", &["--novelty", "80"]), generate("among", "2-9", &["--novelty", "80"]));
    let five = among.iter().find(|r| r["seed"] == 5).unwrap();
    assert_eq!(alone[0]["sha256"], five["sha256"]);
    let errors: Vec<f64> = among.iter().map(|r| (r["novelty_reached"].as_f64().unwrap() - 80.0).abs()).collect();
    // Of eight unguided samples, whose novelty is uniform, only two would be as near.
    assert!(errors.iter().all(|e| *e < 10.0), "asked 80, errors {errors:?}");
    // Every method and every guide is tried and measured.
    let text = Isoline::new(&[
        "steer-report",
        "-q",
        "--device",
        "cpu",
        "--json",
        "--tile",
        "4",
        "--seeds",
        "0-3",
        "--novelty",
        "20,80",
        "mini",
        "-o",
        "compared",
    ])
    .cwd(dir.path())
    .succeeds();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = report["methods"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    // By a reward of the noise nothing is known of guided pictures, so that guides are left out, and the report says so.
    assert_eq!(report["guides_left_out"], true);
    assert!(names.len() == 6 && !names.iter().any(|n| n.contains(" guidance")), "{names:?}");
    for method in report["methods"].as_array().unwrap() {
        assert_eq!(method["undefined"], 0, "{method}");
    }
    // Without further flags, a description uses the estimator of the reward's labels, so that it has the novelty too.
    Isoline::new(&["describe", "-q", "--device", "cpu", "mini", "--seeds", "2-9", "-o", "described", "--csv"])
        .cwd(dir.path())
        .succeeds();
    let table = fs::read_to_string(dir.path().join("described/descriptors.csv")).unwrap();
    let mut lines = table.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let at = lines.next().unwrap().iter().position(|name| *name == "novelty").unwrap();
    let plain = generate("plain", "2-9", &["--mode", "balanced"]);
    let measured: Vec<f64> = plain.iter().map(|r| r["novelty_reached"].as_f64().unwrap()).collect();
    let described: Vec<f64> = lines.map(|l| l[at].parse().unwrap()).collect();
    assert_eq!(described.len(), 8);
    // The same numbers except for rounding: tiles of another size sum in another order.
    assert!(described.iter().zip(&measured).all(|(a, b)| (a - b).abs() < 0.1), "{described:?} {measured:?}");
    // Another card makes another model.
    let card = fs::read_to_string(dir.path().join("mini/card.toml")).unwrap();
    fs::write(dir.path().join("mini/card.toml"), card.replace("steps = 3", "steps = 4")).unwrap();
    Isoline::new(&["generate", "-q", "--device", "cpu", "-m", "mini", "--mode", "novel", "--seeds", "1"])
        .cwd(dir.path())
        .fails(3, &["reward", "another card"]);
}

/// A fresh folder with a trained model `one`; also returns the model's card.
fn trained() -> (tempfile::TempDir, String) {
    let dir = setting();
    let from = taught().join("mini");
    fs::create_dir(dir.path().join("one")).unwrap();
    for name in ["card.toml", "weights.safetensors"] {
        fs::copy(from.join(name), dir.path().join("one").join(name)).unwrap();
    }
    let card = fs::read_to_string(from.join("card.toml")).unwrap();
    (dir, card)
}

fn in_folder(dir: &Path, words: &[&str]) -> Isoline {
    Isoline::new(words).arg("-q").arg("--device").arg("cpu").cwd(dir)
}

/// Replaces each `from` in the card by its `to`, and expects `describe` to refuse it with `words`.
#[track_caller]
fn card_refused(changes: &[(&str, &str)], words: &[&str]) {
    let (dir, card) = trained();
    let changed = changes.iter().fold(card, |card, (from, to)| {
        assert!(card.contains(from), "{from}");
        card.replace(from, to)
    });
    fs::write(dir.path().join("one/card.toml"), changed).unwrap();
    in_folder(dir.path(), &["describe", "--seeds", "0-1", "one"]).fails(2, words);
}

#[test]
fn bad_samplers_are_refused() {
    card_refused(&[("[0.05, 20.0]", "[20.0, 0.05]")], &["denoiser.sampler.sigma", "0 < least < greatest"]);
    card_refused(&[("steps = 3", "steps = 0")], &["denoiser.sampler.steps", "found 0"]);
    card_refused(&[("\"heun\"", "\"huen\"")], &["denoiser.sampler.solver", "did you mean \"heun\""]);
    card_refused(&[("\"heun\"", "\"ancestral\"")], &["denoiser.sampler.solver", "deterministic"]);
    card_refused(&[("\"karras\"", "\"carras\"")], &["denoiser.sampler.schedule", "did you mean \"karras\""]);
}

#[test]
fn bad_networks_of_denoisers_are_refused() {
    let edm = "prediction = \"edm\"";
    card_refused(&[(edm, "prediction = \"edn\"")], &["denoiser.prediction", "did you mean \"edm\""]);
    let table = "settings = { clock = \"linear\", steps = 100 }";
    card_refused(
        &[("settings = { sigma_data = 1.0 }", table), ("\"edm\"", "\"epsilon\"")],
        &["denoiser.sampler.sigma", "may not go beyond its table"],
    );
    card_refused(&[("out = 8", "out = 9")], &["denoiser.embed", "9 values"]);
}

#[test]
fn an_unchanged_card_is_described() {
    let (dir, _) = trained();
    in_folder(dir.path(), &["describe", "--seeds", "0-1", "one"]).succeeds();
}

#[test]
fn a_trajectory_wants_a_class_and_noise_that_the_model_knows() {
    let (dir, _) = trained();
    let trajectory = |more: &[&str]| in_folder(dir.path(), &[&["trajectory", "one", "--seeds", "0"], more].concat());
    // A table for people, and in a folder everything that a study leaves.
    let table = trajectory(&["--class", "2", "-o", "path"]).succeeds();
    assert!(table.starts_with("seed  sigma") && table.lines().count() == 4, "{table}");
    let page = fs::read_to_string(dir.path().join("path/report.html")).unwrap();
    assert!(page.matches("<svg").count() >= 3 && page.contains("From noise to picture in mini"), "{page}");
    trajectory(&["--class", "3"]).fails(2, &["--class", "0 to 2", "found 3"]);
    trajectory(&["--sigma", "30"]).fails(2, &["--sigma", "up to the sampler's 20"]);
}

#[test]
fn dimension_wants_two_probes_or_none() {
    let (dir, _) = trained();
    let lid = |words: &[&str]| in_folder(dir.path(), words);
    lid(&["lid", "estimate", "one", "--probes", "1"]).fails(2, &["--probes", "at least 2"]);
    lid(&["lid", "doctor", "one", "--seeds", "0-3", "--probes", "0"]).succeeds();
    let curve = ["lid", "curve", "one", "--seeds", "0-1", "--probes", "0", "--points", "5", "-o", "curve"];
    let table = lid(&curve).succeeds();
    assert!(table.starts_with("seed  sigma") && table.lines().count() == 11, "{table}");
    let page = fs::read_to_string(dir.path().join("curve/report.html")).unwrap();
    // The rule of the knee, and the bounds of what a dimension can be.
    assert!(page.contains("a factor of 2 from the first") && page.contains("16, the number of pixels"), "{page}");
}

/// Beside a number stands what it was measured at, and why there is none.
#[test]
fn a_dimension_says_its_noise_level_or_why_it_has_none() {
    let (dir, _) = trained();
    let lid = |more: &[&str]| {
        let args = ["lid", "estimate", "one", "--seeds", "0-1", "--probes", "0", "--json"];
        let text = in_folder(dir.path(), &[&args, more].concat()).succeeds();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        found["samples"].as_array().unwrap().clone()
    };
    for sample in lid(&["--sigma", "0.3"]) {
        assert!(sample["sigma"] == 0.3 && sample["dimension"].is_number() && sample["stderr"] == 0.0, "{sample}");
    }
    // The network has hardly been trained: its curve falls to no plateau.
    for sample in lid(&["--sigma", "auto"]) {
        assert!(sample["sigma"].is_null() && sample["dimension"].is_null() && sample["stderr"].is_null(), "{sample}");
        assert!(
            sample["note"].as_str().is_some_and(|n| n.starts_with("no plateau from sigma 0.050 to 10.000")),
            "{sample}"
        );
    }
    for sample in lid(&["--method", "mle", "--reference", "stripes.idx", "--setting", "20"]) {
        assert!(sample["stderr"].is_null() && sample["note"] == "stderr unknown: one query", "{sample}");
    }
}

/// A training is refused if the card predicts something else, and a generator's card may not ask for a condition.
#[test]
fn bad_trainings_of_denoisers_are_refused() {
    for (file, text, from, to, words) in [
        ("mini.toml", CONFIG, "\"edm\"", "\"flow\"", ["denoiser.prediction", "\"flow\""]),
        ("mini.toml", CONFIG, "labels = \"labels.idx\"\n", "", ["data.labels", "missing"]),
        ("mini.card.toml", CARD, "family = \"diffusion\"", "family = \"gan\"", ["denoiser", "family"]),
    ] {
        let dir = setting();
        assert!(text.contains(from));
        fs::write(dir.path().join(file), text.replace(from, to)).unwrap();
        train(dir.path(), "two").fails(2, &words);
    }
}
