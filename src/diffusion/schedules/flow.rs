//! Evenly spaced in the time of rectified flow, t = σ/(1 + σ).

use super::{Schedule, ScheduleRow, even_in, settings};
use crate::error::Result;

pub const ROW: ScheduleRow =
    ScheduleRow { name: "flow", about: "even in the time of rectified flow, σ = t/(1 − t)", make };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {}

fn make(table: toml::Table) -> Result<Box<dyn Schedule>> {
    Ok(Box::new(settings::<Flow>(table)?))
}

impl Schedule for Flow {
    fn sigma(&self, u: f64, low: f64, high: f64) -> f64 {
        even_in(u, low, high, |s| s / (1.0 + s), |t| t / (1.0 - t))
    }
}
