//! β-VAE: reconstruction + β·KL(q(z|x) ‖ N(0, I)), both in nats per picture.

use super::{Coding, Objective, State, StepInput, Stepped, TrainConfig, finite, fold_statistics, told, trainable};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::{Card, build};
use crate::nn::{Network, Pass, adam::gradients};
use std::cell::RefCell;

pub const ROW: (&str, &str, super::MakeObjective) =
    ("vae", "β-VAE, Bernoulli likelihood; settings: beta = 1; the card needs an encoder that ends in 2·d values", make);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "one")]
    beta: f64,
}

fn one() -> f64 {
    1.0
}

struct Vae {
    decoder: Network,
    encoder: Network,
    beta: f64,
    adam: crate::nn::adam::AdamConfig,
    width: usize,
    device: Device,
}

fn make(card: &Card, config: &TrainConfig, device: &Device) -> Result<Box<dyn Objective>> {
    let settings: Settings = serde::Deserialize::deserialize(config.settings.clone())
        .map_err(|e: toml::de::Error| Error::config("settings", crate::error::explain_toml(e.message())))?;
    if !(settings.beta > 0.0 && settings.beta < 1e3) {
        return Err(Error::config(
            "settings.beta",
            format!("expected a number between 0 and 1000, found {}", settings.beta),
        ));
    }
    if card.raw.sample.range != [0.0, 1.0] {
        return Err(Error::config(
            "sample.range",
            "expected [0, 1] for a Bernoulli likelihood; end the layers in a sigmoid",
        ));
    }
    let (mut decoder, Some(mut encoder)) = (build(card)?, card.encoder()?) else {
        let place = crate::error::shown(&card.path);
        return Err(Error::config(place, "expected an [encoder], which turns pictures into codes, found none"));
    };
    if let (true, Some(raw)) = (config.noise.conditional, &card.raw.encoder) {
        decoder = config.noise.network(&card.raw.layers, &card.raw.latent.shape)?;
        encoder = config.noise.network(&raw.layers, &card.sample_shape)?;
    }
    Ok(Box::new(Vae {
        decoder,
        encoder,
        beta: settings.beta,
        adam: config.adam,
        width: card.latent_width,
        device: device.clone(),
    }))
}

impl Objective for Vae {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.decoder, &self.encoder]
    }

    fn step(&self, state: &mut State, input: &StepInput) -> Result<Stepped> {
        let mut trained = trainable(&self.decoder);
        trained.extend(trainable(&self.encoder));
        let tracked = state.parameters.tracked(|k| trained.contains(k));
        let statistics = RefCell::new(Vec::new());
        let pass = Pass::training(&tracked, &statistics);
        let x = input.real.clone();
        let [n, _] = x.dims();
        let Coding { mean, log_variance: log_var, drawn: z } =
            Coding::of(&self.encoder, input, self.width, &pass, &self.device);
        // Clamped so that the logarithm stays finite where the sigmoid saturates.
        let y = self.decoder.forward(told(&self.decoder, z, input.levels.as_ref()), &pass).clamp(1e-6, 1.0 - 1e-6);
        let likelihood = x.clone() * y.clone().log() + (x.neg() + 1.0) * (y.neg() + 1.0).log();
        let reconstruction = likelihood.sum().neg() / n as f64;
        let kl = (mean.clone() * mean + log_var.clone().exp() - log_var - 1.0).sum() * (0.5 / n as f64);
        let loss = reconstruction.clone() + kl.clone() * self.beta;
        let grads = gradients(&tracked, loss.backward());
        let Some(total) = finite(loss, &grads) else { return Ok(Stepped::Skipped) };
        self.adam.step(input.learning_rate, &mut state.parameters, state.adam.entry("vae".into()).or_default(), grads);
        fold_statistics(&mut state.parameters, statistics.into_inner());
        let kl = f64::from(kl.inner().try_into_scalar::<f32>().unwrap_or(f32::NAN));
        Ok(Stepped::Losses(vec![("loss", total), ("kl", kl), ("reconstruction", total - self.beta * kl)]))
    }
}
