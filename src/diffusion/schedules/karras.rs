//! Evenly spaced in σ^{1/ρ} (EDM, arXiv 2206.00364, equation 5): the larger ρ, the shorter the steps at low noise.

use super::{Schedule, ScheduleRow, even_in, settings};
use crate::error::{Error, Result};

pub const ROW: ScheduleRow =
    ScheduleRow { name: "karras", about: "even in σ^(1/ρ): short steps at low noise; settings: rho = 7", make };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Karras {
    #[serde(default = "seven")]
    rho: f64,
}

fn seven() -> f64 {
    7.0
}

fn make(table: toml::Table) -> Result<Box<dyn Schedule>> {
    let c: Karras = settings(table)?;
    if !(c.rho >= 1.0 && c.rho <= 100.0) {
        return Err(Error::key("rho", format!("expected 1 to 100, found {}", c.rho)));
    }
    Ok(Box::new(c))
}

impl Schedule for Karras {
    fn sigma(&self, u: f64, low: f64, high: f64) -> f64 {
        even_in(u, low, high, |s| s.powf(1.0 / self.rho), |r| r.powf(self.rho))
    }
}
