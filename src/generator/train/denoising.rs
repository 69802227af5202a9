//! The objectives of diffusion models: add noise to the data, predict, and compare with the target that follows from
//! the coefficients of the parametrisation. They differ in what is predicted and in how noise levels are drawn, ln σ ~
//! N(mean, std²).

use super::{MakeObjective, Objective, State, StepInput, Stepped, TrainConfig, finite};
use crate::device::Device;
use crate::diffusion::{Denoiser, NetworkDenoiser, Parts, State as Path, condition_rows, sampling_noise, with_given};
use crate::error::{Error, Result};
use crate::generator::Card;
use crate::nn::adam::{AdamConfig, gradients};
use crate::nn::{Network, Parameters, Pass, Role, Rows};
use crate::noise::{self, Stream};
use crate::tensors::rows;

/// The objective of EDM (arXiv 2206.00364). Its weighting makes the network's own error count the same at every noise
/// level.
pub const EDM: (&str, &str, MakeObjective) = (
    "edm",
    "denoising by EDM's loss; settings: mean = -1.2, std = 1.2 (of ln σ), drop_class = 0.1; the card's prediction is \"edm\"",
    |card, config, device| Denoising::objective(card, config, "edm", [-1.2, 1.2], device),
);

/// Rectified flow (arXiv 2209.03003): predicts the velocity ε − x₀ at x_t = (1 − t)x₀ + tε. The logit of t, which is ln
/// σ, is drawn from a normal distribution, so that the middle of the path is trained more often (arXiv 2403.03206).
pub const FLOW: (&str, &str, MakeObjective) = (
    "flow",
    "rectified flow; settings: mean = 0, std = 1 (of the logit of t), drop_class = 0.1; the card's prediction is \"flow\"",
    |card, config, device| Denoising::objective(card, config, "flow", [0.0, 1.0], device),
);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    mean: Option<f64>,
    std: Option<f64>,
    #[serde(default = "tenth")]
    drop_class: f64,
}

fn tenth() -> f64 {
    0.1
}

/// A denoiser that is being trained.
struct Denoising {
    parts: Parts,
    mean: f64,
    std: f64,
    card: Card,
    adam: AdamConfig,
    group: &'static str,
    drop_class: f64,
    device: Device,
}

impl Denoising {
    /// Builds the objective for the card's denoiser, which must predict `prediction`. `mean` and `std` of ln σ apply
    /// where the config sets none.
    fn objective(
        card: &Card,
        config: &TrainConfig,
        prediction: &'static str,
        [mean, std]: [f64; 2],
        device: &Device,
    ) -> Result<Box<dyn Objective>> {
        let settings: Settings = serde::Deserialize::deserialize(config.settings.clone())
            .map_err(|e: toml::de::Error| Error::config("settings", crate::error::explain_toml(e.message())))?;
        let (mean, std) = (settings.mean.unwrap_or(mean), settings.std.unwrap_or(std));
        if mean.is_nan() || mean.abs() > 10.0 {
            return Err(Error::config("settings.mean", format!("expected -10 to 10, found {mean}")));
        }
        if !(std > 0.0 && std <= 10.0) {
            return Err(Error::config("settings.std", format!("expected a number above 0, at most 10, found {std}")));
        }
        let drop_class = settings.drop_class;
        let denoiser = card.denoiser()?;
        if denoiser.prediction != prediction {
            let place = format!("{}: denoiser.prediction", crate::error::shown(&card.path));
            let message = format!("the objective trains \"{prediction}\", found \"{}\"", denoiser.prediction);
            return Err(Error::config(place, message));
        }
        if !(0.0..=1.0).contains(&drop_class) {
            return Err(Error::config("settings.drop_class", format!("expected 0 to 1, found {drop_class}")));
        }
        if denoiser.classes > 0 && !config.data.has_classes() {
            let message = format!("missing; the card's denoiser has {} classes", denoiser.classes);
            return Err(Error::config("data.labels", message));
        }
        let (parts, card, adam) = (card.denoiser_parts()?, card.clone(), config.adam);
        Ok(Box::new(Self { parts, mean, std, card, adam, group: prediction, drop_class, device: device.clone() }))
    }

    /// The classes for this step, one per picture, and which of them are dropped. Some are, so that the model also
    /// learns to work without a class.
    fn shown(&self, input: &StepInput) -> (Option<Vec<usize>>, Vec<bool>) {
        let known = self.card.raw.denoiser.as_ref().map_or(0, |d| d.classes);
        let Some(classes) = input.classes.as_ref().filter(|_| known > 0) else { return (None, Vec::new()) };
        let draws = noise::uniforms(input.seed, input.step, Stream::Training, 90, classes.len());
        (Some(classes.clone()), draws.iter().map(|u| f64::from(*u) < self.drop_class).collect())
    }
}

impl Objective for Denoising {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.parts.network, &self.parts.embed]
    }

    fn classes(&self) -> usize {
        self.card.raw.denoiser.as_ref().map_or(0, |d| d.classes)
    }

    // Minimises the mean of (F − target)² with target = (x₀ − skip·x)/output. For EDM's prediction that is EDM's own
    // weighting; for a flow it is the plain velocity error.
    fn step(&self, state: &mut State, input: &StepInput) -> Result<Stepped> {
        let [n, width] = input.real.dims();
        let draws = noise::normals(input.seed, input.step, Stream::Training, 91, n);
        let sigmas: Vec<f64> = draws.iter().map(|d| (self.mean + self.std * f64::from(*d)).exp()).collect();
        let at: Vec<_> = sigmas.iter().map(|s| self.parts.prediction.at(*s)).collect();
        let column =
            |f: &dyn Fn(usize) -> f64| -> Rows { rows((0..n).map(|i| f(i) as f32).collect(), 1, &self.device) };
        let x = input.real.clone() + input.noise(n, width, 0, &self.device) * column(&|i| sigmas[i]);
        // The target, written without the difference of two large terms: x₀/output − x·skip/output.
        let target =
            input.real.clone() * column(&|i| 1.0 / at[i].output) - x.clone() * column(&|i| at[i].skip / at[i].output);
        let times: Vec<f64> = at.iter().map(|c| c.time).collect();
        let known = self.card.raw.denoiser.as_ref().map_or(0, |d| d.classes);
        let (classes, dropped) = self.shown(input);
        let mut shown = condition_rows(&times, classes.as_deref(), known, &self.device)?;
        if !dropped.is_empty() {
            let keep = dropped
                .iter()
                .flat_map(|d| std::iter::once(1.0).chain(std::iter::repeat_n(if *d { 0.0 } else { 1.0 }, known)));
            shown = shown * rows(keep.collect(), 1 + known, &self.device);
        }
        let shown = with_given(shown, &input.given, self.parts.given(known))?;
        let trained: std::collections::BTreeSet<String> =
            self.parts.parameters().into_iter().filter(|s| s.role != Role::Statistic).map(|s| s.key).collect();
        let tracked = state.parameters.tracked(|k| trained.contains(k));
        let condition = self.parts.embed.forward(shown, &Pass::frozen(&tracked));
        let pass = Pass::frozen(&tracked).under(condition);
        let error = self.parts.network.forward(x * column(&|i| at[i].input), &pass) - target;
        let loss = (error.clone() * error).mean();
        let grads = gradients(&tracked, loss.backward());
        let Some(value) = finite(loss, &grads) else { return Ok(Stepped::Skipped) };
        let adam = state.adam.entry(self.group.into()).or_default();
        self.adam.step(input.learning_rate, &mut state.parameters, adam, grads);
        Ok(Stepped::Losses(vec![("loss", value)]))
    }

    fn pictures(&self, parameters: &Parameters, z: Rows) -> Result<Rows> {
        let config = self.card.denoiser()?;
        let clip = config.clip.then_some(self.card.raw.sample.range);
        let parts = self.card.denoiser_parts()?;
        let denoiser = NetworkDenoiser::new(parts, parameters.clone(), config.classes, clip, &self.device);
        let sampling = config.sampler.build(denoiser.range()).map_err(|e| e.at("denoiser.sampler."))?;
        let samples: Vec<u64> = (0..z.dims()[0] as u64).collect();
        // If there are classes, picture i shows class i mod `classes`.
        let classes: Vec<usize> = samples.iter().map(|s| *s as usize % config.classes.max(1)).collect();
        let classes = (config.classes > 0).then_some(classes);
        let mut noise = |step, draw| sampling_noise(&samples, step, draw, denoiser.width(), &self.device);
        let mut denoise = |x: &Path, sigma: f64| denoiser.denoise(x, sigma, classes.as_deref());
        let start = Path::plain(z * sampling.sigmas[0]);
        Ok(sampling.run(start, &mut denoise, &mut noise, &mut |_, _| Ok(()))?.value)
    }
}
