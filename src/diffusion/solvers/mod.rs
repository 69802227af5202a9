//! Ways along the probability-flow equation dx/dσ = (x − D(x; σ))/σ (theory, 23), one file each.

mod ancestral;
mod churn;
mod ddim;
mod dpmpp_2m;
mod euler;
mod heun;

use super::State;
use crate::error::{Error, Result, did_you_mean};
use crate::nn::Rows;

/// One step's surroundings.
pub struct Step<'a> {
    /// The step goes from `sigmas[index]` to `sigmas[index + 1]`.
    pub index: usize,
    /// All noise levels, descending.
    pub sigmas: &'a [f64],
    /// D(x; σ)
    pub denoise: &'a mut dyn FnMut(&State, f64) -> Result<State>,
    /// Fresh normals of this step by number.
    pub noise: &'a mut dyn FnMut(u32) -> Rows,
}

impl Step<'_> {
    /// σ before and after.
    pub fn ends(&self) -> (f64, f64) {
        (self.sigmas[self.index], self.sigmas[self.index + 1])
    }
}

/// A solver holds its settings and no state; what one step leaves for the next is in `memory`.
pub trait Solver: Send + Sync {
    /// Order of the deterministic part: the error at a fixed σ falls as the step to this power.
    fn order(&self) -> u32;

    /// Denoiser calls for a schedule of that many steps that ends at σ = 0.
    fn evaluations(&self, steps: usize) -> usize;

    /// Whether it asks for noise.
    fn is_stochastic(&self) -> bool {
        false
    }

    /// One step.
    ///
    /// # Errors
    /// Of the denoiser.
    fn step(&self, x: State, memory: &mut Option<State>, step: &mut Step) -> Result<State>;
}

type Make = fn(toml::Table) -> Result<Box<dyn Solver>>;

/// One row of the table of solvers.
pub struct SolverRow {
    /// As `solver = "…"`.
    pub name: &'static str,
    /// One line for `isoline list solvers`.
    pub about: &'static str,
    /// Reads its settings.
    pub make: Make,
}

/// Every solver.
pub static SOLVERS: &[SolverRow] = &[euler::ROW, heun::ROW, ddim::ROW, dpmpp_2m::ROW, ancestral::ROW, churn::ROW];

/// The solver of that name.
///
/// # Errors
/// [`Error::Key`] with the nearest name.
pub fn solver(name: &str, settings: toml::Table) -> Result<Box<dyn Solver>> {
    match SOLVERS.iter().find(|s| s.name == name) {
        Some(row) => (row.make)(settings).map_err(|e| e.inside("solver_settings")),
        None => {
            let known: Vec<&str> = SOLVERS.iter().map(|s| s.name).collect();
            let near = did_you_mean(name, known);
            Err(Error::key("solver", format!("unknown solver \"{}\"{near}", name.escape_debug())))
        }
    }
}

/// Reads settings; unknown keys are refused.
fn settings<C: serde::de::DeserializeOwned>(table: toml::Table) -> Result<C> {
    C::deserialize(table).map_err(|e| Error::key("", crate::error::explain_toml(e.message())))
}

/// dx/dσ from D: (x − D)/σ.
fn slope(x: &State, denoised: State, sigma: f64) -> State {
    x.clone().minus(denoised).times(1.0 / sigma)
}

/// Heun's step from `x` at `from` to `to`: the trapezoid rule on an Euler prediction; Euler where `to` is 0, for there
/// the slope is 0/0.
fn heun_step(x: State, from: f64, to: f64, step: &mut Step) -> Result<State> {
    let denoised = (step.denoise)(&x, from)?;
    let first = slope(&x, denoised, from);
    let predicted = x.clone().plus(first.clone().times(to - from));
    if to == 0.0 {
        return Ok(predicted);
    }
    let denoised = (step.denoise)(&predicted, to)?;
    let second = slope(&predicted, denoised, to);
    Ok(x.plus(first.plus(second).times(0.5 * (to - from))))
}

/// The split of a step with noise: down to `down`, then noise of deviation `up`, so that down² + up² = to². η = 1 takes
/// the whole variance of the posterior, to²(from² − to²)/from², as DDPM does; 0 is deterministic.
fn split(from: f64, to: f64, eta: f64) -> (f64, f64) {
    let up = (eta * to * ((from * from - to * to).max(0.0)).sqrt() / from).min(to);
    ((to * to - up * up).max(0.0).sqrt(), up)
}
