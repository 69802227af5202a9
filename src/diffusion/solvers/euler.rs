//! Euler's method: x' = x + (σ' − σ)·dx/dσ.

use super::{Solver, SolverRow, Step, settings, slope};
use crate::diffusion::State;
use crate::error::Result;

pub const ROW: SolverRow = SolverRow { name: "euler", about: "Euler's method, order 1, one evaluation a step", make };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Euler {}

fn make(table: toml::Table) -> Result<Box<dyn Solver>> {
    Ok(Box::new(settings::<Euler>(table)?))
}

impl Solver for Euler {
    fn order(&self) -> u32 {
        1
    }

    fn evaluations(&self, steps: usize) -> usize {
        steps
    }

    fn step(&self, x: State, _: &mut Option<State>, step: &mut Step) -> Result<State> {
        let (from, to) = step.ends();
        let denoised = (step.denoise)(&x, from)?;
        Ok(x.clone().plus(slope(&x, denoised, from).times(to - from)))
    }
}
