//! The minority score of [MIN] as a potential, in its self-guided form (arXiv 2407.11555); a baseline (theory, 26):
//!
//!   m(x, σ) = ‖D(x; σ) − D(D(x; σ) + s·σ·e; s·σ)‖²/(2 D_amb)
//!
//! with one fixed normal e per row: how far a denoised picture moves when it is noised and denoised again. It is large
//! where the model knows little. Its gradient goes through both evaluations.

use super::{Finished, Forward, GuideRow, Normalisation, Task};
use crate::diffusion::guidance::{Form, Potential};
use crate::diffusion::{Denoiser, State, sampling_noise};
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::nn::Rows;
use crate::units::Level;

/// Its row in the table of guides.
pub const ROW: GuideRow = GuideRow {
    name: "minority",
    about: "diffusion: the minority score is climbed (26); guidance is the share of |D - x|; no set-point",
    formula: Some(
        "potential: how far a denoised picture moves when noised and denoised again (baseline; used through forward)",
    ),
    strength: 0.1,
    trial_strengths: &[-0.3, -0.1, 0.0, 0.1, 0.3],
    draws: true,
    has_set_point: false,
    run,
};

/// Its noise has the address of a step that no sampler takes, so that it is nobody else's.
const ITS_STEP: u32 = crate::limits::STEPS as u32;
/// The second noise level over the first.
const SCALE: f64 = 0.9;

fn run(task: &Task, _: Option<&[Level]>) -> Result<Vec<Finished>> {
    let noise = sampling_noise(task.samples, ITS_STEP, 0, task.start.width(), task.sampler.device());
    task.guided(&Forward {
        inner: task.inner,
        potential: &Minority { inner: task.sampler.denoiser(), scale: SCALE, noise },
        form: Form::Push,
        strength: task.asked.strength,
        normalisation: Normalisation::Ratio,
        interval: task.interval,
    })
}

/// The minority score.
pub struct Minority<'a> {
    /// The model.
    pub inner: &'a dyn Denoiser,
    /// s, the second noise level over the first.
    pub scale: f64,
    /// e, `[n, D]`.
    pub noise: Rows,
}

impl Potential for Minority<'_> {
    fn value_and_gradient(&self, x: &Rows, sigma: f64) -> Result<(Rows, Rows)> {
        let second = self.scale * sigma;
        let x = x.clone().autodiff().require_grad();
        let once = self.inner.denoise(&State::plain(x.clone()), sigma, None)?.value;
        let again = self.inner.denoise(&State::plain(once.clone() + self.noise.clone() * second), second, None)?.value;
        let moved = once - again;
        let value = (moved.clone() * moved).sum_dim(1) * (0.5 / self.inner.width() as f64);
        // Rows are independent: the gradient of the sum is each row's own.
        let gradients = value.clone().sum().backward();
        let gradient = x.grad(&gradients).ok_or_else(|| Error::Bug("the denoiser does not depend on x".into()))?;
        Ok((value.inner(), gradient))
    }
}
