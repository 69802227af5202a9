//! A GAN with the non-saturating loss: D minimises softplus(−D(x)) + softplus(D(G(z))), G minimises softplus(−D(G(z))).
//! Pictures shown to D carry a little Gaussian noise, which keeps its gradients useful where the two distributions
//! barely overlap.
//!
//! Optionally D also pays ½γ‖∇D(x)‖² at real pictures (R1, Mescheder et al., arXiv 1801.04406), which keeps the two
//! players from circling each other. ‖∇D‖² is estimated without bias by (∇D · v)² along one random direction v ~ N(0,
//! I) per picture. That is a forward tangent, so its gradient needs only first-order differentiation.

use super::{
    Objective, State, StepInput, Stepped, TrainConfig, finite, fold_statistics, told, trainable, without_noise,
};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::{Card, build};
use crate::nn::{Network, Pass, Rows, Tangents, adam::gradients};
use burn::tensor::activation::softplus;
use std::cell::RefCell;

pub const ROW: (&str, &str, super::MakeObjective) = (
    "gan",
    "non-saturating GAN; settings: discriminator = [layers] ending in one value, instance_noise = 0.1, gradient_penalty = 0",
    make,
);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    discriminator: Vec<toml::Table>,
    #[serde(default = "tenth")]
    instance_noise: f64,
    #[serde(default)]
    gradient_penalty: f64,
}

fn tenth() -> f64 {
    0.1
}

struct Gan {
    generator: Network,
    discriminator: Network,
    instance_noise: f64,
    /// γ of the R1 penalty; 0 for none.
    gradient_penalty: f64,
    adam: crate::nn::adam::AdamConfig,
    width: usize,
    device: Device,
}

fn make(card: &Card, config: &TrainConfig, device: &Device) -> Result<Box<dyn Objective>> {
    let settings: Settings = serde::Deserialize::deserialize(config.settings.clone())
        .map_err(|e: toml::de::Error| Error::config("settings", crate::error::explain_toml(e.message())))?;
    if !(0.0..10.0).contains(&settings.instance_noise) {
        return Err(Error::config(
            "settings.instance_noise",
            format!("expected 0 to 10, found {}", settings.instance_noise),
        ));
    }
    if !(0.0..1e4).contains(&settings.gradient_penalty) {
        return Err(Error::config(
            "settings.gradient_penalty",
            format!("expected 0 to 10000, found {}", settings.gradient_penalty),
        ));
    }
    let discriminator = config
        .noise
        .network(&settings.discriminator, &card.sample_shape)
        .map_err(|e| e.at("settings.discriminator."))?;
    if discriminator.output_shape() != [1] {
        return Err(Error::config(
            "settings.discriminator",
            format!("expected one value at the end, found shape {:?}", discriminator.output_shape()),
        ));
    }
    let mut generator = build(card)?;
    if config.noise.conditional {
        generator = config.noise.network(&card.raw.layers, &card.raw.latent.shape)?;
    }
    Ok(Box::new(Gan {
        generator,
        discriminator,
        instance_noise: settings.instance_noise,
        gradient_penalty: settings.gradient_penalty,
        adam: config.adam,
        width: card.latent_width,
        device: device.clone(),
    }))
}

impl Gan {
    /// One step of the discriminator. Returns its loss, or `None` if that was not finite.
    fn discriminate(&self, state: &mut State, input: &StepInput) -> Option<f64> {
        let [n, features] = input.real.dims();
        let aside = RefCell::new(Vec::new());
        let z = input.noise(n, self.width, 0, &self.device);
        let levels = input.levels.as_ref();
        let fake = self.generator.forward(told(&self.generator, z, levels), &Pass::training(&state.parameters, &aside));
        let blur = |part| input.noise(n, features, part, &self.device) * self.instance_noise;
        let trained = trainable(&self.discriminator);
        let tracked = state.parameters.tracked(|k| trained.contains(k));
        let pass = Pass::frozen(&tracked);
        let shown = |x: Rows| told(&self.discriminator, x, levels);
        let real = shown(input.real.clone() + blur(1));
        let (real, penalty) = if self.gradient_penalty > 0.0 {
            let direction = input.noise(n, features, 5, &self.device);
            let direction = Tangents::per_sample(without_noise(&self.discriminator, direction), 1);
            let (real, slope) = self.discriminator.tangent(real, direction, &pass);
            let slope = slope.expanded(n).reshape([n, 1]);
            (real, Some((slope.clone() * slope).mean() * (0.5 * self.gradient_penalty)))
        } else {
            (self.discriminator.forward(real, &pass), None)
        };
        let fake = self.discriminator.forward(shown(fake + blur(2)), &pass);
        let loss = softplus(real.neg(), 1.0).mean() + softplus(fake, 1.0).mean();
        let loss = penalty.into_iter().fold(loss, |loss, penalty| loss + penalty);
        let grads = gradients(&tracked, loss.backward());
        let value = finite(loss, &grads)?;
        self.adam.step(
            input.learning_rate,
            &mut state.parameters,
            state.adam.entry("discriminator".into()).or_default(),
            grads,
        );
        Some(value)
    }

    /// One step of the generator. Returns its loss, or `None` if that was not finite.
    fn generate(&self, state: &mut State, input: &StepInput) -> Option<f64> {
        let [n, features] = input.real.dims();
        let trained = trainable(&self.generator);
        let tracked = state.parameters.tracked(|k| trained.contains(k));
        let statistics = RefCell::new(Vec::new());
        let z = input.noise(n, self.width, 3, &self.device);
        let levels = input.levels.as_ref();
        let fake = self.generator.forward(told(&self.generator, z, levels), &Pass::training(&tracked, &statistics));
        let blurred = fake + input.noise(n, features, 4, &self.device) * self.instance_noise;
        let blurred = told(&self.discriminator, blurred, levels);
        let verdict = self.discriminator.forward(blurred, &Pass::frozen(&state.parameters));
        let loss = softplus(verdict.neg(), 1.0).mean();
        let grads = gradients(&tracked, loss.backward());
        let value = finite(loss, &grads)?;
        self.adam.step(
            input.learning_rate,
            &mut state.parameters,
            state.adam.entry("generator".into()).or_default(),
            grads,
        );
        fold_statistics(&mut state.parameters, statistics.into_inner());
        Some(value)
    }
}

impl Objective for Gan {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.generator, &self.discriminator]
    }

    fn step(&self, state: &mut State, input: &StepInput) -> Result<Stepped> {
        let before = (state.parameters.clone(), state.adam.clone());
        let Some(d) = self.discriminate(state, input) else { return Ok(Stepped::Skipped) };
        let Some(g) = self.generate(state, input) else {
            // Half a step counts as none, so the discriminator's part is undone.
            (state.parameters, state.adam) = before;
            return Ok(Stepped::Skipped);
        };
        Ok(Stepped::Losses(vec![("discriminator", d), ("generator", g)]))
    }
}
