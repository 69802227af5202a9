//! ε-prediction of a variance-preserving model: x_t = α x₀ + s ε with α² + s² = 1, used through x = x_t/α, σ = s/α.

use super::{Coefficients, Prediction, PredictionRow};
use crate::diffusion::Clock;
use crate::error::Result;

pub const ROW: PredictionRow = PredictionRow {
    name: "epsilon",
    about: "ε of a variance-preserving model: x₀ = x − σ·ε; settings: clock = linear | scaled_linear | cosine | vp, steps, \
        beta, time_scale",
    make,
};

struct Epsilon(Clock);

fn make(table: toml::Table) -> Result<Box<dyn Prediction>> {
    Ok(Box::new(Epsilon(Clock::parse(table)?)))
}

impl Prediction for Epsilon {
    fn at(&self, sigma: f64) -> Coefficients {
        let alpha = 1.0 / (1.0 + sigma * sigma).sqrt();
        Coefficients { input: alpha, skip: 1.0, output: -sigma, time: self.0.time(sigma) }
    }

    fn range(&self) -> [f64; 2] {
        self.0.range()
    }
}
