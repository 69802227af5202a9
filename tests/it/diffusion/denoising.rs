//! Taking the last noise away at once, by Tweedie's formula: on a plane where the answer is known, on a circle that was learnt, and
//! through the program.

use super::{Component, Mixture, cpu, host64, rows64};
use crate::cli::{Isoline, TinyModel, json};
use isoline::cancel::Cancel;
use isoline::diffusion::lid::{Cloud, ScoreConfig, train_score};
use isoline::diffusion::{Denoiser, State, to_f64};
use isoline::noise::{Stream, normals, uniforms};
use isoline::progress::{Progress, ProgressMode};
use isoline::render::png::read_picture;
use isoline::steer::denoiser::sampler_of;
use std::fs;
use std::path::Path;

fn tweedie(model: &dyn Denoiser, y: &[f64], width: usize, sigma: f64) -> Vec<f64> {
    host64(model.denoise(&State::plain(rows64(y.to_vec(), width)), sigma, None).unwrap().value)
}

fn noised(x: &[f64], sigma: f64) -> Vec<f64> {
    let noise = normals(8, 0, Stream::Probe, 0, x.len());
    x.iter().zip(noise).map(|(x, e)| x + sigma * f64::from(e)).collect()
}

fn rms(of: impl Iterator<Item = f64>) -> f64 {
    let squares: Vec<f64> = of.map(|v| v * v).collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

/// A plane in ten values: what is off it vanishes, and along it the variance shrinks to 1/(1 + σ²), because a mean varies less than
/// what it is the mean of. Without the step all of it stays: the negative control.
#[test]
fn on_a_plane_nothing_off_it_is_left() {
    let (n, sigma) = (4000, 0.2);
    let plane = Mixture::gaussian(vec![0.0; 10], [vec![1.0; 2], vec![0.0; 8]].concat());
    let z = normals(7, 0, Stream::Latent, 0, 2 * n);
    let x: Vec<f64> =
        z.chunks(2).flat_map(|z| [vec![f64::from(z[0]), f64::from(z[1])], vec![0.0; 8]].concat()).collect();
    let y = noised(&x, sigma);
    let off = |rows: &[f64]| rms(rows.chunks(10).map(|r| r[2..].iter().map(|v| v * v).sum::<f64>().sqrt()));
    let along = |rows: &[f64]| rms(rows.chunks(10).flat_map(|r| r[..2].to_vec())).powi(2);
    let end = tweedie(&plane, &y, 10, sigma);
    // σ√(D − d) = 0.566; 32,000 squares have a relative standard deviation of 0.008.
    assert!((off(&y) - 0.566).abs() < 0.01 && off(&end) < 1e-5, "{} {}", off(&y), off(&end));
    let shrunk = 1.0 / (1.0 + sigma * sigma);
    assert!((along(&end) / along(&y) - shrunk * shrunk).abs() < 1e-9 && (along(&end) - shrunk).abs() < 0.05);
}

/// The step does not depend on the scale and origin in which pictures are written, as long as the noise is written in the same.
#[test]
fn scale_and_origin_change_nothing() {
    let component = |mean: f64, variance: f64, a: f64, b: f64| Component {
        weight: 1.0,
        mean: (0..3).map(|i| a * (mean + f64::from(i)) + b).collect(),
        variances: vec![a * a * variance; 3],
        axes: None,
    };
    let model = |a: f64, b: f64| Mixture::new(vec![component(0.0, 0.5, a, b), component(2.0, 0.1, a, b)]);
    let y: Vec<f64> = normals(9, 0, Stream::Latent, 0, 60).into_iter().map(|v| 2.0 * f64::from(v)).collect();
    let plain = tweedie(&model(1.0, 0.0), &y, 3, 0.4);
    for (a, b) in [(2.0, -1.0), (1.0 / 255.0, 0.5)] {
        let there: Vec<f64> = y.iter().map(|v| a * v + b).collect();
        let end = tweedie(&model(a, b), &there, 3, 0.4 * a);
        for (x, y) in plain.iter().zip(&end) {
            assert!((x - (y - b) / a).abs() < 1e-4, "{a}: {x} {y}");
        }
    }
}

/// A network that learnt a circle takes at least three quarters of what is off it away.
#[test]
#[ignore = "half a minute"]
fn a_network_that_learnt_a_circle_takes_the_noise_away() {
    let (sigma, n) = (0.1, 1000);
    let circle = |seed: u64| -> Vec<f64> {
        let angles = uniforms(seed, 0, Stream::Training, 0, n).into_iter();
        angles.map(|u| std::f64::consts::TAU * f64::from(u)).flat_map(|a| [a.cos(), a.sin()]).collect()
    };
    let config = ScoreConfig { steps: 4000, ..ScoreConfig::default() };
    let progress = Progress::new(ProgressMode::None, true);
    let cloud = Cloud { values: circle(1), width: 2 };
    let model = train_score(&cloud, &config, "a circle", &cpu(), &progress, &Cancel::never()).unwrap().0;
    let y = noised(&circle(2), sigma);
    let x = isoline::tensors::rows(y.iter().map(|v| *v as f32).collect(), 2, &cpu());
    let end = host64(model.denoise(&State::plain(x), sigma, None).unwrap().value);
    let off = |rows: &[f64]| rms(rows.chunks(2).map(|r| r[0].hypot(r[1]) - 1.0));
    eprintln!("off the circle: {:.4} -> {:.4}", off(&y), off(&end));
    assert!(off(&y) >= 4.0 * off(&end), "{} {}", off(&y), off(&end));
}

fn generate(words: &[&str]) -> Isoline {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    Isoline::new(&["-q", "--device", "cpu", "generate", "--mode", "balanced", "--method", "none", "--no-metadata"])
        .args(words)
        .env("ISOLINE_MODELS", models)
}

/// The end of every sampler is such a step: taken from its own last level it changes nothing. From a higher one pictures get
/// smoother, and without it they keep their noise.
#[test]
fn the_last_step_of_a_sampler_is_tweedies() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let made = |name: &str, words: &[&str]| {
        let run = generate(&["-m", "digits-diffusion", "--seeds", "0-3", "--json"]).args(words).arg("-o").arg(at(name));
        let rows = json(&run.succeeds());
        let pictures: Vec<Vec<f64>> = (0..4)
            .map(|i| read_picture(&at(name).join(format!("images/{i:06}.png"))).unwrap())
            .map(|p| p.pixels.iter().map(|v| f64::from(*v)).collect())
            .collect();
        (rows, pictures)
    };
    // How much neighbours differ.
    let rough = |p: &[Vec<f64>]| rms(p.iter().flat_map(|p| p.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>()));
    let (_, usual) = made("usual", &["--denoise", "conditional"]);
    let (_, least) = made("least", &["--denoise", "tweedie", "--denoise-sigma", "0.02"]);
    let most = usual.concat().iter().zip(least.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(most <= 1.0, "{most}");
    let (rows, kept) = made("kept", &["--denoise", "noise-conditional", "--denoise-sigma", "0.5"]);
    let (_, taken) = made("taken", &["--denoise", "tweedie", "--denoise-sigma", "0.5"]);
    let [usual, kept, taken] = [rough(&usual), rough(&kept), rough(&taken)];
    assert!(kept > usual && taken < usual, "{usual} {kept} {taken}");
    // No noise stands for such a picture, and a reward of noise says so.
    assert!(rows.as_array().unwrap().iter().all(|r| r["sample"]["status"] == "unmeasured"), "{rows}");
    generate(&["-m", "digits-diffusion", "--seeds", "0", "--denoise", "tweedie"])
        .fails(2, &["denoise_sigma: expected"]);
    let bad = |sigma: &str, parts: &[&str]| {
        generate(&["-m", "digits-diffusion", "--seeds", "0", "--denoise", "tweedie", "--denoise-sigma", sigma])
            .arg("-o")
            .arg(at("no"))
            .fails(2, parts);
    };
    bad("0", &["denoise_sigma", "above 0"]);
    bad("50", &["--denoise-sigma", "to below 40"]);
    let plain = ["-m", "digits-gan", "--seeds", "0", "--denoise", "tweedie", "--denoise-sigma", "0.5"];
    generate(&plain)
        .arg("-o")
        .arg(at("no"))
        .fails(2, &["--denoise: \"digits-gan\" has no denoiser; name a diffusion model"]);
}

/// A model without a denoiser borrows one: its pictures are what that denoiser makes of them. Each is the same alone and in company, and
/// made again from its file; with another noise level it is another.
#[test]
fn another_models_denoiser_finishes_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let by = |sigma: &'static str| ["--denoise", "tweedie", "--denoiser", "digits-diffusion", "--denoise-sigma", sigma];
    let run = |name: &str, seeds: &str, more: &[&str]| {
        let run = Isoline::new(&[
            "-q",
            "--device",
            "cpu",
            "generate",
            "-m",
            "digits-gan",
            "--mode",
            "balanced",
            "--method",
            "none",
        ]);
        run.args(&["--seeds", seeds]).args(more).arg("-o").arg(at(name)).succeeds();
        fs::read(at(name).join("images/000002.png")).unwrap()
    };
    let values = |name: &str| -> Vec<f64> {
        let picture = read_picture(&at(name).join("images/000002.png")).unwrap();
        picture.pixels.iter().map(|v| f64::from(*v) / 255.0).collect()
    };
    let finished = run("finished", "0-3", &by("0.3"));
    assert_eq!(finished, run("alone", "2", &by("0.3")));
    assert_ne!(finished, run("other", "2", &by("0.1")));
    run("plain", "0-3", &[]);
    // By hand, from the picture without it. Rounded to 8 bits, it is off by 1/510 of the range in each of 784 values; a denoiser changes
    // such noise by no more than it was.
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let model = isoline::generator::load(&models.join("digits-diffusion"), &cpu()).unwrap();
    let [black, white] = model.spec().range.map(f64::from);
    let noisy: Vec<f64> = values("plain").iter().map(|v| v * (white - black) + black).collect();
    let sampler = sampler_of(&*model).unwrap();
    let rows = isoline::tensors::rows(noisy.iter().map(|v| *v as f32).collect(), 784, &cpu());
    let clean = to_f64(sampler.denoiser().denoise(&State::plain(rows), 0.3, None).unwrap().value).unwrap();
    let clean = clean.iter().map(|v| ((v - black) / (white - black)).clamp(0.0, 1.0));
    let off = rms(clean.zip(values("finished")).map(|(a, b)| a - b));
    let moved = rms(values("plain").iter().zip(values("finished")).map(|(a, b)| a - b));
    assert!(off < 1.5 / 255.0 && moved > 5.0 * off, "{off} {moved}");
    // The picture says by what it was finished, and is made again.
    let again = Isoline::new(&["-q", "--device", "cpu", "generate", "--from"]).arg(at("finished/images/000002.png"));
    again.arg("-o").arg(at("again")).succeeds();
    assert_eq!(finished, fs::read(at("again/images/000002.png")).unwrap());
    let recipe = fs::read_to_string(at("finished/recipe.toml")).unwrap();
    assert!(recipe.contains("denoiser = \"digits-diffusion\"") && recipe.contains("denoiser_sha256"), "{recipe}");
    let bad = |model: &str, words: &[&str], parts: &[&str]| {
        generate(&["-m", model, "--seeds", "0"]).args(words).arg("-o").arg(at("no")).fails(2, parts);
        assert!(!at("no/recipe.toml").exists());
    };
    let with = |name: &'static str, sigma: &'static str| {
        ["--denoise", "tweedie", "--denoiser", name, "--denoise-sigma", sigma]
    };
    bad("digits-gan", &with("digits-vae", "0.3"), &["--denoiser", "\"digits-vae\" has no denoiser"]);
    bad("digits-gan", &with("peeps-diffusion", "0.3"), &["--denoiser", "denoises codes"]);
    bad("digits-gan", &with("../x", "0.3"), &["denoiser: expected", "found \"../x\""]);
    bad("digits-gan", &with("digits-diffusion", "1e9"), &["--denoise-sigma", "which \"digits-diffusion\" knows"]);
    let tiny = TinyModel::new();
    bad(
        tiny.folder().to_str().unwrap(),
        &with("digits-diffusion", "0.3"),
        &["--denoiser", "pictures of the shape [1, 28, 28]"],
    );
    bad("digits-diffusion", &with("digits-diffusion", "0.3"), &["has a denoiser of its own"]);
    generate(&["-m", "digits-gan", "--seeds", "0"])
        .args(&with("digits-difusion", "0.3"))
        .fails(3, &["did you mean \"digits-diffusion\""]);
    bad("digits-gan", &["--denoiser", "digits-diffusion"], &["denoiser: needs denoise, as tweedie"]);
    bad("digits-gan", &["--denoise", "conditional"], &["--denoise", "how it was trained"]);
}
