//! DDIM (arXiv 2010.02502): x' = √A'·x₀ + √(1 − A' − s²)·ε + s·noise with s = η·√((1 − A')/(1 − A)·(1 − A/A')).
//!
//! It goes from t to t − ⌊T/n⌋, as `diffusers` does, also where that is not the next of its times.

use super::alphas::{Alphas, UsualBetas};
use super::keys::Keys;
use super::prediction::Prediction;
use super::times::{Spacing, whole};
use super::{Clip, Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::Result;

pub const ROW: SchedulerRow = SchedulerRow { class: "DDIMScheduler", about: "DDIM", make };

struct Ddim {
    times: Vec<f64>,
    stride: i64,
    alphas: Alphas,
    /// ᾱ where there is no step left.
    end: f64,
    prediction: Prediction,
    clip: Clip,
    eta: f64,
}

fn make(keys: &Keys, steps: usize, eta: f64) -> Result<Box<dyn Scheduler>> {
    let alphas = Alphas::read(keys, UsualBetas::MOST, Some(0.0))?;
    let spacing = Spacing::read(keys, Spacing::Leading)?;
    let prediction = Prediction::read(keys)?;
    prediction.check_zero_snr(keys)?;
    let offset = keys.count("steps_offset", 0, [0, 10])?;
    Ok(Box::new(Ddim {
        times: whole(spacing.times(alphas.len(), steps, offset, false)),
        stride: (alphas.len() / steps) as i64,
        end: if keys.flag("set_alpha_to_one", true)? { 1.0 } else { alphas.first() },
        clip: Clip::read(keys, true)?,
        prediction,
        alphas,
        eta,
    }))
}

impl Scheduler for Ddim {
    fn times(&self) -> &[f64] {
        &self.times
    }

    fn is_stochastic(&self) -> bool {
        self.eta > 0.0
    }

    fn step(&self, call: usize, x: State, answer: State, _: &mut Memory, noise: &mut Noise) -> State {
        let t = self.times[call] as i64;
        let (a, next) = (self.alphas.at(t, self.end), self.alphas.at(t - self.stride, self.end));
        let eps = self.prediction.noise(&x, answer.clone(), a);
        let clean = self.clip.apply(self.prediction.clean(&x, answer, a));
        let variance = self.eta.powi(2) * (1.0 - next) / (1.0 - a) * (1.0 - a / next);
        let moved = clean.blend(next.sqrt(), eps, (1.0 - next - variance).max(0.0).sqrt());
        if self.eta > 0.0 { moved.shifted(noise(), variance.sqrt()) } else { moved }
    }
}
