//! z ← τ z (theory, 19): the baseline every GAN user knows. The τ whose reward is nearest to the target
//! is searched on a grid of 0.3 … 1.7. A fixed τ ([`Settings::truncation`]) is no search: it is applied
//! to the start before any steering, see [`scaled`].

use super::MethodRow;
use crate::steer::{Settings, Slot, Steering};

pub const ROW: MethodRow = MethodRow {
    name: "truncation",
    about: "scales the latent by tau (19): a fixed --trunc, or the tau on a grid that the reward likes best",
    make: || Box::new(Truncation),
};

struct Truncation;

impl Steering for Truncation {
    fn propose(&self, slot: &Slot, step: usize, settings: &Settings) -> Option<Vec<f32>> {
        let tau = 0.3 + 1.4 * step as f64 / settings.steps.saturating_sub(1).max(1) as f64;
        Some(scaled(&slot.start, tau))
    }

    fn is_local(&self) -> bool {
        false
    }
}

/// τ z.
pub fn scaled(latent: &[f32], tau: f64) -> Vec<f32> {
    latent.iter().map(|v| (f64::from(*v) * tau) as f32).collect()
}
