//! The stochastic sampler of EDM (arXiv 2206.00364, algorithm 2): each step first adds fresh noise, which raises the
//! noise level by the factor 1 + γ, and then takes Heun's step from there. γ = min(churn/steps, √2 − 1) between the
//! levels `low` and `high`, and 0 elsewhere.

use super::{Solver, SolverRow, Step, heun_step, settings};
use crate::diffusion::State;
use crate::error::{Error, Result};

pub const ROW: SolverRow = SolverRow {
    name: "churn",
    about: "EDM's stochastic Heun; settings: churn = 10, low = 0.05, high = 50 (levels that are churned), noise = 1",
    make,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Churn {
    churn: f64,
    low: f64,
    high: f64,
    noise: f64,
}

impl Default for Churn {
    fn default() -> Self {
        Self { churn: 10.0, low: 0.05, high: 50.0, noise: 1.0 }
    }
}

fn make(table: toml::Table) -> Result<Box<dyn Solver>> {
    let c: Churn = settings(table)?;
    if !(c.churn >= 0.0 && c.churn <= 1e4) {
        return Err(Error::key("churn", format!("expected 0 to 10000, found {}", c.churn)));
    }
    if !(c.low >= 0.0 && c.low < c.high) {
        return Err(Error::key("low", format!("expected 0 ≤ low < high, found {} and {}", c.low, c.high)));
    }
    if !(0.9..=1.1).contains(&c.noise) {
        return Err(Error::key("noise", format!("expected 0.9 to 1.1, found {}", c.noise)));
    }
    Ok(Box::new(c))
}

impl Solver for Churn {
    fn order(&self) -> u32 {
        2
    }

    fn evaluations(&self, steps: usize) -> usize {
        2 * steps - 1
    }

    fn is_stochastic(&self) -> bool {
        self.churn > 0.0
    }

    fn step(&self, x: State, _: &mut Option<State>, step: &mut Step) -> Result<State> {
        let (from, to) = step.ends();
        let steps = (step.sigmas.len() - 1) as f64;
        let gamma = if (self.low..=self.high).contains(&from) {
            (self.churn / steps).min(std::f64::consts::SQRT_2 - 1.0)
        } else {
            0.0
        };
        if gamma == 0.0 {
            return heun_step(x, from, to, step);
        }
        let raised = from * (1.0 + gamma);
        let noise = (step.noise)(0);
        let x = x.shifted(noise, self.noise * (raised * raised - from * from).sqrt());
        heun_step(x, raised, to, step)
    }
}
