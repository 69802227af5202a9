//! PNDM without its Runge–Kutta start (arXiv 2202.09778): the answers of up to four calls, combined as by Adams and Bashforth, then a step
//! of DDIM. The second time is taken twice, since one answer alone is not enough to begin with.

use super::alphas::{Alphas, UsualBetas};
use super::keys::Keys;
use super::prediction::Prediction;
use super::times::{Spacing, whole};
use super::{Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::{Error, Result};

pub const ROW: SchedulerRow = SchedulerRow { class: "PNDMScheduler", about: "PNDM, the linear multistep method", make };

struct Pndm {
    times: Vec<f64>,
    stride: i64,
    alphas: Alphas,
    /// ᾱ where there is no step left.
    end: f64,
    prediction: Prediction,
}

fn make(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let alphas = Alphas::read(keys, UsualBetas::MOST, None)?;
    let spacing = Spacing::read(keys, Spacing::Leading)?;
    let prediction = Prediction::read(keys)?;
    if prediction == Prediction::Sample {
        return Err(Error::key("prediction_type", "expected epsilon or v_prediction for PNDM, found sample"));
    }
    if !keys.flag("skip_prk_steps", false)? {
        let message = "expected true: the Runge-Kutta start is not supported, and no Stable Diffusion uses it";
        return Err(Error::key("skip_prk_steps", message));
    }
    let mut times = whole(spacing.times(alphas.len(), steps, keys.count("steps_offset", 0, [0, 10])?, false));
    if steps > 1 {
        times.insert(1, times[1]);
    }
    Ok(Box::new(Pndm {
        times,
        stride: (alphas.len() / steps) as i64,
        end: if keys.flag("set_alpha_to_one", false)? { 1.0 } else { alphas.first() },
        prediction,
        alphas,
    }))
}

impl Scheduler for Pndm {
    fn times(&self) -> &[f64] {
        &self.times
    }

    fn step(&self, call: usize, x: State, answer: State, memory: &mut Memory, _: &mut Noise) -> State {
        let time = self.times[call] as i64;
        // The second call looks at the end of the first step, and takes that step again from its beginning.
        let (from, to) = if call == 1 { (time + self.stride, time) } else { (time, time - self.stride) };
        if call != 1 {
            memory.push(answer.clone(), 4);
        }
        let old = |i: usize| memory.last(i).clone();
        let combined = |weights: &[f64]| {
            let terms = weights.iter().enumerate().map(|(i, w)| old(i).times(*w));
            terms.reduce(State::plus).unwrap_or_else(|| answer.clone())
        };
        let used = match (call, memory.len()) {
            (1, _) => answer.blend(0.5, old(0), 0.5),
            (_, 1) => answer.clone(),
            (_, 2) => combined(&[1.5, -0.5]),
            (_, 3) => combined(&[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0]),
            _ => combined(&[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0]),
        };
        let start = match call {
            0 => memory.kept.insert(x).clone(),
            1 => memory.kept.take().unwrap_or(x),
            _ => x,
        };
        let (a, next) = (self.alphas.at(from, self.end), self.alphas.at(to, self.end));
        let eps = self.prediction.noise(&start, used, a);
        let below = a * (1.0 - next).sqrt() + (a * (1.0 - a) * next).sqrt();
        start.blend((next / a).sqrt(), eps, -(next - a) / below)
    }
}
