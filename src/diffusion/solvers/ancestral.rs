//! Ancestral Euler: an Euler step to a level below the next one, then fresh noise back up to it. The noise has the
//! whole variance of the posterior (η = 1 of DDIM).

use super::{Solver, SolverRow, Step, settings, slope, split};
use crate::diffusion::State;
use crate::error::Result;

pub const ROW: SolverRow = SolverRow {
    name: "ancestral",
    about: "ancestral Euler: down below the next level, fresh noise up to it; one evaluation a step",
    make,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Ancestral {}

fn make(table: toml::Table) -> Result<Box<dyn Solver>> {
    Ok(Box::new(settings::<Ancestral>(table)?))
}

impl Solver for Ancestral {
    fn order(&self) -> u32 {
        1
    }

    fn evaluations(&self, steps: usize) -> usize {
        steps
    }

    fn is_stochastic(&self) -> bool {
        true
    }

    fn step(&self, x: State, _: &mut Option<State>, step: &mut Step) -> Result<State> {
        let (from, to) = step.ends();
        let (down, up) = split(from, to, 1.0);
        let denoised = (step.denoise)(&x, from)?;
        let moved = x.clone().plus(slope(&x, denoised, from).times(down - from));
        Ok(if up > 0.0 { moved.shifted((step.noise)(0), up) } else { moved })
    }
}
