//! The objective of EDM (arXiv 2206.00364): ln σ ~ N(mean, std²), and the weighting that makes the network's own error
//! count alike at every noise level.

use super::denoising::Denoising;
use super::{Objective, State, StepInput, Stepped, TrainConfig};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::Card;
use crate::nn::{Network, Parameters, Rows};
use crate::noise::{self, Stream};

pub const ROW: (&str, &str, super::MakeObjective) = (
    "edm",
    "denoising by EDM's loss; settings: mean = -1.2, std = 1.2 (of ln σ), drop_class = 0.1; the card's prediction is \"edm\"",
    make,
);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    mean: f64,
    std: f64,
    drop_class: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mean: -1.2, std: 1.2, drop_class: 0.1 }
    }
}

struct Edm {
    denoising: Denoising,
    settings: Settings,
}

fn make(card: &Card, config: &TrainConfig, device: &Device) -> Result<Box<dyn Objective>> {
    let settings: Settings = serde::Deserialize::deserialize(config.settings.clone())
        .map_err(|e: toml::de::Error| Error::config("settings", crate::error::explain_toml(e.message())))?;
    if !(settings.std > 0.0 && settings.std <= 10.0 && settings.mean.abs() <= 10.0) {
        let message = format!("expected |mean| ≤ 10 and 0 < std ≤ 10, found {} and {}", settings.mean, settings.std);
        return Err(Error::config("settings.std", message));
    }
    let denoising = Denoising::new(card, config, "edm", settings.drop_class, device)?;
    Ok(Box::new(Edm { denoising, settings }))
}

impl Objective for Edm {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.denoising.parts.network, &self.denoising.parts.embed]
    }

    fn pictures(&self, parameters: &Parameters, z: Rows) -> Result<Rows> {
        self.denoising.pictures(parameters, z)
    }

    fn step(&self, state: &mut State, input: &StepInput) -> Result<Stepped> {
        let draws = noise::normals(input.seed, input.step, Stream::Training, 91, input.real.dims()[0]);
        let sigmas: Vec<f64> =
            draws.iter().map(|d| (self.settings.mean + self.settings.std * f64::from(*d)).exp()).collect();
        self.denoising.step(&sigmas, state, input)
    }
}
