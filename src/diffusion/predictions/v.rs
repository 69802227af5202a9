//! v-prediction (arXiv 2202.00512): v = α ε − s x₀ with x_t = α x₀ + s ε, so x₀ = α x_t − s v.

use super::{Coefficients, Prediction, PredictionRow};
use crate::diffusion::Clock;
use crate::error::Result;

pub const ROW: PredictionRow = PredictionRow {
    name: "v",
    about: "v = αε − s·x₀ of a variance-preserving model: x₀ = α·x_t − s·v; settings: as epsilon",
    make,
};

struct Velocity(Clock);

fn make(table: toml::Table) -> Result<Box<dyn Prediction>> {
    Ok(Box::new(Velocity(Clock::parse(table)?)))
}

impl Prediction for Velocity {
    fn at(&self, sigma: f64) -> Coefficients {
        let alpha = 1.0 / (1.0 + sigma * sigma).sqrt();
        Coefficients { input: alpha, skip: alpha * alpha, output: -sigma * alpha, time: self.0.time(sigma) }
    }

    fn range(&self) -> [f64; 2] {
        self.0.range()
    }
}
