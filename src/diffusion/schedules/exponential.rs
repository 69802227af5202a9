//! Evenly spaced in ln σ: each noise level is the same fraction of the one before.

use super::{Schedule, ScheduleRow, even_in, settings};
use crate::error::Result;

pub const ROW: ScheduleRow = ScheduleRow { name: "exponential", about: "even in ln σ", make };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Exponential {}

fn make(table: toml::Table) -> Result<Box<dyn Schedule>> {
    Ok(Box::new(settings::<Exponential>(table)?))
}

impl Schedule for Exponential {
    fn sigma(&self, u: f64, low: f64, high: f64) -> f64 {
        even_in(u, low, high, f64::ln, f64::exp)
    }
}
