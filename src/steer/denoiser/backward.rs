//! Backward universal guidance (theory, 25; arXiv 2302.07121). A few gradient steps on the reward of clean pictures
//! move the clean estimate itself: D' = D + Δ with Δ ≈ argmax f(D + Δ) − ‖Δ‖²/2ρ². Here ρ is the strength times σ, and
//! f is r₀ in the push form or −½((r₀ − ψ*)/s)² in the set-point form.

use super::{Finished, GuideRow, Task};
use crate::diffusion::guidance::{Form, Interval, Potential, corrected, no_tangents};
use crate::diffusion::{Classes, Denoiser, State};
use crate::error::Result;
use crate::units::Level;

/// Its row in the table of guides.
pub const ROW: GuideRow = GuideRow {
    name: "backward",
    about: "diffusion: every estimate is moved up the reward of clean pictures (25); guidance is the trust, in units of sigma",
    formula: Some(
        "x₀ estimate moved by gradient steps on the reward of clean pictures, held back by its distance over (w·σ)²",
    ),
    strength: 1.0,
    trial_strengths: &[],
    draws: false,
    has_set_point: true,
    run,
};

/// Gradient steps in each evaluation.
const STEPS: usize = 3;

fn run(task: &Task, aims: Option<&[Level]>) -> Result<Vec<Finished>> {
    task.guided(&Backward {
        inner: task.inner,
        potential: &task.engine.reward,
        form: task.form(aims),
        strength: task.asked.strength,
        steps: STEPS,
        interval: task.interval,
    })
}

/// A denoiser whose clean estimate climbs a reward.
pub struct Backward<'a> {
    /// The model.
    pub inner: &'a dyn Denoiser,
    /// r₀, the reward of clean pictures: it is evaluated at σ = 0.
    pub potential: &'a dyn Potential,
    /// Push or set-point.
    pub form: Form,
    /// w, the strength.
    pub strength: f64,
    /// Gradient steps.
    pub steps: usize,
    /// The noise levels at which it acts.
    pub interval: Interval,
}

impl Denoiser for Backward<'_> {
    fn width(&self) -> usize {
        self.inner.width()
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        if !self.interval.holds(sigma) || self.strength == 0.0 {
            return self.inner.denoise(x, sigma, classes);
        }
        no_tangents(x)?;
        let base = self.inner.denoise(x, sigma, classes)?.value;
        let variance = (self.strength * sigma).powi(2);
        let mut moved = base.zeros_like();
        for _ in 0..self.steps {
            let (value, gradient) = self.potential.value_and_gradient(&(base.clone() + moved.clone()), 0.0)?;
            moved = match &self.form {
                // Halfway between the present Δ and ρ²∇r₀(D + Δ), which makes the objective's gradient 0 if ∇r₀ stays
                // as it is: so there is no step size to choose.
                Form::Push => (moved + gradient * variance) * 0.5,
                // The exact solution for r₀ linearised around D + Δ.
                Form::SetPoint { targets, scale } => {
                    let gap = targets.clone() - value + (gradient.clone() * moved).sum_dim(1);
                    let square = (gradient.clone() * gradient.clone()).sum_dim(1);
                    gradient * gap * variance / (square * variance + scale * scale)
                }
            };
        }
        Ok(State::plain(corrected(base, moved)))
    }
}
