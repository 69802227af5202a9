//! Ancestral sampling of DDPM (arXiv 2006.11239): the mean and the variance of q(x' | x, x₀).

use super::alphas::{Alphas, UsualBetas};
use super::keys::Keys;
use super::prediction::Prediction;
use super::times::{Spacing, whole};
use super::{Clip, Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::Result;

pub const ROW: SchedulerRow = SchedulerRow { class: "DDPMScheduler", about: "DDPM: ancestral sampling", make };

struct Ddpm {
    times: Vec<f64>,
    alphas: Alphas,
    prediction: Prediction,
    clip: Clip,
    /// Whether the noise of a step has the variance β of the step, and not that of the posterior.
    large: bool,
}

fn make(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let alphas = Alphas::read(keys, UsualBetas::MOST, Some(0.0))?;
    let spacing = Spacing::read(keys, Spacing::Leading)?;
    let prediction = Prediction::read(keys)?;
    prediction.check_zero_snr(keys)?;
    let offset = keys.count("steps_offset", 0, [0, 10])?;
    Ok(Box::new(Ddpm {
        times: whole(spacing.times(alphas.len(), steps, offset, false)),
        clip: Clip::read(keys, true)?,
        large: keys.one_of("variance_type", false, &[("fixed_small", false), ("fixed_large", true)])?,
        prediction,
        alphas,
    }))
}

impl Scheduler for Ddpm {
    fn times(&self) -> &[f64] {
        &self.times
    }

    fn is_stochastic(&self) -> bool {
        // At time 0 nothing is drawn.
        self.times.iter().any(|t| *t > 0.0)
    }

    fn step(&self, call: usize, x: State, answer: State, _: &mut Memory, noise: &mut Noise) -> State {
        let t = self.times[call] as i64;
        let next = self.times.get(call + 1).map_or(-1, |t| *t as i64);
        let (a, next) = (self.alphas.at(t, 1.0), self.alphas.at(next, 1.0));
        let beta = 1.0 - a / next;
        let clean = self.clip.apply(self.prediction.clean(&x, answer, a));
        let mean = clean.blend(next.sqrt() * beta / (1.0 - a), x, (a / next).sqrt() * (1.0 - next) / (1.0 - a));
        if t == 0 {
            return mean;
        }
        let variance = if self.large { beta } else { ((1.0 - next) / (1.0 - a) * beta).max(1e-20) };
        mean.shifted(noise(), variance.sqrt())
    }
}
