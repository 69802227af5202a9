//! z ← τ z (theory, 19): the baseline every GAN user knows. Without a fixed τ, the one whose reward is
//! nearest to the target is searched on a grid of 0.3 … 1.7.

use super::MethodRow;
use crate::steering::{Settings, Slot, Steering};

pub const ROW: MethodRow = MethodRow {
    name: "truncation",
    about: "scales the latent by tau (19): a fixed --trunc, or the tau on a grid that the reward likes best",
    make: || Box::new(Truncation),
};

struct Truncation;

impl Steering for Truncation {
    fn propose(&self, slot: &Slot, step: usize, settings: &Settings) -> Option<Vec<f32>> {
        let tau = if settings.truncation > 0.0 {
            (step == 0).then_some(settings.truncation)?
        } else {
            0.3 + 1.4 * step as f64 / settings.steps.saturating_sub(1).max(1) as f64
        };
        Some(slot.start.iter().map(|v| (f64::from(*v) * tau) as f32).collect())
    }

    fn is_local(&self) -> bool {
        false
    }
}
