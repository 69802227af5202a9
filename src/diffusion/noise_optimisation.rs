//! Noise optimisation through a sampler of few steps (theory, 28; ReNO, arXiv 2406.04312): gradient ascent on
//!
//!   r(G(z)) + λ·[(d − 1) ln ‖z‖ − ‖z‖²/2].
//!
//! The bracket is the log-density of the length of a normal vector, up to a constant. It keeps z on the shell where the
//! prior has its mass.

use super::{Sampling, State};
use crate::error::{Error, Result};
use crate::nn::Rows;

/// The settings of an ascent.
#[derive(Clone, Copy, Debug)]
pub struct NoiseOptimisation {
    /// Number of steps.
    pub steps: usize,
    /// Length of the first step relative to ‖z‖. Each row's gradient is scaled to the length of the step, which falls
    /// linearly towards 0.
    pub rate: f64,
    /// λ, the weight of the prior on ‖z‖.
    pub regulariser: f64,
}

/// A reward of clean pictures, `[n, D] → [n, 1]`, through which gradients can be taken.
pub type PictureReward<'a> = dyn Fn(Rows) -> Result<Rows> + 'a;

impl NoiseOptimisation {
    /// Ascends from the latents `z` (`[n, D]`, drawn from N(0, I)). Returns the best latent seen for each row, the
    /// first one included, as `[n, D]`, and its objective, `[n, 1]`. Every step runs the whole sampler and
    /// differentiates through it.
    ///
    /// # Errors
    /// Those of the denoiser and the reward; [`Error::Config`] for a stochastic sampler, whose noise would make the
    /// objective a moving target.
    pub fn run(
        &self,
        z: &Rows,
        sampling: &Sampling,
        denoise: &mut dyn FnMut(&State, f64) -> Result<State>,
        reward: &PictureReward,
    ) -> Result<(Rows, Rows)> {
        if sampling.solver.is_stochastic() {
            return Err(Error::config("solver", "noise is optimised through a deterministic sampler only"));
        }
        let d = z.dims()[1] as f64;
        let mut z = z.clone();
        let mut best: Option<(Rows, Rows)> = None;
        for step in 0..=self.steps {
            let leaf = z.clone().autodiff().require_grad();
            let start = State::plain(leaf.clone() * sampling.sigmas[0]);
            let mut noise = |_: u32, _: u32| leaf.clone();
            let end = sampling.run(start, denoise, &mut noise, &mut |_, _| Ok(()))?.value;
            let square = (leaf.clone() * leaf.clone()).sum_dim(1);
            let chi = square.clone().log() * (0.5 * (d - 1.0)) - square * 0.5;
            let value = reward(end)? + chi * self.regulariser;
            let gradients = value.clone().sum().backward();
            let value = value.inner();
            best = Some(match best {
                None => (z.clone(), value),
                Some((kept, most)) => {
                    let better = value.clone().greater(most.clone());
                    let [n, width] = z.dims();
                    (kept.mask_where(better.clone().expand([n, width]), z.clone()), most.mask_where(better, value))
                }
            });
            if step == self.steps {
                break;
            }
            let gradient =
                leaf.grad(&gradients).ok_or_else(|| Error::Bug("the sampler does not depend on z".into()))?;
            let norm = |x: &Rows| (x.clone() * x.clone()).sum_dim(1).sqrt();
            let rate = self.rate * (1.0 - step as f64 / self.steps as f64);
            let length = norm(&z) / norm(&gradient).clamp_min(1e-30) * rate;
            z = z + gradient * length;
        }
        best.ok_or_else(|| Error::Bug("no step was taken".into()))
    }
}
