//! A variance-preserving model that predicts the clean picture itself: D = F at x_t = α·x, α = 1/√(1 + σ²).

use super::{Coefficients, Prediction, PredictionRow};
use crate::diffusion::Clock;
use crate::error::Result;

pub const ROW: PredictionRow =
    PredictionRow { name: "x0", about: "x₀ of a variance-preserving model, as it is; settings: as epsilon", make };

struct Clean(Clock);

fn make(table: toml::Table) -> Result<Box<dyn Prediction>> {
    Ok(Box::new(Clean(Clock::parse(table)?)))
}

impl Prediction for Clean {
    fn at(&self, sigma: f64) -> Coefficients {
        let alpha = 1.0 / (1.0 + sigma * sigma).sqrt();
        Coefficients { input: alpha, skip: 0.0, output: 1.0, time: self.0.time(sigma) }
    }

    fn range(&self) -> [f64; 2] {
        self.0.range()
    }
}
