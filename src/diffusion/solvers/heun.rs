//! Heun's method (EDM, arXiv 2206.00364, algorithm 1): an Euler step predicts the end, then the step follows the mean
//! of the slopes at both ends.

use super::{Solver, SolverRow, Step, heun_step, settings};
use crate::diffusion::State;
use crate::error::Result;

pub const ROW: SolverRow =
    SolverRow { name: "heun", about: "Heun's method, order 2, two evaluations a step and one for the last", make };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Heun {}

fn make(table: toml::Table) -> Result<Box<dyn Solver>> {
    Ok(Box::new(settings::<Heun>(table)?))
}

impl Solver for Heun {
    fn order(&self) -> u32 {
        2
    }

    fn evaluations(&self, steps: usize) -> usize {
        2 * steps - 1
    }

    fn step(&self, x: State, _: &mut Option<State>, step: &mut Step) -> Result<State> {
        let (from, to) = step.ends();
        heun_step(x, from, to, step)
    }
}
