//! Noise optimisation through a few-step sampler (theory, 28; [REN]): ascent of r(G(z)) + λ·ln χ(‖z‖), with
//! ln χ(ρ) = (d − 1) ln ρ − ρ²/2 the log-density of a normal vector's length, which holds z on the shell the prior lives on.

use super::{Sampling, State};
use crate::error::{Error, Result};
use crate::nn::Rows;

/// Settings of an ascent.
#[derive(Clone, Copy, Debug)]
pub struct NoiseOptimisation {
    /// Steps.
    pub steps: usize,
    /// Length of a step over ‖z‖; each row's gradient is scaled to it, falling linearly to 0.
    pub rate: f64,
    /// λ
    pub regulariser: f64,
}

/// A reward of clean pictures inside an autodiff graph: `[n, D] → [n, 1]`.
pub type PictureReward<'a> = dyn Fn(Rows) -> Result<Rows> + 'a;

impl NoiseOptimisation {
    /// The best latents seen, row by row, and their objective values. The sampler must be deterministic.
    ///
    /// # Errors
    /// Of the denoiser and the reward; [`Error::Config`] for a stochastic sampler.
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
