//! What a model knows, where it is known: likelihood and dimension together on Gaussians and on digits, the growth of densities, and
//! scores beside noise.

use super::{Component, Mixture, cpu, host64, rows64, von_mises};
use crate::cli::{Isoline, json};
use crate::shared;
use isoline::acts::study::ood::Separation;
use isoline::cancel::Cancel;
use isoline::data::{DataConfig, Dataset};
use isoline::diffusion::lid::{Cloud, ScoreConfig, train_score};
use isoline::diffusion::solvers::solver;
use isoline::diffusion::{
    Denoiser, Sampling, State, Trace, densities, flipd, log_grid, log_likelihood, score_norms, slope,
};
use isoline::linalg::orthonormal_columns;
use isoline::noise::{Stream, normals, permutation};
use isoline::progress::{Progress, ProgressMode};
use isoline::steer::guard::{FitFile, Measures, Pair, Verdict};
use std::fs;
use std::path::Path;

const D: usize = 64;
const SIGMA: f64 = 0.1;
/// The level for the Gaussian of 64 values. At 0.1 only a dozen of its directions are wider than the noise, and three of them are not so few.
const FINE: f64 = 0.05;

fn doubles(seed: u64, i: u64, n: usize) -> Vec<f64> {
    normals(seed, i, Stream::Latent, 0, n).into_iter().map(f64::from).collect()
}

/// Rows `[n, D]` with coordinate j of N(0, variance(j)).
fn drawn(seed: u64, n: u64, variance: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..n)
        .flat_map(|i| {
            doubles(seed, i, D).into_iter().enumerate().map(|(j, z)| z * variance(j).sqrt()).collect::<Vec<_>>()
        })
        .collect()
}

fn pairs(model: &Mixture, x: &[f64]) -> Vec<Pair> {
    let x = rows64(x.to_vec(), D);
    let levels = log_grid(FINE, 200.0, 160);
    let logs = log_likelihood(model, &x, &levels, Trace::Exact).unwrap();
    // The integral is that of the closed form: 160 steps of Heun's method over 8.3 units of ln σ, of order 2.
    for (found, known) in logs.iter().zip(host64(model.log_density(&x, FINE))) {
        assert!((found.value - known).abs() < 0.02 * known.abs().max(50.0), "{found:?} {known}");
    }
    let dimensions = flipd(model, &x, FINE, Trace::Exact).unwrap();
    let pair = |(l, d): (isoline::diffusion::Estimate, isoline::diffusion::Flipd)| Pair {
        log_likelihood: l.value,
        dimension: d.dimension().value,
    };
    logs.into_iter().zip(dimensions).map(pair).collect()
}

fn fit(pairs: Vec<Pair>) -> FitFile {
    FitFile {
        format: FitFile::FORMAT,
        model: "known".into(),
        model_sha256: String::new(),
        data_sha256: String::new(),
        measures: Measures { sigma: SIGMA, steps: 160, probes: 0 },
        pairs,
    }
}

/// A Gaussian of 64 values with variances 1/i². Pictures of a third of the contrast, and pictures of three directions only, are denser
/// than its own and hold no mass: likelihood alone is always wrong, dimension right. White noise is the other way round. The pair is
/// right in all three, also with thresholds from the distribution alone; with the sets shuffled it finds nothing.
#[test]
fn likelihood_and_dimension_together_on_a_gaussian() {
    let own = |j: usize| 1.0 / ((j + 1) as f64).powi(2);
    let model = Mixture::gaussian(vec![0.0; D], (0..D).map(own).collect());
    let fit = fit(pairs(&model, &drawn(1, 200, own)));
    let inside = pairs(&model, &drawn(2, 200, own));
    let faint: Vec<f64> = drawn(3, 200, own).into_iter().map(|v| 0.3 * v).collect();
    let simple = drawn(4, 200, |j| if j < 3 { own(j) } else { 0.0 });
    let noise = drawn(5, 200, |_| 1.0);
    for (name, outside, verdict) in [
        ("faint", faint, Verdict::DenseWithoutMass),
        ("simple", simple, Verdict::DenseWithoutMass),
        ("noise", noise, Verdict::OffManifold),
    ] {
        let outside = pairs(&model, &outside);
        let found = Separation::of(&fit, &outside, &inside, 0.05).unwrap();
        let [likelihood, dimension] = [found.likelihood.auc, found.dimension.auc];
        match verdict {
            Verdict::OffManifold => assert!(likelihood == 1.0 && dimension <= 0.01, "{name}: {found:?}"),
            _ => assert!(likelihood <= 0.01 && dimension >= 0.999, "{name}: {found:?}"),
        }
        assert!(found.oracle >= 0.999 && found.pair.auc >= 0.99 && found.false_alarms <= 0.1, "{name}: {found:?}");
        eprintln!(
            "{name}: likelihood {likelihood:.4}, dimension {dimension:.4}, pair {:.4}, oracle {:.4}",
            found.pair.auc, found.oracle
        );
        let right = outside.iter().filter(|p| fit.place(**p).verdict(0.05) == verdict).count();
        assert!(right >= 190, "{name}: {right} of 200");
        // Negative control: which set a picture is from is decided by chance.
        let mixed: Vec<Pair> = permutation(9, Stream::Shuffle, 0, 400)
            .into_iter()
            .map(|i| if i < 200 { outside[i] } else { inside[i - 200] })
            .collect();
        let shuffled = Separation::of(&fit, &mixed[..200], &mixed[200..], 0.05).unwrap();
        assert!((shuffled.pair.auc - 0.5).abs() < 0.12, "{name}: {shuffled:?}");
    }
}

/// The same of a network that learnt such a Gaussian from points, in 32 values. Points of a third of the contrast lie within a radius,
/// in the Gaussian's own units, in which none of its 10,000 samples falls; it gives them the higher likelihood, and the pair knows better.
#[test]
#[ignore = "two minutes"]
fn a_network_never_makes_what_it_finds_dense() {
    const WIDTH: usize = 32;
    let scale = |j: usize| 1.0 / (j + 1) as f64;
    let points = |seed: u64, n: u64| -> Vec<f64> {
        let point = |i: u64| normals(seed, i, Stream::Latent, 0, WIDTH).into_iter().map(f64::from);
        (0..n).flat_map(|i| point(i).enumerate().map(|(j, z)| z * scale(j)).collect::<Vec<_>>()).collect()
    };
    let config = ScoreConfig { widths: vec![192, 192, 96], steps: 8000, ..ScoreConfig::default() };
    let progress = Progress::new(ProgressMode::None, true);
    let cloud = Cloud { values: points(1, 20_000), width: WIDTH };
    let model = train_score(&cloud, &config, "a Gaussian", &cpu(), &progress, &Cancel::never()).unwrap().0;
    let measures = Measures { sigma: SIGMA, steps: 48, probes: 0 };
    let f32_rows = |x: &[f64]| isoline::tensors::rows(x.iter().map(|v| *v as f32).collect(), WIDTH, &cpu());
    let pairs = |x: &[f64]| measures.of(&model, &f32_rows(x), 50.0).unwrap();
    let fit = fit(pairs(&points(2, 200)));
    let faint: Vec<f64> = points(4, 200).into_iter().map(|v| 0.3 * v).collect();
    let radius = |x: &[f64]| x.iter().enumerate().map(|(j, v)| (v / scale(j)).powi(2)).sum::<f64>().sqrt();
    let most = faint.chunks(WIDTH).map(radius).fold(0.0, f64::max);
    let mut sigmas = log_grid(0.02, 50.0, 40);
    sigmas.reverse();
    sigmas.push(0.0);
    let start = normals(5, 0, Stream::Latent, 0, 10_000 * WIDTH).into_iter().map(|v| v * 50.0).collect();
    let mut denoise = |x: &State, sigma: f64| model.denoise(x, sigma, None);
    let mut still = |_, _| isoline::tensors::rows(vec![0.0; 10_000 * WIDTH], WIDTH, &cpu());
    let heun = solver("heun", toml::Table::new()).unwrap();
    let start = State::plain(isoline::tensors::rows(start, WIDTH, &cpu()));
    let end = Sampling::new(heun, sigmas).run(start, &mut denoise, &mut still, &mut |_, _| Ok(())).unwrap();
    let samples = isoline::diffusion::to_f64(end.value).unwrap();
    let inside = samples.chunks(WIDTH).filter(|x| radius(x) <= most).count();
    let found = Separation::of(&fit, &pairs(&faint), &pairs(&samples[..200 * WIDTH]), 0.05).unwrap();
    eprintln!(
        "{inside} of 10000 within {most:.2}; likelihood {:.4}, dimension {:.4}, pair {:.4}, oracle {:.4}",
        found.likelihood.auc, found.dimension.auc, found.pair.auc, found.oracle
    );
    assert!(inside == 0 && found.likelihood.auc < 0.1 && found.pair.auc > 0.9, "{inside} {found:?}");
}

/// Digits beside the same digits blurred, and with a third of the contrast, under a Gaussian with the covariance of other digits: the
/// likelihood takes the changed ones for more usual than the real ones, the pair does not. The rule that was fixed before costs something
/// beside the best thresholds, since it looks for both kinds of outside.
#[test]
#[ignore = "needs the shared data"]
fn blurred_digits_are_dense_but_without_mass() {
    let root = shared::data().join("datasets/mnist");
    let config = DataConfig { kind: "idx".into(), path: "t10k-images-idx3-ubyte.gz".into(), ..DataConfig::default() };
    let set = Dataset::read(&config, &root, [1, 28, 28]).unwrap();
    let digit = |i: usize| -> Vec<f64> { set.values(i, [0.0, 1.0]).map(f64::from).collect() };
    let n = 4000;
    let digits: Vec<Vec<f64>> = (0..n).map(digit).collect();
    let mut mean = vec![0.0; 784];
    digits.iter().for_each(|d| mean.iter_mut().zip(d).for_each(|(m, v)| *m += v / n as f64));
    let centred = nalgebra::DMatrix::from_fn(n, 784, |i, j| (digits[i][j] - mean[j]) / (n as f64).sqrt());
    let eigen = (centred.transpose() * centred).symmetric_eigen();
    let pair = |x: &[f64]| {
        let off = nalgebra::DVector::from_iterator(784, x.iter().zip(&mean).map(|(x, m)| x - m));
        let along = eigen.eigenvectors.transpose() * off;
        let s2 = SIGMA * SIGMA;
        let (mut log, mut dimension) = (0.0, 0.0);
        for (a, l) in along.iter().zip(eigen.eigenvalues.iter().map(|l| l.max(0.0))) {
            log -= 0.5 * (std::f64::consts::TAU * (l + s2)).ln() + 0.5 * a * a / (l + s2);
            dimension += l / (l + s2) + s2 * a * a / (l + s2).powi(2);
        }
        Pair { log_likelihood: log, dimension }
    };
    let blurred = |x: &[f64]| -> Vec<f64> {
        let at =
            |r: i32, c: i32| if (0..28).contains(&r) && (0..28).contains(&c) { x[(r * 28 + c) as usize] } else { 0.0 };
        let around = |i: i32| (-1..=1).flat_map(move |r| (-1..=1).map(move |c| (i / 28 + r, i % 28 + c)));
        (0..784).map(|i| around(i).map(|(r, c)| at(r, c)).sum::<f64>() / 9.0).collect()
    };
    let fit = fit((n..n + 300).map(|i| pair(&digit(i))).collect());
    let inside: Vec<Pair> = (5000..5300).map(|i| pair(&digit(i))).collect();
    let faint = |x: &[f64]| -> Vec<f64> { x.iter().map(|v| 0.3 * v).collect() };
    type Change<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;
    let changed: [(&str, Change); 2] = [("blurred", &blurred), ("faint", &faint)];
    for (name, change) in changed {
        let outside: Vec<Pair> = (6000..6300).map(|i| pair(&change(&digit(i)))).collect();
        let found = Separation::of(&fit, &outside, &inside, 0.05).unwrap();
        eprintln!(
            "{name}: likelihood {:.4}, dimension {:.4}, pair {:.4}, oracle {:.4}",
            found.likelihood.auc, found.dimension.auc, found.pair.auc, found.oracle
        );
        assert!(found.likelihood.auc <= 0.2 && found.oracle >= 0.95 && found.pair.auc >= 0.9, "{name}: {found:?}");
    }
}

/// A plane in ten values, turned: the density grows by −8 ln σ, and the squared score at noised points is (D − d)/D/σ² and a little.
#[test]
fn a_density_grows_by_the_dimensions_that_are_missing() {
    let turn = orthonormal_columns(&doubles(3, 0, 100), 10, 10);
    let variances = [vec![1.0, 0.5], vec![0.0; 8]].concat();
    let plane = Mixture::new(vec![Component { weight: 1.0, mean: vec![0.0; 10], variances, axes: Some(turn.clone()) }]);
    let on: Vec<f64> = (0..20)
        .flat_map(|i| {
            let z = doubles(4, i, 2);
            let turn = turn.clone();
            (0..10).map(move |j| turn[j * 10] * z[0] + turn[j * 10 + 1] * z[1] * 0.5f64.sqrt()).collect::<Vec<_>>()
        })
        .collect();
    let x = rows64(on, 10);
    let levels = log_grid(1e-3, 0.1, 5);
    for found in densities(&plane, &x, &levels, (50.0, 6.0), Trace::Exact).unwrap() {
        assert!((slope(&levels, &found) + 8.0).abs() < 0.16, "{found:?}");
    }
    let noise = rows64(doubles(5, 0, 200), 10);
    for sigma in [1e-3, 1e-1] {
        let found = score_norms(&plane, &x, noise.clone(), sigma).unwrap();
        let mean = found.iter().sum::<f64>() / 20.0;
        // 160 squares of normal numbers have a relative standard deviation of 0.11.
        assert!((mean * sigma * sigma - 0.8).abs() < 0.4, "{sigma}: {mean}");
    }
}

/// A network on a circle in ten values finds its dimension by the slope, and its score grows without bound as noise is taken away.
#[test]
#[ignore = "half a minute"]
fn a_trained_network_shows_the_slope_and_the_score() {
    let turn = orthonormal_columns(&doubles(3, 0, 100), 10, 10);
    let at = |a: &f64| (0..10).map(|j| turn[j * 10] * a.cos() + turn[j * 10 + 1] * a.sin()).collect::<Vec<_>>();
    let values: Vec<f64> = von_mises(4000, 1).iter().flat_map(at).collect();
    let config = ScoreConfig { widths: vec![128, 128, 64], steps: 6000, ..ScoreConfig::default() };
    let progress = Progress::new(ProgressMode::None, true);
    let cloud = Cloud { values: values.clone(), width: 10 };
    let model = train_score(&cloud, &config, "a circle", &cpu(), &progress, &Cancel::never()).unwrap().0;
    let rows_of = |n: usize| isoline::tensors::rows(values[..10 * n].iter().map(|v| *v as f32).collect(), 10, &cpu());
    let levels = log_grid(0.03, 0.2, 4);
    let found = densities(&model, &rows_of(50), &levels, (50.0, 6.0), Trace::Exact).unwrap();
    let mean = found.iter().map(|l| slope(&levels, l)).sum::<f64>() / 50.0;
    let noise = isoline::tensors::rows(normals(6, 0, Stream::Probe, 0, 2000), 10, &cpu());
    let score = |sigma: f64| score_norms(&model, &rows_of(200), noise.clone(), sigma).unwrap().iter().sum::<f64>();
    let grown = score(0.02) / score(0.2);
    eprintln!("slope {mean:.2}, squared score at 0.02 over 0.2: {grown:.1}");
    assert!((mean + 9.0).abs() < 0.9 && grown >= 20.0, "{mean} {grown}");
}

/// The same circle in two steps, as experiments/two-step/circle trains it: the score of the code stays bounded, that of the ten values
/// does not. The levels are those of the variance-preserving process at t = 0.001 and 0.1, in units of each model's data.
#[test]
#[ignore = "a minute"]
fn the_score_of_a_code_stays_bounded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/two-step/circle");
    let dir = tempfile::tempdir().unwrap();
    for file in
        fs::read_dir(root).unwrap().map(|f| f.unwrap().path()).filter(|f| f.extension().is_some_and(|e| e == "toml"))
    {
        fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
    }
    let turn = orthonormal_columns(&doubles(3, 0, 100), 10, 10);
    let value = |a: f64, j: usize| 0.5 + 0.45 * (turn[j * 10] * a.cos() + turn[j * 10 + 1] * a.sin());
    let points: Vec<u8> =
        von_mises(1000, 1).iter().flat_map(|a| (0..10).map(|j| (255.0 * value(*a, j)).round() as u8)).collect();
    let head: Vec<u8> = [2051u32, 64_000, 1, 10].iter().flat_map(|v| v.to_be_bytes()).collect();
    fs::write(dir.path().join("circle.idx"), [head, points.repeat(64)].concat()).unwrap();
    let isoline = |words: &[&str]| Isoline::new(words).cwd(dir.path()).env("ISOLINE_MODELS", dir.path()).succeeds();
    for name in ["code", "two-step", "ambient"] {
        let [config, work, model] = [format!("{name}.toml"), format!("work-{name}"), format!("circle-{name}")];
        isoline(&["train-generator", "-q", "-c", &config, "--data", ".", "-o", &work, "--model", &model]);
    }
    let grown = |model: &str, low: &str, high: &str| {
        let words =
            ["diagnose", "-q", model, "--seeds", "0-63", "--probes", "0", "--low", low, "--high", high, "--json"];
        let report = json(&isoline(&words));
        let levels = report["density"]["levels"].as_array().unwrap();
        let score = |level: &serde_json::Value| level["score"].as_f64().unwrap();
        score(&levels[0]) / score(&levels[levels.len() - 1])
    };
    let [code, values] = [grown("circle-two-step", "0.0105", "0.322"), grown("circle-ambient", "0.003", "0.0916")];
    eprintln!("squared score at t = 0.001 over t = 0.1: of the code {code:.2}, of the values {values:.1}");
    assert!(code <= 3.0 && values >= 20.0, "{code} {values}");
}
