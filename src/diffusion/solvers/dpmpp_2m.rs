//! DPM-Solver++(2M) (arXiv 2211.01095): solves the linear part of the equation exactly in λ = −ln σ and extrapolates D
//! from the last two evaluations. The first step has only one evaluation and is of order 1; a last step to σ = 0 gives
//! D itself.

use super::{Solver, SolverRow, Step, settings};
use crate::diffusion::State;
use crate::error::Result;

pub const ROW: SolverRow =
    SolverRow { name: "dpmpp-2m", about: "DPM-Solver++(2M): multistep, order 2, one evaluation a step", make };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TwoM {}

fn make(table: toml::Table) -> Result<Box<dyn Solver>> {
    Ok(Box::new(settings::<TwoM>(table)?))
}

impl Solver for TwoM {
    fn order(&self) -> u32 {
        2
    }

    fn evaluations(&self, steps: usize) -> usize {
        steps
    }

    fn step(&self, x: State, memory: &mut Option<State>, step: &mut Step) -> Result<State> {
        let (from, to) = step.ends();
        let denoised = (step.denoise)(&x, from)?;
        let last = memory.replace(denoised.clone());
        if to == 0.0 {
            return Ok(denoised);
        }
        let h = (from / to).ln();
        let used = match last {
            Some(last) => {
                // D + (D − D_last)/(2r) with r = h_last/h.
                let half = 0.5 * h / (step.sigmas[step.index - 1] / from).ln();
                denoised.blend(1.0 + half, last, -half)
            }
            None => denoised,
        };
        // x' = (σ'/σ)·x + (1 − e^{−h})·D with h = ln(σ/σ').
        Ok(x.blend(to / from, used, -(-h).exp_m1()))
    }
}
