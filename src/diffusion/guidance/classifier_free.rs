//! Classifier-free guidance (arXiv 2207.12598): D' = D(∅) + w(D(c) − D(∅)); w = 1 is the conditional model.

use super::Interval;
use crate::diffusion::{Classes, Denoiser, State};
use crate::error::{Error, Result};

/// Its name and formula, for `isoline list guidance`.
pub const FORMULA: (&str, &str) =
    ("classifier-free", "D(∅) + w(D(class) − D(∅)); linear in denoisers, so its tangents are exact");

/// A denoiser that is pushed towards given classes.
pub struct ClassifierFree<'a> {
    /// The model. It must have classes and also an unconditional answer.
    pub inner: &'a dyn Denoiser,
    /// The weight w.
    pub scale: f64,
    /// Noise levels at which it acts. At others the model is still given the class, with w = 1.
    pub interval: Interval,
}

impl Denoiser for ClassifierFree<'_> {
    fn width(&self) -> usize {
        self.inner.width()
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        if classes.is_none() {
            return Err(Error::key("cfg_scale", "needs a class"));
        }
        let with = self.inner.denoise(x, sigma, classes)?;
        if self.scale == 1.0 || !self.interval.holds(sigma) {
            return Ok(with);
        }
        let without = self.inner.denoise(x, sigma, None)?;
        Ok(without.blend(1.0 - self.scale, with, self.scale))
    }
}
