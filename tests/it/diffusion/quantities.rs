//! Rewards of quantities other than ψ_k of the sampler: trained by name, chosen by name, measured at the picture
//! itself.

use super::models::{setting, train};
use crate::cli::Isoline;
use isoline::generator::{AtSigma, Attribute, Classifier, Generator, OutputSpec, Sampler};
use isoline::geometry::{estimator, psi_k};
use isoline::noise::{self, Stream};
use isoline::render::png;
use isoline::tensors::{host, rows};
use serde_json::Value;
use std::fs;
use std::path::Path;

const FIT: &str = "[noised]\nsigma = [0.05, 5.0]\nsigma_data = 1.0\n\
                   [fit]\nwidth = 16\nblocks = 0\nepochs = 6\nbatch = 64\nlearning_rate = 3e-3\n";

fn config(name: &str, quantity: &str, estimator: &str) -> String {
    format!(
        "model = \"mini\"\nname = \"{name}\"\n[labels]\ncount = 2048\nquantity = \"{quantity}\"\nestimator = \"{estimator}\"\n{FIT}"
    )
}

fn teach(dir: &Path, text: &str) -> Isoline {
    fs::write(dir.join("reward.toml"), text).unwrap();
    Isoline::new(&["train-reward", "-q", "--device", "cpu", "--json", "-c", "reward.toml"]).cwd(dir)
}

/// The samples of a run.
fn samples(dir: &Path, reward: &str, out: &str, more: &[&str]) -> Vec<Value> {
    let text = Isoline::new(&["generate", "-q", "--device", "cpu", "--json", "-m", "mini", "--set", "tile=4"])
        .args(&["--reward", reward, "--seeds", "4-7", "-o", out])
        .args(more)
        .cwd(dir)
        .succeeds();
    let rows: Value = serde_json::from_str(&text).unwrap();
    rows.as_array().unwrap().iter().map(|r| r["sample"].clone()).collect()
}

fn numbers(samples: &[Value], key: &str) -> Vec<f64> {
    samples.iter().map(|s| s[key].as_f64().unwrap_or_else(|| panic!("{key} of {s}"))).collect()
}

/// ψ_k of the denoiser at the pictures of seeds 4 to 7, with one tangent for every pixel.
fn denoiser_psi(dir: &Path, sigma: f64, k: usize) -> Vec<f64> {
    let (_, device) = isoline::device::open("cpu").unwrap();
    let sampler = Sampler::load(&dir.join("mini"), &device).unwrap();
    let d = sampler.spec().latent_width;
    let z: Vec<f32> = (4..8).flat_map(|s| noise::normals(0, s, Stream::Latent, 0, d)).collect();
    let pictures = host(sampler.generate(rows(z, d, &device))).unwrap();
    let noise = noise::normals(0, 0, Stream::Probe, 6, d);
    let noised: Vec<f32> = pictures.iter().zip(noise.iter().cycle()).map(|(x, e)| x + sigma as f32 * e).collect();
    // Each in a call of its own, since a picture's value must not depend on others.
    let at = AtSigma::new(&sampler, sigma).unwrap();
    let one = |x: &[f32]| {
        let found = estimator("exact").unwrap().spectra(&at, x).unwrap();
        psi_k(&found[0].as_ref().unwrap().singular_values, k).unwrap()
    };
    noised.chunks_exact(d).map(one).collect()
}

/// −ln of the shares of what the network of portraits sees in the pictures of seeds 4 to 7, as they lie in a run folder.
fn rarity(run: &Path) -> Vec<f64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/peeps-attributes");
    let classifier = Classifier::load(&folder, &isoline::device::open("cpu").unwrap().1).unwrap();
    let read = |seed: u64| {
        let picture = png::read_picture(&run.join(format!("images/{seed:06}.png"))).unwrap();
        let seen = classifier.attributes(&[&picture]).unwrap();
        let of = |(output, seen): (&OutputSpec, Attribute)| match seen {
            Attribute::Classes(p) => p.iter().zip(&output.shares).map(|(p, s)| -f64::from(*p) * s.ln()).sum::<f64>(),
            Attribute::Numbers(_) => 0.0,
        };
        classifier.outputs().iter().zip(seen).map(of).sum()
    };
    (4..8).map(read).collect()
}

#[test]
fn rewards_of_pictures_are_measured_at_the_picture() {
    let dir = setting();
    let root = dir.path();
    train(root, "mini").succeeds();
    let cases = [
        ("volume", "denoiser-psi:0.5", "exact"),
        ("flow", "likelihood", "hutchinson:4"),
        ("lid", "dimension:0.5", "exact"),
        ("rare", "rarity", concat!(env!("CARGO_MANIFEST_DIR"), "/models/peeps-attributes")),
    ];
    for (name, quantity, estimator) in cases {
        let report: Value = serde_json::from_str(&teach(root, &config(name, quantity, estimator)).succeeds()).unwrap();
        let folder = root.join(format!("mini/reward-{name}"));
        assert!(folder.join("card.toml").is_file() && report["labels"] == 2048, "{report}");
        let plain = samples(root, name, &format!("{name}-plain"), &["--mode", "balanced"]);
        let measured = numbers(&plain, "measured");
        assert!(plain.iter().all(|s| s["psi_k"].is_null() && s["psi_predicted"].is_null()), "{plain:?}");
        // The truth, found without the rewards: the spectra by hand, and `isoline lid`.
        let truth = match name {
            "volume" => {
                let card = fs::read_to_string(folder.join("card.toml")).unwrap();
                let rank = card.lines().find_map(|l| l.strip_prefix("model_rank = ")).unwrap().parse().unwrap();
                denoiser_psi(root, 0.5, rank)
            }
            "lid" => {
                let text =
                    Isoline::new(&["lid", "estimate", "-q", "--device", "cpu", "mini", "--json", "--sigma", "0.5"])
                        .args(&["--probes", "0", "--seeds", "4-7"])
                        .cwd(root)
                        .succeeds();
                let found: Value = serde_json::from_str(&text).unwrap();
                numbers(found["samples"].as_array().unwrap(), "dimension")
            }
            "rare" => rarity(&root.join(format!("{name}-plain"))),
            // The flow's own tests have its closed forms. Here the point is that it is negated: novelty grows as ln p
            // falls.
            _ => measured.clone(),
        };
        for (m, t) in measured.iter().zip(&truth) {
            // They may differ by the rounding of one f32 pass in another batch.
            assert!((m - t).abs() < 1e-3 * (1.0 + t.abs()), "{name}: {m} {t}");
        }
        // A guide that does nothing gives the plain picture, and so the plain value: there is no way back that could
        // add a bias.
        let idle = samples(root, name, &format!("{name}-idle"), &["--method", "density", "--guidance", "0"]);
        for (a, b) in numbers(&idle, "measured").iter().zip(&measured) {
            assert!((a - b).abs() < 1e-3 * (1.0 + b.abs()), "{name}: {a} {b}");
        }
        // Steering through the noise and a guide are measured, resumed and made again like any run.
        for method in ["gradient", "forward"] {
            let out = format!("{name}-{method}");
            let asked = ["--method", method, "--novelty", "80"];
            let found = samples(root, name, &out, &asked);
            let reached = numbers(&found, "novelty_reached");
            assert!(reached.iter().all(|r| (0.0..=100.0).contains(r)), "{reached:?}");
            assert_eq!(samples(root, name, &out, &asked), found, "{out}: resumed");
            Isoline::new(&["verify", "-q", &out]).cwd(root).succeeds();
            let picture = root.join(&out).join(found[1]["file"].as_str().unwrap());
            let again = Isoline::new(&["generate", "-q", "--device", "cpu", "-m", "mini", "-o"])
                .args(&[&format!("{out}-again"), "--from"])
                .arg(&picture)
                .cwd(root)
                .succeeds();
            assert!(fs::read(root.join(again.trim())).unwrap() == fs::read(&picture).unwrap(), "{out}");
        }
    }
    // The reward is calibrated: the novelty of unguided samples is uniform by construction, so the mean of 64 of them
    // is 50 ± 3.6.
    let text = Isoline::new(&["generate", "-q", "--device", "cpu", "--json", "-m", "mini", "--reward", "volume"])
        .args(&["--mode", "balanced", "--seeds", "0-63", "-o", "many"])
        .cwd(root)
        .succeeds();
    let rows: Value = serde_json::from_str(&text).unwrap();
    let many: Vec<Value> = rows.as_array().unwrap().iter().map(|r| r["sample"].clone()).collect();
    let reached = numbers(&many, "novelty_reached");
    let mean = reached.iter().sum::<f64>() / 64.0;
    assert!((mean - 50.0).abs() < 4.0 * 28.9 / 8.0, "{mean}");
    let listed = Isoline::new(&["list", "rewards"]).cwd(root).env("ISOLINE_MODELS", ".").succeeds();
    assert!(listed.contains("mini --reward volume") && listed.contains("denoiser-psi:0.5"), "{listed}");
    // A reward that sees latents predicts nothing for a picture with a class, but the picture is still measured.
    let latent =
        config("latent", "dimension:0.5", "exact").replace("[noised]\nsigma = [0.05, 5.0]\nsigma_data = 1.0\n", "");
    teach(root, &latent).succeeds();
    let three = samples(root, "latent", "classed", &["--method", "none", "--mode", "balanced", "--class", "2"]);
    assert!(three.iter().all(|s| s["novelty_predicted"].is_null()) && numbers(&three, "measured").len() == 4);
    refusals(root);
}

fn refusals(root: &Path) {
    let generate = |reward: &str| {
        Isoline::new(&["generate", "-q", "--device", "cpu", "-m", "mini", "--seeds", "1", "--reward", reward]).cwd(root)
    };
    generate("absent").fails(3, &["reward-absent", "no reward here", "name = \"absent\""]);
    generate("../up").fails(2, &["reward", "../up"]);
    for (name, quantity, estimator, words) in [
        ("a", "denoiser-psi", "exact", ["labels.quantity", "behind a colon"]),
        ("a", "denoiser-psy:0.3", "exact", ["labels.quantity", "did you mean \"denoiser-psi\""]),
        ("a", "likelihood", "input-subspace:8", ["labels.estimator", "hutchinson:P"]),
        ("A/b", "psi", "exact", ["name", "A/b"]),
    ] {
        teach(root, &config(name, quantity, estimator)).fails(2, &words);
    }
    let ranked = config("a", "likelihood", "exact").replace("[labels]", "model_rank = 3\n[labels]");
    teach(root, &ranked).fails(2, &["model_rank", "no spectrum"]);
    // A one-pass generator has no denoiser.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan");
    fs::write(root.join("reward.toml"), config("a", "likelihood", "exact")).unwrap();
    Isoline::new(&["train-reward", "-q", "--device", "cpu", "-c", "reward.toml", "-m"])
        .arg(folder)
        .cwd(root)
        .fails(2, &["labels.quantity", "no diffusion model"]);
    assert!(!root.join("runs/labels-digits-gan-a").join("recipe.toml").exists(), "a refused folder was claimed");
}
