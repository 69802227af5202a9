//! Density guidance [DEN], as a baseline, in the form that scales the score (theory, 26). Along the flow
//! dx/dσ = η(x − D)/σ with
//!
//!   η = 1 + c √(2 D_amb) / (‖D − x‖²/σ²)
//!
//! the log-density grows by c√2D_amb·dln(1/σ) more than it would with η = 1. Over noised data ‖D − x‖²/σ² + tr ∂D/∂x
//! has mean D_amb and variance of at most 2 D_amb, so c counts standard deviations of a typical sample; c > 0 gives
//! likelier pictures. η is held within 0 and 2, because the formula has no bound where D − x happens to be near 0,
//! which only occurs in few dimensions.

use super::{Finished, GuideRow, Task};
use crate::diffusion::guidance::{Interval, corrected, no_tangents};
use crate::diffusion::{Classes, Denoiser, State};
use crate::error::Result;
use crate::units::Level;

/// Its row in the table of guides.
pub const ROW: GuideRow = GuideRow {
    name: "density",
    about: "diffusion: a scaled score (26); guidance: likelier above 0, less likely below; no set-point",
    formula: Some("the flow's slope scaled by 1 + c√(2D)/(|D − x|²/σ²): c > 0 likelier, c < 0 less likely (baseline)"),
    strength: 0.1,
    trial_strengths: &[-0.2, -0.05, 0.0, 0.05, 0.2],
    draws: false,
    has_set_point: false,
    run,
};

fn run(task: &Task, _: Option<&[Level]>) -> Result<Vec<Finished>> {
    task.guided(&DensityScaled { inner: task.inner, quantile: task.asked.strength, interval: Interval::ALL })
}

/// A denoiser with a scaled score.
pub struct DensityScaled<'a> {
    /// The model.
    pub inner: &'a dyn Denoiser,
    /// c, in standard deviations of a typical sample.
    pub quantile: f64,
    /// The noise levels at which it acts.
    pub interval: Interval,
}

impl Denoiser for DensityScaled<'_> {
    fn width(&self) -> usize {
        self.inner.width()
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        if self.quantile == 0.0 || !self.interval.holds(sigma) {
            return self.inner.denoise(x, sigma, classes);
        }
        no_tangents(x)?;
        let base = self.inner.denoise(x, sigma, classes)?.value;
        let pull = base.clone() - x.value.clone();
        let square = (pull.clone() * pull.clone()).sum_dim(1) * (1.0 / (sigma * sigma));
        let excess = square.clamp_min(1e-12).recip() * (self.quantile * (2.0 * self.width() as f64).sqrt());
        Ok(State::plain(corrected(base, pull * excess.clamp(-1.0, 1.0))))
    }
}
