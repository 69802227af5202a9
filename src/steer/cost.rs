//! What a sample costs, in network evaluations: the common unit in which methods are given equal budgets.
//!
//! One evaluation is one sample through one network once: the reward where it sees latents, else a denoiser call or a pass
//! of a one-shot generator. A tangent or adjoint through that network, as a Jacobian needs for each of its directions, is
//! one more. A gradient of the reward comes with its value and is not counted beside it, and neither is the reward where
//! it judges a picture that a pass has just made: both are left to the seconds.

use super::{Engine, Steered};
use crate::error::Result;
use crate::generator::BACK;
use crate::limits;
use crate::reward::Place;

impl Engine {
    /// Network evaluations that a sample took, its measurements among them. `guided` says that a guide made it, so that
    /// its steps are denoiser calls.
    ///
    /// # Errors
    /// Where the estimator's number of directions does not fit the generator.
    pub fn cost(&self, steered: &Steered, guided: bool) -> Result<usize> {
        let quantity = &self.reward.quantity;
        if guided {
            // A picture is carried back to its noise before a quantity of latents is measured there, by Heun's rule.
            let back = if quantity.row().place == Place::Latent { 2 * (BACK - 1) } else { 0 };
            return Ok(steered.steps + steered.attempts * (quantity.evaluations(&*self.generator)? + back));
        }
        Ok(steered.scored * self.score_cost() + steered.attempts * self.reading_cost()?)
    }

    /// The number of candidates with which a search takes `evaluations`: each is scored, the start too, and the best is
    /// measured once.
    ///
    /// # Errors
    /// Those of [`cost`](Self::cost).
    pub fn candidates(&self, evaluations: f64) -> Result<usize> {
        let fitting = (evaluations - self.reading_cost()? as f64) / self.score_cost() as f64 - 1.0;
        Ok(fitting.clamp(1.0, limits::STEPS as f64) as usize)
    }

    /// Evaluations of one score of a latent. A reward of pictures first needs the picture.
    fn score_cost(&self) -> usize {
        if self.reward.card.noised.is_some() { self.pass_cost() } else { 1 }
    }

    /// Evaluations of one measurement at a latent. A quantity of pictures first needs the picture.
    fn reading_cost(&self) -> Result<usize> {
        let quantity = &self.reward.quantity;
        let picture = if quantity.row().place == Place::Picture { self.pass_cost() } else { 0 };
        Ok(picture + quantity.evaluations(&*self.generator)?)
    }

    fn pass_cost(&self) -> usize {
        self.evaluations().unwrap_or(1)
    }
}
