//! Samplers: a solver, a list of noise levels, and the loop that every solver runs in.
//!
//! The loop follows the probability-flow equation dx/dσ = (x − D(x; σ))/σ (theory, 23) from noise at σ_0 to a picture
//! at 0:
//!
//!   x = σ_0·z at σ_0  ──step──→  x at σ_1  ──step──→  …  ──step──→  x at 0, the picture
//!
//! [`SamplerConfig`] is what a card says about it, [`Sampling`] is what runs. A deterministic sampler is a map
//! noise z → picture, and it carries tangents like any generator ([`State`]).

use super::schedules::{Schedule, schedule};
use super::solvers::{Solver, Step, solver};
use super::{State, check_levels};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::limits;
use crate::nn::Rows;
use crate::noise::{self, Stream};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How a diffusion model makes pictures: the table `[denoiser.sampler]` of a card.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// Name of a solver in [`super::solvers::SOLVERS`].
    pub solver: String,
    /// Name of a schedule in [`super::schedules::SCHEDULES`].
    pub schedule: String,
    /// Number of steps from the greatest noise level to 0.
    pub steps: usize,
    /// The least noise level above 0, and the greatest, where the path starts.
    pub sigma: [f64; 2],
    /// The solver's own keys.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub solver_settings: toml::Table,
    /// The schedule's own keys.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub schedule_settings: toml::Table,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            solver: "dpmpp-2m".into(),
            schedule: "karras".into(),
            steps: 12,
            sigma: [0.02, 80.0],
            solver_settings: toml::Table::new(),
            schedule_settings: toml::Table::new(),
        }
    }
}

impl SamplerConfig {
    /// Checks every key for a model that covers the noise levels from `known[0]` to `known[1]`.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn check(&self, known: [f64; 2]) -> Result<()> {
        self.build(known).map(|_| ())
    }

    /// Builds the sampler for a model that covers the noise levels from `known[0]` to `known[1]`.
    ///
    /// # Errors
    /// [`Error::Key`] at the first key that is wrong.
    pub fn build(&self, known: [f64; 2]) -> Result<Sampling> {
        if !(1..=limits::STEPS).contains(&self.steps) {
            return Err(Error::key("steps", format!("expected 1 to {}, found {}", limits::STEPS, self.steps)));
        }
        let [low, high] = self.sigma;
        if !(low > 0.0 && low < high && high.is_finite()) {
            return Err(Error::key(
                "sigma",
                format!("expected [least, greatest] with 0 < least < greatest, found [{low}, {high}]"),
            ));
        }
        // People round the ends of a table when they type them; the check allows for that.
        let found = format_args!("[{low}, {high}]; a schedule may not go beyond its table");
        check_levels(known, self.sigma, found).map_err(|message| Error::key("sigma", message))?;
        let schedule = schedule(&self.schedule, self.schedule_settings.clone())?;
        let solver = solver(&self.solver, self.solver_settings.clone())?;
        Ok(Sampling::new(solver, sigmas(&*schedule, self.steps, self.sigma)))
    }
}

/// The noise levels of a path with that many steps, from `high` to `low` along the schedule, then 0: `steps + 1`
/// values.
fn sigmas(schedule: &dyn Schedule, steps: usize, [low, high]: [f64; 2]) -> Vec<f64> {
    let mut sigmas: Vec<f64> = match steps {
        1 => vec![high],
        n => (0..n).map(|i| schedule.sigma(i as f64 / (n - 1) as f64, low, high)).collect(),
    };
    sigmas.push(0.0);
    sigmas
}

/// A sampler that is ready to run: a solver and the noise levels it passes through.
pub struct Sampling {
    /// The solver, which takes one step at a time.
    pub solver: Box<dyn Solver>,
    /// The noise levels, descending, at least one. The last is 0 for a path that ends at the clean picture.
    pub sigmas: Vec<f64>,
}

/// The fresh noise of stochastic solvers: (step, number of the draw in that step) → standard normal noise `[n, D]`.
pub type Noise<'a> = dyn FnMut(u32, u32) -> Rows + 'a;

impl Sampling {
    /// A solver on the given noise levels, which must descend.
    pub fn new(solver: Box<dyn Solver>, sigmas: Vec<f64>) -> Self {
        Self { solver, sigmas }
    }

    /// Number of steps: one less than there are noise levels.
    pub fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// Number of times that [`run`](Self::run) calls the denoiser, on a path that ends at σ = 0.
    pub fn evaluations(&self) -> usize {
        self.solver.evaluations(self.steps())
    }

    /// Carries x (`[n, D]`) from the first noise level to the last. `denoise` computes D(x; σ); `noise` gives fresh
    /// noise to a stochastic solver; `before(step, x)` sees the state ahead of each step and may end the run with an
    /// error.
    ///
    /// # Errors
    /// Those of `denoise` and `before`.
    pub fn run(
        &self,
        x: State,
        denoise: &mut dyn FnMut(&State, f64) -> Result<State>,
        noise: &mut Noise,
        before: &mut dyn FnMut(usize, &State) -> Result<()>,
    ) -> Result<State> {
        let mut memory = None;
        let mut x = x;
        for index in 0..self.steps() {
            before(index, &x)?;
            let mut draw = |draw: u32| noise(index as u32, draw);
            let mut step = Step { index, sigmas: &self.sigmas, denoise, noise: &mut draw };
            x = self.solver.step(x, &mut memory, &mut step)?;
        }
        Ok(x)
    }
}

/// The fresh noise of one draw in one step, `[samples.len(), width]`. Row i depends only on sample i, the step and the
/// draw. The addresses of two steps stay apart as long as no step makes more than 4 draws.
pub fn sampling_noise(samples: &[u64], step: u32, draw: u32, width: usize, device: &Device) -> Rows {
    let values: Vec<f32> =
        samples.iter().flat_map(|s| noise::normals(0, *s, Stream::Sampling, step * 4 + draw, width)).collect();
    Tensor::from_data(TensorData::new(values, [samples.len(), width]), device)
}
