//! Solvers: ways to follow the probability-flow equation dx/dσ = (x − D(x; σ))/σ from one noise level to the next
//! (theory, 23), one file each. They are written on [`State`] as linear combinations of x, D and fresh noise, so they
//! carry tangents without any code of their own for it. The loop over the steps is [`super::Sampling::run`].

mod ancestral;
mod churn;
mod ddim;
mod dpmpp_2m;
mod euler;
mod heun;

use super::State;
use crate::error::{Error, Result, did_you_mean};
use crate::nn::Rows;

/// What a solver needs for one step.
pub struct Step<'a> {
    /// The step goes from `sigmas[index]` to `sigmas[index + 1]`.
    pub index: usize,
    /// All noise levels of the path, descending.
    pub sigmas: &'a [f64],
    /// The denoiser D(x; σ).
    pub denoise: &'a mut dyn FnMut(&State, f64) -> Result<State>,
    /// Fresh standard normal noise, `[n, D]`. The argument numbers the draws of this step (0, 1, …); the same number
    /// gives the same noise.
    pub noise: &'a mut dyn FnMut(u32) -> Rows,
}

impl Step<'_> {
    /// The noise levels (σ, σ') before and after the step.
    pub fn ends(&self) -> (f64, f64) {
        (self.sigmas[self.index], self.sigmas[self.index + 1])
    }
}

/// A solver with its settings. It keeps no state of its own: what one step hands to the next is in the `memory`
/// argument of [`step`](Self::step).
pub trait Solver: Send + Sync {
    /// The order of its deterministic part: the error at a fixed σ falls as the step length to this power.
    fn order(&self) -> u32;

    /// Number of denoiser calls on a path of `steps` steps that ends at σ = 0.
    fn evaluations(&self, steps: usize) -> usize;

    /// Whether it asks for fresh noise. If not, the sampler is a map noise → picture with a Jacobian.
    fn is_stochastic(&self) -> bool {
        false
    }

    /// Carries x (`[n, D]`) from the noise level before the step to the one after. `memory` is `None` before the first
    /// step of a path; a multistep solver leaves its last D there.
    ///
    /// # Errors
    /// Those of the denoiser.
    fn step(&self, x: State, memory: &mut Option<State>, step: &mut Step) -> Result<State>;
}

type Constructor = fn(toml::Table) -> Result<Box<dyn Solver>>;

/// One row of the table of solvers.
pub struct SolverRow {
    /// Its name, as in `solver = "…"`.
    pub name: &'static str,
    /// One line for `isoline list solvers`.
    pub about: &'static str,
    /// Builds it from its settings; [`Error::Key`] for a setting that is unknown or out of range.
    pub make: Constructor,
}

/// Every solver, in the order of `isoline list solvers`.
pub static SOLVERS: &[SolverRow] = &[euler::ROW, heun::ROW, ddim::ROW, dpmpp_2m::ROW, ancestral::ROW, churn::ROW];

/// The solver called `name`, with these settings.
///
/// # Errors
/// [`Error::Key`] for an unknown name, with the nearest one, or for a setting that is unknown or out of range.
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

/// dx/dσ = (x − D)/σ, given D at x and σ above 0.
fn slope(x: &State, denoised: State, sigma: f64) -> State {
    x.clone().minus(denoised).times(1.0 / sigma)
}

/// Heun's step from x at the level `from` to the level `to`: the trapezoidal rule with an Euler prediction of the end.
/// If `to` is 0, the slope at the end would be 0/0, so the step is Euler's.
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

/// Splits a stochastic step from the level `from` to `to` into (down, up): a deterministic step down to the level
/// `down`, then fresh noise of standard deviation `up`, with down² + up² = to². At η = 1 the noise has the whole
/// variance of the posterior, to²(from² − to²)/from², as in DDPM; at η = 0 there is none.
fn split(from: f64, to: f64, eta: f64) -> (f64, f64) {
    let up = (eta * to * ((from * from - to * to).max(0.0)).sqrt() / from).min(to);
    ((to * to - up * up).max(0.0).sqrt(), up)
}
