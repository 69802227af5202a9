//! An autoencoder: a code of a picture that is as short as sharp pictures allow.
//!
//! ```text
//! loss = |y − x| + gradient·(|∂ᵢ(y − x)| + |∂ⱼ(y − x)|) + kl·KL(q(z|x) ‖ N(0, I))
//! ```
//!
//! each a mean: the first over the values of a picture, the differences of neighbours likewise, the last over the values of
//! a code. Absolute errors and errors of differences keep edges crisp where squared ones blur them.

use super::{Coding, Objective, State, StepInput, Stepped, TrainConfig, finite, fold_statistics, trainable};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::{Card, build};
use crate::nn::{Network, Pass, Rows, adam::gradients};
use burn::tensor::Tensor;
use std::cell::RefCell;

pub const ROW: (&str, &str, super::MakeObjective) = (
    "autoencoder",
    "picture → short code → picture; settings: kl = 1e-3, gradient = 0.5, edges = 0, decoder_alone = false, means = false; the card needs an encoder that ends in 2·d values",
    make,
);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Weight of the divergence of codes from N(0, I), in nats a value.
    kl: f64,
    /// Weight of the errors of differences between neighbouring values.
    gradient: f64,
    /// How much more an error counts where the picture has an edge: by 1 + edges·(greatest difference to a neighbour, as a
    /// share of the range).
    edges: f64,
    /// Whether the encoder stays as the training found it, so that what was learnt of its codes stays true.
    decoder_alone: bool,
    /// Whether it is trained on mean codes, which a denoiser of means makes, in place of drawn ones.
    means: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { kl: 1e-3, gradient: 0.5, edges: 0.0, decoder_alone: false, means: false }
    }
}

struct Autoencoder {
    decoder: Network,
    encoder: Network,
    settings: Settings,
    adam: crate::nn::adam::AdamConfig,
    code: usize,
    shape: [usize; 3],
    /// Units of the value range, so that the settings mean the same for every range.
    span: f64,
    device: Device,
}

fn make(card: &Card, config: &TrainConfig, device: &Device) -> Result<Box<dyn Objective>> {
    let settings: Settings = serde::Deserialize::deserialize(config.settings.clone())
        .map_err(|e: toml::de::Error| Error::config("settings", crate::error::explain_toml(e.message())))?;
    for (key, value) in [("kl", settings.kl), ("gradient", settings.gradient), ("edges", settings.edges)] {
        if !(0.0..=1e3).contains(&value) {
            return Err(Error::config(format!("settings.{key}"), format!("expected 0 to 1000, found {value}")));
        }
    }
    if settings.decoder_alone && config.start.is_none() {
        let message = "expected a model in start beside it; without one the encoder has learnt nothing";
        return Err(Error::config("settings.decoder_alone", message));
    }
    if settings.means && !settings.decoder_alone {
        let message = "expected decoder_alone beside it: an encoder that learns needs codes that are drawn";
        return Err(Error::config("settings.means", message));
    }
    if card.raw.denoiser.is_some() {
        let place = format!("{}: denoiser", crate::error::shown(&card.path));
        return Err(Error::config(place, "expected none; an autoencoder decodes in one pass"));
    }
    let Some(encoder) = card.encoder()? else {
        let place = crate::error::shown(&card.path);
        return Err(Error::config(place, "expected an [encoder], which turns pictures into codes, found none"));
    };
    let [low, high] = card.raw.sample.range;
    Ok(Box::new(Autoencoder {
        decoder: build(card)?,
        encoder,
        settings,
        adam: config.adam,
        code: card.latent_width,
        shape: card.sample_shape,
        span: f64::from(high - low),
        device: device.clone(),
    }))
}

/// Absolute differences of neighbouring rows and of neighbouring columns of planes `[n, h, w]`.
fn differences(planes: &Tensor<3>) -> [Tensor<3>; 2] {
    let [_, h, w] = planes.dims();
    let down = planes.clone().narrow(1, 1, h - 1) - planes.clone().narrow(1, 0, h - 1);
    let right = planes.clone().narrow(2, 1, w - 1) - planes.clone().narrow(2, 0, w - 1);
    [down.abs(), right.abs()]
}

impl Autoencoder {
    fn planes(&self, x: Rows) -> Tensor<3> {
        let [channels, h, w] = self.shape;
        let n = x.dims()[0];
        x.reshape([n * channels, h, w])
    }

    /// 1 + edges·(greatest difference to the value above, below, left or right).
    fn weights(&self, real: &Tensor<3>) -> Option<Tensor<3>> {
        if self.settings.edges == 0.0 {
            return None;
        }
        let [n, h, w] = real.dims();
        let [down, right] = differences(real);
        let (row, column) = (Tensor::zeros([n, 1, w], &real.device()), Tensor::zeros([n, h, 1], &real.device()));
        let above = Tensor::cat(vec![row.clone(), down.clone()], 1).max_pair(Tensor::cat(vec![down, row], 1));
        let beside = Tensor::cat(vec![column.clone(), right.clone()], 2).max_pair(Tensor::cat(vec![right, column], 2));
        Some(above.max_pair(beside) * (self.settings.edges / self.span) + 1.0)
    }
}

impl Objective for Autoencoder {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.decoder, &self.encoder]
    }

    fn step(&self, state: &mut State, input: &StepInput) -> Result<Stepped> {
        let mut trained = trainable(&self.decoder);
        if !self.settings.decoder_alone {
            trained.extend(trainable(&self.encoder));
        }
        let tracked = state.parameters.tracked(|k| trained.contains(k));
        let statistics = RefCell::new(Vec::new());
        let pass = Pass::training(&tracked, &statistics);
        // An encoder that stays sees every picture by itself, as it will later.
        let frozen = self.settings.decoder_alone.then(|| Pass::frozen(&state.parameters));
        let Coding { mean, log_variance: log_var, drawn: z } =
            Coding::of(&self.encoder, input, self.code, frozen.as_ref().unwrap_or(&pass), &self.device);
        let z = if self.settings.means { mean.clone() } else { z };
        let made = self.planes(self.decoder.forward(z, &pass));
        let real = self.planes(input.real.clone());
        let error = made - real.clone();
        let edges = differences(&error).map(Tensor::mean);
        let absolute = error.abs();
        let absolute = match self.weights(&real) {
            Some(weights) => absolute * weights,
            None => absolute,
        };
        let [down, right] = edges;
        let reconstruction = absolute.mean() * (1.0 / self.span);
        let kl = (mean.clone() * mean + log_var.clone().exp() - log_var - 1.0).mean() * 0.5;
        let loss = reconstruction.clone()
            + (down + right) * (self.settings.gradient / self.span)
            + kl.clone() * self.settings.kl;
        let grads = gradients(&tracked, loss.backward());
        let Some(total) = finite(loss, &grads) else { return Ok(Stepped::Skipped) };
        let adam = state.adam.entry("autoencoder".into()).or_default();
        self.adam.step(input.learning_rate, &mut state.parameters, adam, grads);
        fold_statistics(&mut state.parameters, statistics.into_inner());
        let number = |t: Tensor<1>| f64::from(t.inner().try_into_scalar::<f32>().unwrap_or(f32::NAN));
        Ok(Stepped::Losses(vec![("loss", total), ("error", number(reconstruction)), ("kl", number(kl))]))
    }

    fn rebuilt(&self, state: &State, real: Rows) -> Option<Rows> {
        let pass = Pass::frozen(&state.average);
        let mean = self.encoder.forward(real, &pass).narrow(1, 0, self.code);
        Some(self.decoder.forward(mean, &pass))
    }
}
