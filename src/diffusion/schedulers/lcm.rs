//! Latent consistency models (arXiv 2310.04378): each call jumps to the end, from which fresh noise leads back to the next level.

use super::alphas::{Alphas, UsualBetas};
use super::keys::Keys;
use super::prediction::Prediction;
use super::times::Spacing;
use super::{Clip, Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::{Error, Result};

pub const ROW: SchedulerRow =
    SchedulerRow { class: "LCMScheduler", about: "jumps to the end and back of a consistency model", make };

struct Lcm {
    times: Vec<f64>,
    alphas: Alphas,
    prediction: Prediction,
    clip: Clip,
    /// By what times are multiplied in the two scales.
    scale: f64,
}

fn make(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let alphas = Alphas::read(keys, UsualBetas::LATENT, Some(0.0))?;
    let prediction = Prediction::read(keys)?;
    prediction.check_zero_snr(keys)?;
    let all = keys.count("original_inference_steps", 50, [1, alphas.len()])?;
    if steps > all {
        let message =
            format!("expected at most {all}, the original_inference_steps of its LCM scheduler, found {steps}");
        return Err(Error::key("steps", message));
    }
    let stride = alphas.len() / all;
    let time = |i: usize| ((all - i * all / steps) * stride - 1) as f64;
    // Its times are its own, whatever the spacing.
    Spacing::read(keys, Spacing::Leading)?;
    Ok(Box::new(Lcm {
        times: (0..steps).map(time).collect(),
        clip: Clip::read(keys, false)?,
        scale: keys.number("timestep_scaling", 10.0)?,
        prediction,
        alphas,
    }))
}

impl Scheduler for Lcm {
    fn times(&self) -> &[f64] {
        &self.times
    }

    fn is_stochastic(&self) -> bool {
        self.times.len() > 1
    }

    fn step(&self, call: usize, x: State, answer: State, _: &mut Memory, noise: &mut Noise) -> State {
        let t = self.times[call];
        let a = self.alphas.at(t as i64, 1.0);
        let scaled = (t * self.scale).powi(2);
        let clean = self.clip.apply(self.prediction.clean(&x, answer, a));
        let end = clean.blend((scaled / (scaled + 0.25)).sqrt(), x, 0.25 / (scaled + 0.25));
        match self.times.get(call + 1) {
            None => end,
            Some(next) => {
                let next = self.alphas.at(*next as i64, 1.0);
                end.times(next.sqrt()).shifted(noise(), (1.0 - next).sqrt())
            }
        }
    }
}
