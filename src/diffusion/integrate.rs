//! The loop that every solver runs in, and the settings of a sampler.

use super::schedules::{Schedule, schedule};
use super::solvers::{Solver, Step, solver};
use super::{State, check_levels};
use crate::device::Device;
use crate::error::Result;
use crate::limits;
use crate::nn::Rows;
use crate::noise::{self, Stream};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How a diffusion model makes pictures; `[denoiser.sampler]` of a card.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// One of [`super::solvers::SOLVERS`].
    pub solver: String,
    /// One of [`super::schedules::SCHEDULES`].
    pub schedule: String,
    /// Steps from the greatest noise level to 0.
    pub steps: usize,
    /// Least and greatest noise level.
    pub sigma: [f64; 2],
    /// Keys of the solver.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub solver_settings: toml::Table,
    /// Keys of the schedule.
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
    /// Checks every key against the noise levels `known` to the model; an error is (key, message).
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn check(&self, known: [f64; 2]) -> Result<(), (String, String)> {
        self.build(known).map(|_| ())
    }

    /// The sampler, for a model that knows the noise levels `known`.
    ///
    /// # Errors
    /// (key, message) of the first key that is wrong.
    pub fn build(&self, known: [f64; 2]) -> Result<Sampling, (String, String)> {
        if !(1..=limits::STEPS).contains(&self.steps) {
            return Err(("steps".into(), format!("expected 1 to {}, found {}", limits::STEPS, self.steps)));
        }
        let [low, high] = self.sigma;
        if !(low > 0.0 && low < high && high.is_finite()) {
            return Err((
                "sigma".into(),
                format!("expected [least, greatest] with 0 < least < greatest, found [{low}, {high}]"),
            ));
        }
        let found = format_args!("[{low}, {high}]; a schedule may not go beyond its table");
        check_levels(known, self.sigma, found).map_err(|message| ("sigma".to_owned(), message))?;
        let schedule = schedule(&self.schedule, self.schedule_settings.clone())?;
        let solver = solver(&self.solver, self.solver_settings.clone())?;
        Ok(Sampling::new(solver, sigmas(&*schedule, self.steps, self.sigma)))
    }
}

/// Steps of a schedule, and the 0 behind them.
fn sigmas(schedule: &dyn Schedule, steps: usize, [low, high]: [f64; 2]) -> Vec<f64> {
    let mut sigmas: Vec<f64> = match steps {
        1 => vec![high],
        n => (0..n).map(|i| schedule.sigma(i as f64 / (n - 1) as f64, low, high)).collect(),
    };
    sigmas.push(0.0);
    sigmas
}

/// A solver and the noise levels it goes through.
pub struct Sampling {
    /// The solver.
    pub solver: Box<dyn Solver>,
    /// Descending, ending in 0 where the path goes to the clean picture.
    pub sigmas: Vec<f64>,
}

/// The noise of a step: (step, draw) → `[n, D]` normals.
pub type Noise<'a> = dyn FnMut(u32, u32) -> Rows + 'a;

impl Sampling {
    /// A solver on given noise levels.
    pub fn new(solver: Box<dyn Solver>, sigmas: Vec<f64>) -> Self {
        Self { solver, sigmas }
    }

    /// Steps taken.
    pub fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// Network evaluations that [`run`](Self::run) takes.
    pub fn evaluations(&self) -> usize {
        self.solver.evaluations(self.steps())
    }

    /// Carries x from the first noise level to the last. `denoise` is D, `noise` gives fresh normals to a stochastic
    /// solver, and `before` sees the state before every step and may stop the run.
    ///
    /// # Errors
    /// Of `denoise` and `before`.
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

/// The normals of a step for each of `samples`, by key: a row depends on its sample alone.
pub fn sampling_noise(samples: &[u64], step: u32, draw: u32, width: usize, device: &Device) -> Rows {
    let values: Vec<f32> =
        samples.iter().flat_map(|s| noise::normals(0, *s, Stream::Sampling, step * 4 + draw, width)).collect();
    Tensor::from_data(TensorData::new(values, [samples.len(), width]), device)
}
