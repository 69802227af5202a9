//! Measuring again what was chosen by measurement. The closed loop keeps the attempt whose own measurement came nearest,
//! so with an estimator that measurement makes it look better than it is. Directions that steering never used have no such
//! bias.

use super::Engine;
use crate::error::Result;
use crate::generator::Generator;
use crate::reward::{Place, Quantity};
use crate::tensors::{host, rows};
use crate::units::Latents;

/// A measurement that steering never sees.
pub struct HeldOut<'a> {
    engine: &'a Engine,
    quantity: Option<Box<dyn Quantity>>,
}

/// What is said where the steering's own measurement is exact.
const EXACT: &str = "exact: nothing to hold out";

impl Engine {
    /// The reward's quantity by directions that its steering never uses.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`].
    pub fn held_out(&self) -> Result<HeldOut<'_>> {
        Ok(HeldOut { engine: self, quantity: self.reward.quantity.held_out()? })
    }
}

impl HeldOut<'_> {
    /// Whether there is one: an exact measurement draws no directions, and measuring again would give the same number.
    pub fn is_there(&self) -> bool {
        self.quantity.is_some()
    }

    /// By what it is measured, or that there is nothing to hold out.
    pub fn how(&self) -> String {
        self.quantity.as_ref().map_or(EXACT.to_owned(), |q| q.how())
    }

    /// The percentile of each of `latents` by the reward's own calibration; `None` where it is undefined, and everywhere
    /// if there is nothing to hold out. A quantity of pictures is measured at `states`, `[n × D]`, if they are given,
    /// else at those that the latents lead to.
    ///
    /// # Errors
    /// When the quantity cannot be measured or the device fails.
    pub fn novelty(&self, latents: &Latents, states: Option<&[f32]>) -> Result<Vec<Option<f64>>> {
        let Some(quantity) = &self.quantity else { return Ok(vec![None; latents.len()]) };
        let (generator, reward): (&dyn Generator, _) = (&*self.engine.generator, &self.engine.reward);
        let readings = match (quantity.row().place, states) {
            (Place::Latent, _) => quantity.read(generator, latents.values())?,
            (Place::Picture, Some(states)) => quantity.read(generator, states)?,
            (Place::Picture, None) => {
                let z = rows(latents.values().to_vec(), latents.width(), generator.device());
                quantity.read(generator, &host(generator.states(z))?)?
            }
        };
        let value = |r: &crate::reward::Reading| r.value(reward.card.model_rank).filter(|v| v.is_finite());
        let percentile = |v: f64| reward.calibration.novelty_of(v).percentile.percent();
        Ok(readings.iter().map(|r| r.as_ref().and_then(value).map(percentile)).collect())
    }
}
