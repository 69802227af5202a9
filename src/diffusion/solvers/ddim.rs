//! DDIM (arXiv 2010.02502): x' = D + (σ'/σ)(x − D). With η above 0, part of the noise is fresh; its standard deviation
//! is η times that of the posterior. In these coordinates η = 0 is exactly Euler's method, so the order is 1. With
//! `clip`, D is clamped where it stands for x₀, but not where it enters the noise (x − D)/σ, as in many published
//! samplers.

use super::{Solver, SolverRow, Step, settings, split};
use crate::diffusion::State;
use crate::error::{Error, Result};

pub const ROW: SolverRow = SolverRow {
    name: "ddim",
    about: "DDIM: x₀ and noise recombined at the next level, one evaluation a step; settings: eta = 0 (1 = all fresh noise), \
        clip = [low, high] of x₀",
    make,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Ddim {
    #[serde(default)]
    eta: f64,
    #[serde(default)]
    clip: Option<[f32; 2]>,
}

fn make(table: toml::Table) -> Result<Box<dyn Solver>> {
    let c: Ddim = settings(table)?;
    if !(0.0..=1.0).contains(&c.eta) {
        return Err(Error::key("eta", format!("expected 0 to 1, found {}", c.eta)));
    }
    if c.clip.is_some_and(|[low, high]| low >= high || !(high - low).is_finite()) {
        return Err(Error::key("clip", "expected [low, high] with low < high"));
    }
    Ok(Box::new(c))
}

impl Solver for Ddim {
    fn order(&self) -> u32 {
        1
    }

    fn evaluations(&self, steps: usize) -> usize {
        steps
    }

    fn is_stochastic(&self) -> bool {
        self.eta > 0.0
    }

    fn step(&self, x: State, _: &mut Option<State>, step: &mut Step) -> Result<State> {
        let (from, to) = step.ends();
        let (down, up) = split(from, to, self.eta);
        let denoised = (step.denoise)(&x, from)?;
        let noise = x.minus(denoised.clone());
        let x0 = match self.clip {
            Some(range) => denoised.clipped(range),
            None => denoised,
        };
        let moved = x0.plus(noise.times(down / from));
        Ok(if up > 0.0 { moved.shifted((step.noise)(0), up) } else { moved })
    }
}
