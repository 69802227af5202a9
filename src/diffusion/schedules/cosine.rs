//! Evenly spaced in the time t of the cosine process (arXiv 2102.09672): ᾱ(t) = f(t)/f(0) with
//! f(t) = cos²((t + s)/(1 + s)·π/2).

use super::{Schedule, ScheduleRow, even_in, settings};
use crate::error::{Error, Result};
use std::f64::consts::FRAC_PI_2;

pub const ROW: ScheduleRow =
    ScheduleRow { name: "cosine", about: "even in the time of the cosine process; settings: offset s = 0.008", make };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Cosine {
    #[serde(default = "offset")]
    offset: f64,
}

fn offset() -> f64 {
    0.008
}

fn make(table: toml::Table) -> Result<Box<dyn Schedule>> {
    let c: Cosine = settings(table)?;
    if !(0.0..=0.5).contains(&c.offset) {
        return Err(Error::key("offset", format!("expected 0 to 0.5, found {}", c.offset)));
    }
    Ok(Box::new(c))
}

impl Schedule for Cosine {
    // With θ = (t + s)/(1 + s)·π/2 and θ₀ its value at t = 0, 1 + σ² = cos²θ₀/cos²θ. Even spacing in t is even spacing
    // in θ.
    fn sigma(&self, u: f64, low: f64, high: f64) -> f64 {
        let first = (self.offset / (1.0 + self.offset) * FRAC_PI_2).cos();
        let theta = |sigma: f64| (first / (1.0 + sigma * sigma).sqrt()).acos();
        even_in(u, low, high, theta, |t| ((first / t.cos()).powi(2) - 1.0).max(0.0).sqrt())
    }
}
