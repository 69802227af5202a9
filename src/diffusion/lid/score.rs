//! A score network for clouds of points: an ε-network of the variance-preserving process, built as a small U-shaped
//! perceptron with skip connections. Estimators of dimension are benchmarked on it.

use super::neighbours::Cloud;
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::{DenoiserConfig, NetworkDenoiser, SamplerConfig, condition_rows};
use crate::error::{Error, Result};
use crate::nn::adam::{AdamConfig, AdamState, gradients, squared_norm};
use crate::nn::{Parameters, Pass, Rows};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::tensors::rows;

/// The settings of a fit.
#[derive(Clone, Debug)]
pub struct ScoreConfig {
    /// Widths of the layers on the way down; the way up mirrors them.
    pub widths: Vec<usize>,
    /// Number of steps.
    pub steps: u32,
    /// Number of points in a step.
    pub batch: usize,
    /// Learning rate; warmed up over 100 steps, then falling to 0 along a cosine.
    pub learning_rate: f64,
    /// Seed of the initial weights and of all noise.
    pub seed: u64,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self { widths: vec![112, 112, 64], steps: 6000, batch: 256, learning_rate: 2e-3, seed: 0 }
    }
}

/// Width of the condition that the embedding makes from the time.
const CONDITION: usize = 32;

/// A linear layer, in TOML.
fn linear(key: &str, out: usize) -> String {
    format!("{{ kind = \"linear\", key = \"{key}\", out = {out} }}")
}

/// The layers of one stage: linear, modulate by the time, silu.
fn stage(key: &str, out: usize) -> String {
    let modulate = format!("{{ kind = \"modulate\", key = \"{key}.time\", width = {CONDITION} }}");
    format!("{}, {modulate}, {{ kind = \"silu\" }}", linear(key, out))
}

/// Level `i` and those below it: down, then the next level beside its own input, then up.
fn level(widths: &[usize], i: usize) -> String {
    let down = stage(&format!("down{i}"), widths[i]);
    let up = stage(&format!("up{i}"), widths[i]);
    match i + 1 < widths.len() {
        true => format!("{down}, {{ kind = \"concat\", branches = [[{}], []] }}, {up}", level(widths, i + 1)),
        false => format!("{down}, {up}"),
    }
}

/// The network, its embedding and its parametrisation. The raw input is passed to the last layer beside the features.
fn parts(config: &ScoreConfig, width: usize) -> Result<crate::diffusion::Parts> {
    let text = format!(
        "layers = [{{ kind = \"concat\", branches = [[{}], []] }}, {}]
         embed = [{{ kind = \"fourier\", count = 32, low = 1e-4, high = 1.0 }}, {}, {{ kind = \"silu\" }}]",
        level(&config.widths, 0),
        linear("out", width),
        linear("time", CONDITION),
    );
    #[derive(serde::Deserialize)]
    struct Text {
        layers: Vec<toml::Table>,
        embed: Vec<toml::Table>,
    }
    let text: Text = toml::from_str(&text).map_err(|e| Error::Bug(e.to_string()))?;
    // The embedding sees 1000·t, because features of t itself would hardly vary over the small times that matter.
    let settings = toml::from_str("clock = \"vp\"\nbeta = [0.1, 20.0]\ntime_scale = 1000.0");
    let denoiser = DenoiserConfig {
        given: 0,
        prediction: "epsilon".into(),
        classes: 0,
        clip: false,
        distilled: false,
        settings: settings.map_err(|e| Error::Bug(e.to_string()))?,
        sampler: SamplerConfig { sigma: [0.01, 100.0], ..SamplerConfig::default() },
        embed: text.embed,
    };
    denoiser.parts(text.layers, &[width]).map_err(|e| Error::Bug(e.to_string()))
}

/// Fits ε̂ on `points` by minimising the mean of ‖ε̂ − ε‖² over t ~ U(0, 1), unweighted in t. Returns the denoiser,
/// with weights averaged over the steps, and its number of weights. `label` is shown with the progress. A step whose
/// gradients are not finite is skipped.
///
/// # Errors
/// [`Error::Device`]; [`Error::Stopped`] or [`Error::Interrupted`] when `cancel` stops it, in which case nothing is
/// kept.
pub fn train_score(
    points: &Cloud,
    config: &ScoreConfig,
    label: &str,
    device: &Device,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<(NetworkDenoiser, usize)> {
    let parts = parts(config, points.width)?;
    let specs = parts.parameters();
    let count = specs.iter().map(|s| s.shape.iter().product::<usize>()).sum();
    let start = specs.into_iter().map(|s| (s.key.clone(), s.start(config.seed, None)));
    let mut parameters = Parameters::from_values(start, device);
    let mut average = parameters.clone();
    let (optimiser, mut adam) = (AdamConfig::default(), AdamState::default());
    let bar = progress.start(format!("fitting {label}"), u64::from(config.steps));
    for step in 0..config.steps {
        cancel.check(|| "nothing is kept of an unfinished fit".into())?;
        let tracked = parameters.tracked(|_| true);
        let loss = loss(&parts, &tracked, points, config, step, device)?;
        let grads = gradients(&tracked, loss.backward());
        let norm = squared_norm(&grads).and_then(|g| g.try_into_scalar::<f32>().ok());
        if norm.is_some_and(f32::is_finite) {
            let part = f64::from(step) / f64::from(config.steps);
            let rate = config.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * part).cos());
            let warm = (f64::from(step + 1) / 100.0).min(1.0);
            optimiser.step(rate * warm, &mut parameters, &mut adam, grads);
        }
        let decay = 0.999f64.min((1.0 + f64::from(step)) / (10.0 + f64::from(step)));
        for name in parameters.iter().map(|(k, _)| k.to_owned()).collect::<Vec<_>>() {
            average.set(&name, average.get(&name) * decay + parameters.get(&name) * (1.0 - decay));
        }
        bar.advance(1);
    }
    bar.finish();
    Ok((NetworkDenoiser::new(parts, average, 0, None, device), count))
}

/// The mean squared error of ε̂ over one batch, `[1]`.
fn loss(
    parts: &crate::diffusion::Parts,
    tracked: &Parameters,
    points: &Cloud,
    config: &ScoreConfig,
    step: u32,
    device: &Device,
) -> Result<burn::tensor::Tensor<1>> {
    let (n, d) = (config.batch, points.width);
    let picked = noise::uniforms(config.seed, u64::from(step), Stream::Shuffle, 0, n);
    let index = |u: &f32| ((f64::from(*u) * points.len() as f64) as usize).min(points.len() - 1);
    let clean: Vec<f32> = picked.iter().flat_map(|u| points.point(index(u))).map(|v| *v as f32).collect();
    let times = noise::uniforms(config.seed, u64::from(step), Stream::Training, 0, n);
    // x_t = α·x + s·ε with α = e^{−B/2}, s = √(1 − e^{−B}) and B = 0.1t + 9.95t².
    let b = |t: &f32| f64::from(*t).mul_add(0.1, 9.95 * f64::from(*t).powi(2));
    let column = |f: &dyn Fn(f64) -> f64| -> Rows { rows(times.iter().map(|t| f(b(t)) as f32).collect(), 1, device) };
    let eps = rows(noise::normals(config.seed, u64::from(step), Stream::Training, 1, n * d), d, device);
    let x = rows(clean, d, device) * column(&|b| (-0.5 * b).exp()) + eps.clone() * column(&|b| (-(-b).exp_m1()).sqrt());
    let shown: Vec<f64> = times.iter().map(|t| 1000.0 * f64::from(*t)).collect();
    let condition = parts.embed.forward(condition_rows(&shown, None, 0, device)?, &Pass::frozen(tracked));
    let error = parts.network.forward(x, &Pass::frozen(tracked).under(condition)) - eps;
    Ok((error.clone() * error).mean())
}
