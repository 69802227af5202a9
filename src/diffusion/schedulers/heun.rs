//! Heun's method in σ: two calls a step, the last step excepted.

use super::alphas::{Alphas, UsualBetas};
use super::keys::Keys;
use super::prediction::Prediction;
use super::times::{Spacing, Spread, interpolated, start_of, time_of};
use super::{Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::{Error, Result};

pub const ROW: SchedulerRow =
    SchedulerRow { class: "HeunDiscreteScheduler", about: "Heun's method, two calls a step", make };

struct Heun {
    times: Vec<f64>,
    /// The level of each call, and the last.
    sigmas: Vec<f64>,
    start: f64,
    prediction: Prediction,
}

fn make(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let alphas = Alphas::read(keys, UsualBetas::HEUN, None)?;
    let spacing = Spacing::read(keys, Spacing::Linspace)?;
    let prediction = Prediction::read(keys)?;
    let table = alphas.sigmas();
    let mut times = spacing.times(alphas.len(), steps, keys.count("steps_offset", 0, [0, 10])?, false);
    let mut levels: Vec<f64> = times.iter().map(|t| interpolated(*t, &table)).collect();
    let spread = Spread::read(keys)?;
    if spread != Spread::None {
        levels = spread.between(levels[0], levels[steps - 1], steps);
        times = levels.iter().map(|s| time_of(*s, &table)).collect();
    }
    if keys.flag("clip_sample", false)? {
        return Err(Error::key("clip_sample", "expected false; this is not supported with Heun's method"));
    }
    // The first call stands alone; the end of each step is looked at, and then is where the next begins.
    let twice = |all: &[f64]| -> Vec<f64> {
        all.iter().enumerate().flat_map(|(i, v)| vec![*v; if i == 0 { 1 } else { 2 }]).collect()
    };
    let mut sigmas = twice(&levels);
    sigmas.push(0.0);
    let start = start_of(spacing, &sigmas);
    Ok(Box::new(Heun { times: twice(&times), sigmas, start, prediction }))
}

impl Scheduler for Heun {
    fn times(&self) -> &[f64] {
        &self.times
    }

    fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    fn start(&self) -> f64 {
        self.start
    }

    fn input(&self, call: usize, x: &State) -> State {
        x.clone().times(1.0 / (self.sigmas[call].powi(2) + 1.0).sqrt())
    }

    fn step(&self, call: usize, x: State, answer: State, memory: &mut Memory, _: &mut Noise) -> State {
        let sigma = self.sigmas[call];
        let slope = x.clone().minus(self.prediction.clean_at(&x, answer, sigma)).times(1.0 / sigma);
        if call.is_multiple_of(2) {
            let length = self.sigmas[call + 1] - sigma;
            memory.kept = Some(x.clone());
            memory.push(slope.clone(), 1);
            return x.plus(slope.times(length));
        }
        let length = sigma - self.sigmas[call - 1];
        let mean = slope.plus(memory.last(0).clone()).times(0.5);
        memory.kept.take().unwrap_or(x).plus(mean.times(length))
    }
}
