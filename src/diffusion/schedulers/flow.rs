//! Euler's method for flow matching: x = (1 − σ)·x₀ + σ·ε, and the network answers with ε − x₀.

use super::keys::Keys;
use super::{Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::{Error, Result};

pub const ROW: SchedulerRow =
    SchedulerRow { class: "FlowMatchEulerDiscreteScheduler", about: "Euler's method for flow matching", make };

struct Flow {
    times: Vec<f64>,
    sigmas: Vec<f64>,
    stochastic: bool,
}

fn make(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let train = keys.count("num_train_timesteps", 1000, [2, 100_000])? as f64;
    let shift = keys.number("shift", 1.0)?;
    if !(shift > 0.0 && shift.is_finite()) {
        return Err(Error::key("shift", format!("expected a number above 0, found {shift}")));
    }
    for key in ["use_karras_sigmas", "use_exponential_sigmas", "invert_sigmas", "use_dynamic_shifting"] {
        if keys.flag(key, false)? {
            return Err(Error::key(key, "expected false; this is not supported"));
        }
    }
    keys.passes_over(&["base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift", "time_shift_type"]);
    let shifted = |s: f64| shift * s / (1.0 + (shift - 1.0) * s);
    // The ends of the training levels are shifted already, and the levels between them are once more, as the library does it.
    let [high, low] = [shifted(1.0), shifted(1.0 / train)];
    let part = |i: usize| if steps == 1 { 0.0 } else { i as f64 / (steps - 1) as f64 };
    let mut sigmas: Vec<f64> = (0..steps).map(|i| shifted(high + part(i) * (low - high))).collect();
    let times = sigmas.iter().map(|s| s * train).collect();
    sigmas.push(0.0);
    Ok(Box::new(Flow { times, sigmas, stochastic: keys.flag("stochastic_sampling", false)? }))
}

impl Scheduler for Flow {
    fn times(&self) -> &[f64] {
        &self.times
    }

    fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    fn is_stochastic(&self) -> bool {
        self.stochastic
    }

    fn step(&self, call: usize, x: State, answer: State, _: &mut Memory, noise: &mut Noise) -> State {
        let [from, to] = [self.sigmas[call], self.sigmas[call + 1]];
        match self.stochastic {
            false => x.blend(1.0, answer, to - from),
            true => x.blend(1.0, answer, -from).times(1.0 - to).shifted(noise(), to),
        }
    }
}
