//! Forward guidance (theory, 24): D' = D + w · σ² · g · ∇_x r(x, σ). With r(x, σ) = ln E[e^{r₀(x₀)} | x], w = 1 and
//! g = 1 this is the exact denoiser of the density tilted by e^{r₀}.

use super::{Finished, GuideRow, Task};
use crate::diffusion::guidance::{Form, Interval, Potential, corrected, no_tangents, norm};
use crate::diffusion::{Classes, Denoiser, State};
use crate::error::Result;
use crate::units::Level;

/// Its row in the table of guides.
pub const ROW: GuideRow = GuideRow {
    name: "forward",
    about: "diffusion: the reward of noised pictures corrects every estimate (24); guidance is the share of |D - x|",
    formula: Some(
        "D + w·σ²·g·∇r(x, σ), g = 1 or the correction at a stated share of |D − x|; push or set-point form; a σ-interval",
    ),
    strength: 0.3,
    trial_strengths: &[0.15, 0.3, 0.6],
    draws: false,
    has_set_point: true,
    run,
};

fn run(task: &Task, aims: Option<&[Level]>) -> Result<Vec<Finished>> {
    task.guided(&Forward {
        inner: task.inner,
        potential: &task.engine.reward,
        form: task.form(aims),
        strength: task.asked.strength,
        normalisation: Normalisation::Ratio,
        interval: task.interval,
    })
}

/// How the size of a correction is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normalisation {
    /// g = 1: the formula as it stands.
    None,
    /// In each row g makes the norm of the correction w times that of D − x, so one w means the same on every model. A
    /// set-point's correction is at most this long and shrinks as the sample gets near.
    Ratio,
}

/// A denoiser guided by a reward.
pub struct Forward<'a> {
    /// The model.
    pub inner: &'a dyn Denoiser,
    /// r(x, σ), the reward of noised pictures.
    pub potential: &'a dyn Potential,
    /// Push or set-point.
    pub form: Form,
    /// w, the strength.
    pub strength: f64,
    /// How g is chosen.
    pub normalisation: Normalisation,
    /// The noise levels at which it acts.
    pub interval: Interval,
}

impl Denoiser for Forward<'_> {
    fn width(&self) -> usize {
        self.inner.width()
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        if !self.interval.holds(sigma) || self.strength == 0.0 {
            return self.inner.denoise(x, sigma, classes);
        }
        no_tangents(x)?;
        let base = self.inner.denoise(x, sigma, classes)?.value;
        let (value, gradient) = self.potential.value_and_gradient(&x.value, sigma)?;
        // How far to go along the gradient: 1 for a push; −(r − ψ*)/s² for a set-point, or in units of s when
        // normalised.
        let along = match (&self.form, self.normalisation) {
            (Form::Push, _) => value.ones_like(),
            (Form::SetPoint { targets, scale }, Normalisation::None) => {
                (value - targets.clone()) * (-1.0 / (scale * scale))
            }
            (Form::SetPoint { targets, scale }, Normalisation::Ratio) => {
                ((value - targets.clone()) * (-1.0 / scale)).clamp(-1.0, 1.0)
            }
        };
        let correction = match self.normalisation {
            Normalisation::None => gradient * along * (sigma * sigma),
            Normalisation::Ratio => {
                let own = norm(base.clone() - x.value.clone());
                let size = norm(gradient.clone()).clamp_min(1e-30);
                gradient * (along * own / size)
            }
        };
        Ok(State::plain(corrected(base, correction * self.strength)))
    }
}
