//! Euler's method in σ, and with fresh noise at each step (*ancestral*): x = x₀ + σ·ε, and the network sees x/√(σ² + 1).

use super::alphas::{Alphas, LEAST_ALPHA, UsualBetas};
use super::keys::Keys;
use super::prediction::Prediction;
use super::times::{Spacing, Spread, interpolated, last_level, start_of, time_of};
use super::{Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::Result;

pub const ROW: SchedulerRow = SchedulerRow { class: "EulerDiscreteScheduler", about: "Euler's method", make };
pub const ANCESTRAL: SchedulerRow = SchedulerRow {
    class: "EulerAncestralDiscreteScheduler",
    about: "Euler's method with fresh noise",
    make: ancestral,
};

struct Euler {
    times: Vec<f64>,
    sigmas: Vec<f64>,
    start: f64,
    prediction: Prediction,
    fresh: bool,
}

fn make(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let alphas = Alphas::read(keys, UsualBetas::MOST, Some(LEAST_ALPHA))?;
    let spacing = Spacing::read(keys, Spacing::Linspace)?;
    let prediction = Prediction::read(keys)?;
    prediction.check_zero_snr(keys)?;
    let mut times = spacing.times(alphas.len(), steps, keys.count("steps_offset", 0, [0, 10])?, false);
    let table = alphas.sigmas();
    let mut sigmas: Vec<f64> =
        match keys.one_of("interpolation_type", true, &[("linear", true), ("log_linear", false)])? {
            true => times.iter().map(|t| interpolated(*t, &table)).collect(),
            false => Spread::Exponential.between(table[table.len() - 1], table[0], steps + 1),
        };
    keys.one_of("timestep_type", (), &[("discrete", ())])?;
    let spread = Spread::read(keys)?;
    let ends = [keys.number("sigma_max", sigmas[0])?, keys.number("sigma_min", sigmas[sigmas.len() - 1])?];
    if spread != Spread::None {
        sigmas = spread.between(ends[0], ends[1], steps);
        times = sigmas.iter().map(|s| time_of(*s, &table)).collect();
    }
    sigmas.push(last_level(keys, &alphas)?);
    let start = start_of(spacing, &sigmas);
    Ok(Box::new(Euler { times, sigmas, start, prediction, fresh: false }))
}

fn ancestral(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let alphas = Alphas::read(keys, UsualBetas::MOST, Some(LEAST_ALPHA))?;
    let spacing = Spacing::read(keys, Spacing::Linspace)?;
    let prediction = Prediction::read(keys)?;
    prediction.check_zero_snr(keys)?;
    let times = spacing.times(alphas.len(), steps, keys.count("steps_offset", 0, [0, 10])?, false);
    let table = alphas.sigmas();
    let sigmas: Vec<f64> = times.iter().map(|t| interpolated(*t, &table)).chain([0.0]).collect();
    let start = start_of(spacing, &sigmas);
    Ok(Box::new(Euler { times, sigmas, start, prediction, fresh: true }))
}

impl Scheduler for Euler {
    fn times(&self) -> &[f64] {
        &self.times
    }

    fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    fn start(&self) -> f64 {
        self.start
    }

    fn is_stochastic(&self) -> bool {
        self.fresh
    }

    fn input(&self, call: usize, x: &State) -> State {
        x.clone().times(1.0 / (self.sigmas[call].powi(2) + 1.0).sqrt())
    }

    fn step(&self, call: usize, x: State, answer: State, _: &mut Memory, noise: &mut Noise) -> State {
        let [from, to] = [self.sigmas[call], self.sigmas[call + 1]];
        let up = if self.fresh { (to * to * (from * from - to * to) / (from * from)).sqrt() } else { 0.0 };
        let down = (to * to - up * up).sqrt();
        // x + (down − from)·(x − x₀)/from.
        let moved = x.clone().blend(down / from, self.prediction.clean_at(&x, answer, from), 1.0 - down / from);
        if self.fresh { moved.shifted(noise(), up) } else { moved }
    }
}
