//! z ← τ z (theory, 19): the baseline every GAN user knows. Given a target, it searches a grid of τ from 0.3 to 1.7 for
//! the one whose reward is nearest. With a fixed τ ([`Settings::truncation`]) there is no search: the sample simply
//! starts there.

use super::MethodRow;
use crate::error::{Error, Result};
use crate::steer::{Settings, Slot, Steering};
use crate::units::Percentile;

pub const ROW: MethodRow = MethodRow {
    name: NAME,
    about: "scales the latent by tau (19): a fixed --trunc, or the tau on a grid that the reward likes best",
    make: || Box::new(Truncation),
};

const NAME: &str = "truncation";

struct Truncation;

impl Steering for Truncation {
    fn propose(&self, slot: &Slot, step: usize, settings: &Settings) -> Option<Vec<f32>> {
        let tau = 0.3 + 1.4 * step as f64 / settings.steps.saturating_sub(1).max(1) as f64;
        Some(scaled(&slot.start, tau))
    }

    fn start(&self, noise: &[f32], settings: &Settings) -> Vec<f32> {
        settings.truncation.map_or_else(|| noise.to_vec(), |tau| scaled(noise, tau))
    }

    fn is_local(&self) -> bool {
        false
    }

    fn check(&self, method: &str, settings: &Settings, target: Option<Percentile>) -> Result<()> {
        let Some(tau) = settings.truncation else { return Ok(()) };
        let bad = |message: String| Err(Error::key("trunc", message));
        if !(tau > 0.0 && tau <= 3.0) {
            return bad(format!("expected a factor above 0 and up to 3, found {tau}"));
        }
        if method != NAME {
            return bad(format!("only the method \"{NAME}\" has a factor, the method here is \"{method}\""));
        }
        match target {
            None => Ok(()),
            Some(target) => bad(format!(
                "a fixed factor leaves nothing to steer to novelty {target}; take it with mode = \"balanced\", or leave it out and the factor is searched"
            )),
        }
    }
}

/// τ z.
fn scaled(latent: &[f32], tau: f64) -> Vec<f32> {
    latent.iter().map(|v| (f64::from(*v) * tau) as f32).collect()
}
