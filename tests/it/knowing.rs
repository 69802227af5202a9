//! What a model knows and what it copied, through the program.

use crate::cli::{Isoline, json};
use crate::shared;
use isoline::table::{Values, read_parquet};
use std::fs;
use std::path::Path;

fn call(words: &[&str]) -> Isoline {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    Isoline::new(&["-q", "--device", "cpu"]).args(words).env("ISOLINE_MODELS", models)
}

/// An IDX file of pictures of 28×28.
fn idx(path: &Path, pictures: &[Vec<u8>]) {
    let head: Vec<u8> = [2051u32, pictures.len() as u32, 28, 28].iter().flat_map(|v| v.to_be_bytes()).collect();
    fs::write(path, [head, pictures.concat()].concat()).unwrap();
}

/// Pictures that differ, with `bright` of 784 pixels lit.
fn drawn(i: usize, bright: usize) -> Vec<u8> {
    let mut pixels = vec![0; 784];
    (0..bright).for_each(|j| pixels[(i * 131 + j * 17) % 784] = 200 + (i % 50) as u8);
    pixels
}

/// A model's own pictures as its training set: each sample's nearest picture is itself, at the distance of rounding to bytes. The
/// model varies there, so that it is free.
#[test]
fn an_audit_finds_the_nearest_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let made =
        call(&["generate", "-m", "digits-vae", "--mode", "balanced", "--seeds", "0-59", "-o"]).arg(at("run")).run();
    assert_eq!(made.code, 0, "{}", made.stderr);
    let audit = || call(&["memorisation", "audit", "digits-vae", "--seeds", "0-9", "--train"]).arg(at("run/images"));
    let found = json(&audit().arg("--json").arg("-o").arg(at("audit")).succeeds());
    assert_eq!((found["train"].as_u64(), found["neighbours"].as_u64()), (Some(60), Some(20)));
    for (i, sample) in found["samples"].as_array().unwrap().iter().enumerate() {
        assert_eq!(sample["nearest"], i, "{sample}");
        // Rounding to bytes moves a value by at most half of 1/255.
        assert!(sample["distance"].as_f64().unwrap() <= 28.0 * 0.51 / 255.0, "{sample}");
        assert!(sample["calibrated"].as_f64().unwrap() < 0.2 && sample["verdict"] == "free", "{sample}");
        let dimension = sample["dimension"].as_f64().unwrap();
        assert!((4.0..=13.0).contains(&dimension) && sample["denoising"].is_null(), "{sample}");
    }
    let (table, _) = read_parquet(&at("audit/memorisation.parquet")).unwrap();
    assert!(matches!(&table.column("nearest").unwrap().values, Values::U64(v) if v.len() == 10));
    // Ten pairs of pictures, three times as large, with a margin.
    let sheet = isoline::render::png::read_picture(&at("audit/nearest.png")).unwrap();
    assert_eq!((sheet.height, sheet.width), (2 * 88 + 4, 10 * 88 + 4));
    let page = fs::read_to_string(at("audit/report.html")).unwrap();
    assert!(page.contains("What digits-vae copied") && page.matches("<figure>").count() == 20);
    let told = audit().succeeds();
    assert!(told.contains("free") && !told.contains("AUC"), "{told}");
}

/// Training sets that have no neighbourhoods, or of another shape, and models without a denoiser.
#[test]
fn a_set_that_says_nothing_is_refused_or_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    idx(&at("two.idx"), &[drawn(0, 90), drawn(1, 90)]);
    idx(&at("same.idx"), &vec![drawn(0, 90); 12]);
    idx(&at("some.idx"), &(0..60).map(|i| drawn(i, 40 + i)).collect::<Vec<_>>());
    let audit = |train: &str| call(&["memorisation", "audit", "digits-vae", "--train"]).arg(at(train));
    audit("two.idx").fails(2, &["--train", "2 pictures, expected at least 3"]);
    audit("none.idx").fails(4, &["none.idx", "No such file"]);
    audit("some.idx").args(&["--neighbours", "1"]).fails(2, &["--neighbours", "at least 2"]);
    audit("some.idx")
        .args(&["--seeds", "0-1"])
        .arg("--pictures")
        .arg(at("two.idx"))
        .fails(2, &["--pictures", "no denoiser"]);
    // Twelve times the same picture have no dimension. Among others it has none either, and nothing is divided by zero.
    audit("same.idx").fails(2, &["--train", "the data have no dimension"]);
    let mixed: Vec<Vec<u8>> = (0..60).map(|i| drawn(i, 40 + i)).chain(vec![drawn(0, 300); 12]).collect();
    idx(&at("mixed.idx"), &mixed);
    let found = json(&audit("mixed.idx").args(&["--seeds", "0-15", "--json"]).succeeds());
    for sample in found["samples"].as_array().unwrap() {
        let copied = sample["copies"] == 12;
        assert_eq!(sample["data_dimension"] == 0.0, copied, "{sample}");
        assert!(sample["calibrated"].as_f64().is_some_and(f64::is_finite), "{sample}");
    }
    let fit = |model: &str, more: &[&str]| {
        call(&["ood", "fit", model, "--train"]).arg(at("some.idx")).args(more).arg("-o").arg(at("ood.toml"))
    };
    fit("digits-vae", &["--seeds", "0-49"]).fails(2, &["digits-vae", "no diffusion model"]);
    fit("digits-diffusion", &["--seeds", "0-9"]).fails(2, &["--seeds", "10 pictures, expected at least 40"]);
    fit("digits-diffusion", &["--seeds", "0-99"]).fails(2, &["--seeds", "the set has pictures 0 to 59"]);
    fit("digits-diffusion", &["--seeds", "0-49", "--sigma", "1e-9"]).fails(2, &["--sigma"]);
    fit("digits-diffusion", &["--seeds", "0-49", "--probes", "1"]).fails(2, &["--probes", "at least 2"]);
    assert!(!at("ood.toml").exists());
    let score = |file: &str| call(&["ood", "score", "digits-diffusion", "--fit"]).arg(at(file));
    score("nothing.toml").fails(3, &["nothing.toml", "isoline ood fit makes it"]);
    score("some.idx").fails(2, &["some.idx", "expected UTF-8 text"]);
    score("nothing.toml").args(&["--alpha", "1.5"]).fails(2, &["--alpha", "between 0 and 1"]);
    call(&["diagnose", "digits-vae", "--low", "2", "--high", "1"]).fails(2, &["--low", "the second is greater"]);
}

/// A fit and a score from end to end: noise is off the manifold, and a fit of another model is refused.
#[test]
#[ignore = "needs the shared data"]
fn pictures_are_judged_by_what_is_usual() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let digits = shared::data().join("datasets/mnist/t10k-images-idx3-ubyte.gz");
    let fast = ["--steps", "6", "--probes", "2"];
    let fitted = call(&["ood", "fit", "digits-diffusion", "--seeds", "0-39"]).args(&fast).arg("--train").arg(&digits);
    assert_eq!(fitted.arg("-o").arg(at("ood.toml")).run().code, 0);
    let noise = |i: usize| (0..784).map(|j| ((i * 7919 + j * j * 31 + j * 17) % 251) as u8).collect::<Vec<u8>>();
    idx(&at("noise.idx"), &(0..50).map(noise).collect::<Vec<_>>());
    let score = |pictures: &Path| {
        call(&["ood", "score", "digits-diffusion", "--seeds", "40-47", "--json", "--fit"])
            .arg(at("ood.toml"))
            .arg("--pictures")
            .arg(pictures)
            .arg("--against")
            .arg(&digits)
            .arg("-o")
            .arg(at("score"))
    };
    let found = json(&score(&at("noise.idx")).succeeds());
    assert!(found["pictures"].as_array().unwrap().iter().all(|p| p["verdict"] == "off-manifold"), "{found}");
    assert_eq!(found["separation"]["likelihood"]["auc"], 1.0);
    assert_eq!(found["separation"]["pair"]["auc"], 1.0);
    assert!(fs::read_to_string(at("score/report.html")).unwrap().contains("off the manifold"));
    // The same digits on both sides cannot be told apart.
    let same = json(&score(&digits).succeeds());
    assert_eq!(same["separation"]["pair"]["auc"], 0.5);
    let text = fs::read_to_string(at("ood.toml")).unwrap();
    let hash = text.split("model_sha256 = \"").nth(1).unwrap()[..8].to_owned();
    fs::write(at("ood.toml"), text.replace(&hash, "00000000")).unwrap();
    score(&digits).fails(3, &["ood.toml", "another model"]);
}

/// What may be concluded, in words, of a model with a density on its surface and of a diffusion model.
#[test]
fn a_diagnosis_says_what_may_be_concluded() {
    let dir = tempfile::tempdir().unwrap();
    let vae = call(&["diagnose", "digits-vae", "--seeds", "0-7"]).succeeds();
    assert!(vae.contains("12 of 12") && vae.contains("exists and may be compared") && !vae.contains("sigma"), "{vae}");
    let told =
        call(&["diagnose", "digits-diffusion", "--seeds", "0", "--probes", "2", "-o"]).arg(dir.path()).succeeds();
    for words in [
        "quote no likelihood without its sigma",
        "of 784 directions were measured",
        "growth without bound",
        "is no denoiser there",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(dir.path().join("density.parquet").exists() && dir.path().join("density.svg").exists());
    let report = json(&fs::read_to_string(dir.path().join("study.json")).unwrap());
    assert_eq!(report["density"]["levels"].as_array().unwrap().len(), 5);
}
