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

    /// The percentile of each of `latents`; `None` where it is undefined, and everywhere if there is nothing to hold out. A
    /// quantity of pictures is measured at `states`, `[n × D]`, if they are given, else at those that the latents lead to.
    ///
    /// Other directions have another mean and another spread, whatever the sample. What unguided samples show of that is
    /// taken out ([`Alignment`]) before a value is looked up in the reward's own calibration.
    ///
    /// # Errors
    /// When the quantity cannot be measured or the device fails.
    pub fn novelty(&self, latents: &Latents, states: Option<&[f32]>) -> Result<Vec<Option<f64>>> {
        let Some(quantity) = &self.quantity else { return Ok(vec![None; latents.len()]) };
        let alignment = match self.engine.alignment.get() {
            Some(found) => *found,
            None => {
                let found = self.align(&**quantity)?;
                *self.engine.alignment.get_or_init(|| found)
            }
        };
        let values = self.values(&**quantity, latents, states)?;
        let percentile = |v: f64| self.engine.reward.calibration.novelty_of(alignment.of(v)).percentile.percent();
        Ok(values.into_iter().map(|v| v.map(percentile)).collect())
    }

    /// The finite values of `quantity` at latents, or at the states they lead to.
    fn values(&self, quantity: &dyn Quantity, latents: &Latents, states: Option<&[f32]>) -> Result<Vec<Option<f64>>> {
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
        Ok(readings.iter().map(|r| r.as_ref().and_then(value)).collect())
    }

    /// Measures unguided samples both ways.
    fn align(&self, held_out: &dyn Quantity) -> Result<Alignment> {
        let seeds: Vec<u64> = (0..ALIGNED).map(|i| u64::MAX - i).collect();
        let latents = self.engine.latents(&seeds);
        let own = self.values(&*self.engine.reward.quantity, &latents, None)?;
        let other = self.values(held_out, &latents, None)?;
        let both: (Vec<f64>, Vec<f64>) = own.into_iter().zip(other).filter_map(|(a, b)| Some((a?, b?))).unzip();
        Ok(Alignment::between(&both.0, &both.1))
    }
}

/// Unguided samples that are measured both ways.
const ALIGNED: u64 = 128;

/// v ↦ m + (v − m′)·s/s′ with mean and standard deviation of unguided samples by the steering's own directions (m, s) and by
/// those held out (m′, s′): what remains is how the two order samples. Without samples it changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alignment(Option<[f64; 4]>);

impl Alignment {
    fn between(own: &[f64], other: &[f64]) -> Self {
        let moments = |v: &[f64]| {
            let mean = v.iter().sum::<f64>() / v.len() as f64;
            (mean, (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (v.len() as f64 - 1.0)).sqrt())
        };
        let ((m, s), (m2, s2)) = (moments(own), moments(other));
        Self((s2.is_finite() && s2 > 0.0 && s.is_finite()).then_some([m, s, m2, s2]))
    }

    fn of(&self, value: f64) -> f64 {
        self.0.map_or(value, |[m, s, m2, s2]| m + (value - m2) * s / s2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_samples_share_is_taken_out() {
        let own = [1.0, 2.0, 4.0, 8.0];
        let alignment = Alignment::between(&own, &own.map(|v| 3.0 * v - 100.0));
        assert!(own.iter().all(|v| (alignment.of(3.0 * v - 100.0) - v).abs() < 1e-12));
        // One sample, or none, or a constant, says nothing.
        for (a, b) in [(&own[..1], &own[..1]), (&[], &[]), (&own[..], &[5.0; 4][..])] {
            assert_eq!(Alignment::between(a, b).of(7.0), 7.0);
        }
    }
}
