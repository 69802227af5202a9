//! Training, through the program: resumed equals unbroken, bit for bit; bad data is refused.

use crate::cli::Isoline;
use std::fs;
use std::path::Path;

const CARD: &str = r#"format = 1
id = "mini"
family = "gan"
about = "for tests"
[latent]
shape = [3]
prior = "normal"
[sample]
shape = [1, 6, 6]
range = [-1.0, 1.0]
[provenance]
trained_on = "stripes"
licence = "CC0-1.0"
how = "draft"
[[layers]]
kind = "linear"
key = "g.in"
out = 36
[[layers]]
kind = "reshape"
shape = [4, 3, 3]
[[layers]]
kind = "batch_norm"
key = "g.norm"
[[layers]]
kind = "leaky_relu"
slope = 0.2
[[layers]]
kind = "conv_transpose2d"
key = "g.up"
out = 1
kernel = 4
stride = 2
padding = 1
[[layers]]
kind = "tanh"
"#;

const CONFIG: &str = r#"card = "mini.card.toml"
objective = "gan"
epochs = 2
batch = 16
learning_rate = 1e-2
seed = 3
ema = 0.9
[data]
kind = "idx"
path = "stripes.idx"
[settings]
instance_noise = 0.1
[[settings.discriminator]]
kind = "linear"
key = "d.in"
out = 16
[[settings.discriminator]]
kind = "leaky_relu"
slope = 0.2
[[settings.discriminator]]
kind = "linear"
key = "d.out"
out = 1
"#;

pub fn setting() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut idx: Vec<u8> = [0x803u32, 100, 6, 6].iter().flat_map(|v| v.to_be_bytes()).collect();
    idx.extend((0..100u32).flat_map(|i| (0..36u32).map(move |p| if (p % 6 + i) % 3 == 0 { 255 } else { 10 })));
    fs::write(dir.path().join("stripes.idx"), idx).unwrap();
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

#[test]
fn a_resumed_training_equals_an_unbroken_one() {
    let dir = setting();
    train(dir.path(), "whole").succeeds();
    train(dir.path(), "parts").arg("--stop-after").arg("1").succeeds();
    assert!(!dir.path().join("parts").exists());
    train(dir.path(), "parts").succeeds();
    let weights = |name: &str| fs::read(dir.path().join(name).join("weights.safetensors")).unwrap();
    assert!(weights("whole") == weights("parts"), "weights differ after a resume");
    let metrics =
        |name: &str| fs::read_to_string(dir.path().join(format!("work-{name}/metrics.jsonl"))).unwrap().lines().count();
    assert_eq!((metrics("whole"), metrics("parts")), (2, 2));
    assert!(dir.path().join("work-whole/samples/epoch-0002.png").is_file());
}

/// Noise on the pictures, told or not, is part of the training: it resumes to the same bits, and other noise gives another model. What reads
/// the level is not in the model.
#[test]
fn noised_pictures_are_learnt_and_the_level_is_left_out() {
    let dir = setting();
    let weights = |name: &str| fs::read(dir.path().join(name).join("weights.safetensors")).unwrap();
    let noise = |keys: &str| {
        fs::write(dir.path().join("mini.toml"), CONFIG.replace("[settings]", &format!("[noise]\n{keys}\n[settings]")))
            .unwrap();
    };
    train(dir.path(), "plain").succeeds();
    noise("sigma = 0.0");
    train(dir.path(), "none").succeeds();
    assert!(weights("plain") == weights("none"));
    let mut all = vec![weights("plain")];
    for (name, keys) in [("noised", "sigma = 0.3"), ("told", "sigma = 0.3\nconditional = true")] {
        noise(keys);
        train(dir.path(), name).succeeds();
        train(dir.path(), "parts").arg("--stop-after").arg("1").succeeds();
        train(dir.path(), "parts").succeeds();
        assert!(weights(name) == weights("parts"), "{name}: weights differ after a resume");
        fs::remove_dir_all(dir.path().join("work-parts")).unwrap();
        // As many weights as without noise, and others.
        assert!(all.iter().all(|w| w.len() == weights(name).len() && *w != weights(name)), "{name}");
        all.push(weights(name));
        Isoline::new(&["generate", "-q", "--device", "cpu", "--mode", "balanced", "--seeds", "0-3", "-m", name, "-o"])
            .arg(format!("made-{name}"))
            .cwd(dir.path())
            .succeeds();
    }
    noise("sigma = -0.3");
    train(dir.path(), "no").fails(2, &["mini.toml: noise.sigma", "expected 0 to 100", "found -0.3"]);
    noise("sigma = 0.3\nconditionl = true");
    train(dir.path(), "no").fails(2, &["mini.toml", "conditionl", "did you mean \"conditional\""]);
    noise("conditional = true");
    train(dir.path(), "no").fails(2, &["mini.toml: noise.conditional", "sigma above 0"]);
}

#[test]
fn a_model_trains_its_reward_twice_to_the_same_bytes() {
    let dir = setting();
    train(dir.path(), "mini").succeeds();
    fs::write(
        dir.path().join("reward.toml"),
        "model = \"mini\"\n[labels]\ncount = 2048\nestimator = \"exact\"\n[fit]\nwidth = 64\nblocks = 2\nepochs = 40\nbatch = 64\nlearning_rate = 3e-3\n",
    )
    .unwrap();
    let reward = |work: &str| {
        let text = Isoline::new(&["train-reward", "-q", "--device", "cpu", "--json", "-c", "reward.toml", "-o", work])
            .cwd(dir.path())
            .succeeds();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        (fs::read(dir.path().join("mini/reward/reward.safetensors")).unwrap(), report["spearman"].as_f64().unwrap())
    };
    let (first, spearman) = reward("labels-a");
    assert!(first == reward("labels-b").0, "two trainings differ");
    // 1,639 labels of a map with a kink in every unit. A network that learnt nothing from the latents would reach 0.
    assert!(spearman > 0.8, "{spearman}");
    for name in ["card.toml", "calibration.safetensors", "report.json", "report.html"] {
        assert!(dir.path().join("mini/reward").join(name).is_file(), "{name}");
    }
    // A damaged part of the label table is made again.
    let mut parts = fs::read_dir(dir.path().join("labels-a")).unwrap().map(|e| e.unwrap().path());
    let part = parts.find(|p| p.extension().is_some_and(|e| e == "safetensors")).unwrap();
    fs::write(part, b"damaged").unwrap();
    assert!(first == reward("labels-a").0, "labels differ after a resume");
    // The reward belongs to these weights only.
    let mut config = fs::read_to_string(dir.path().join("mini.toml")).unwrap();
    config = config.replace("seed = 3", "seed = 4");
    fs::write(dir.path().join("mini.toml"), config).unwrap();
    fs::remove_dir_all(dir.path().join("work-mini")).unwrap();
    train(dir.path(), "mini").succeeds();
    Isoline::new(&["generate", "-q", "--device", "cpu", "-m", "mini", "--mode", "novel", "--seeds", "1"])
        .cwd(dir.path())
        .fails(3, &["reward", "other weights"]);
}

#[test]
fn bad_training_input_is_refused() {
    let dir = setting();
    let config = |from: &str, to: &str| fs::write(dir.path().join("mini.toml"), CONFIG.replace(from, to)).unwrap();
    config("batch = 16", "batch = 1");
    train(dir.path(), "a").fails(2, &["mini.toml: batch", "expected 2 to 4096", "found 1"]);
    config("objective = \"gan\"", "objective = \"gam\"");
    train(dir.path(), "a").fails(2, &["objective", "did you mean \"gan\""]);
    config("stripes.idx", "absent.idx");
    train(dir.path(), "a").fails(4, &["absent.idx"]);
    config("learning_rate = 1e-2", "learning_rat = 1e-2");
    train(dir.path(), "a").fails(2, &["mini.toml", "learning_rat"]);
    // A linear map has the same geometry everywhere.
    let flat = crate::cli::TinyModel::new();
    Isoline::new(&["train-reward", "-q", "--device", "cpu", "--labels", "2048", "-o"])
        .arg(dir.path().join("l"))
        .arg("-m")
        .arg(flat.folder())
        .fails(3, &["psi_k", "constant"]);
}
