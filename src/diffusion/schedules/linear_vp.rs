//! Evenly spaced in the time t of the variance-preserving process with linear β (arXiv 2011.13456):
//! σ² = exp(β₀t + ½(β₁ − β₀)t²) − 1.

use super::{Schedule, ScheduleRow, even_in, settings};
use crate::error::{Error, Result};

pub const ROW: ScheduleRow = ScheduleRow {
    name: "linear-vp",
    about: "even in the time of the variance-preserving process; settings: beta = [0.1, 20]",
    make,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LinearVp {
    #[serde(default = "betas")]
    beta: [f64; 2],
}

fn betas() -> [f64; 2] {
    [0.1, 20.0]
}

fn make(table: toml::Table) -> Result<Box<dyn Schedule>> {
    let c: LinearVp = settings(table)?;
    let [low, high] = c.beta;
    if !(low > 0.0 && low < high && high < 1e3) {
        return Err(Error::key("beta", format!("expected 0 < first < last < 1000, found [{low}, {high}]")));
    }
    Ok(Box::new(c))
}

impl Schedule for LinearVp {
    fn sigma(&self, u: f64, low: f64, high: f64) -> f64 {
        let [first, last] = self.beta;
        let slope = last - first;
        let time = |sigma: f64| {
            let b = (sigma * sigma).ln_1p();
            2.0 * b / (first + (first * first + 2.0 * slope * b).sqrt())
        };
        even_in(u, low, high, time, |t| (first * t + 0.5 * slope * t * t).exp_m1().sqrt())
    }
}
