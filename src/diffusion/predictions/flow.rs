//! Rectified flow (arXiv 2209.03003): x_t = (1 − t)x₀ + tε, and the network predicts the velocity v = ε − x₀, so that
//! x₀ = x_t − t·v. It is used through σ = t/(1 − t) and x = x_t/(1 − t).

use super::{Coefficients, Prediction, PredictionRow};
use crate::error::{Error, Result};
use serde::Deserialize;

pub const ROW: PredictionRow = PredictionRow {
    name: "flow",
    about: "rectified flow, v = ε − x₀ on x_t = (1 − t)x₀ + tε, σ = t/(1 − t); settings: time_scale = 1",
    make,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    #[serde(default = "one")]
    time_scale: f64,
}

fn one() -> f64 {
    1.0
}

fn make(table: toml::Table) -> Result<Box<dyn Prediction>> {
    let c: Flow = Deserialize::deserialize(table)
        .map_err(|e: toml::de::Error| Error::key("", crate::error::explain_toml(e.message())))?;
    if !(c.time_scale > 0.0 && c.time_scale.is_finite()) {
        return Err(Error::key("time_scale", format!("expected a number above 0, found {}", c.time_scale)));
    }
    Ok(Box::new(c))
}

impl Prediction for Flow {
    fn at(&self, sigma: f64) -> Coefficients {
        let (t, rest) = (sigma / (1.0 + sigma), 1.0 / (1.0 + sigma));
        Coefficients { input: rest, skip: rest, output: -t, time: t * self.time_scale }
    }

    fn range(&self) -> [f64; 2] {
        [1e-6, 1e6]
    }
}
