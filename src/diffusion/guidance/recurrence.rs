//! Self-recurrence (theory, 25; arXiv 2302.07121): every step is taken several times. In between, the noise that it
//! removed is put back, so that a guided state can settle.

use crate::diffusion::State;
use crate::diffusion::solvers::{Solver, Step};
use crate::error::Result;

/// Its name and formula, for `isoline list guidance`.
pub const FORMULA: (&str, &str) =
    ("recurrence", "each step taken several times, its noise put back in between; wraps a solver");

/// A solver that takes each step several times.
pub struct Recurrent {
    /// The solver that is repeated.
    pub inner: Box<dyn Solver>,
    /// Times each step is taken, at least 1.
    pub times: usize,
}

impl Solver for Recurrent {
    fn order(&self) -> u32 {
        self.inner.order()
    }

    fn evaluations(&self, steps: usize) -> usize {
        // The last step, to σ = 0, is not repeated: there is no noise to put back.
        (self.inner.evaluations(steps) - self.inner.evaluations(1)) * self.times + self.inner.evaluations(1)
    }

    fn is_stochastic(&self) -> bool {
        self.times > 1 || self.inner.is_stochastic()
    }

    fn step(&self, x: State, memory: &mut Option<State>, step: &mut Step) -> Result<State> {
        let (from, to) = step.ends();
        let before = memory.clone();
        let mut x = self.inner.step(x, memory, step)?;
        for again in 1..if to > 0.0 { self.times } else { 1 } {
            // Draws 0 and 1 are left to the solver itself.
            let noise = (step.noise)(1 + again as u32);
            let raised = x.shifted(noise, (from * from - to * to).max(0.0).sqrt());
            memory.clone_from(&before);
            x = self.inner.step(raised, memory, step)?;
        }
        Ok(x)
    }
}
