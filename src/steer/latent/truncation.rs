//! z ← τ z (theory, 19): the baseline every GAN user knows. Given a target, it searches a grid of τ from 0.3 to 1.7 for
//! the one whose reward is nearest. With a fixed τ ([`TruncationKeys`]) there is no search: the sample simply starts
//! there.

use super::MethodRow;
use crate::error::{Error, Result};
use crate::steer::{OwnKeys, Settings, Slot, Steering};
use crate::units::Percentile;
use serde::{Deserialize, Serialize};

pub const ROW: MethodRow = MethodRow {
    name: NAME,
    about: "scales the latent by tau (19): a fixed trunc, or the tau on a grid that the reward likes best",
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
        settings.own.truncation.trunc.map_or_else(|| noise.to_vec(), |tau| scaled(noise, tau))
    }

    fn is_local(&self) -> bool {
        false
    }
}

/// The method's own key.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub struct TruncationKeys {
    /// Fixed truncation factor, with --method truncation
    #[arg(long, value_name = "TAU", display_order = 12)]
    pub trunc: Option<f64>,
}

impl OwnKeys for TruncationKeys {
    fn check(&self) -> Result<()> {
        match self.trunc {
            Some(tau) if !(tau > 0.0 && tau <= 3.0) => {
                Err(Error::key("trunc", format!("expected a factor above 0 and up to 3, found {tau}")))
            }
            _ => Ok(()),
        }
    }

    fn check_use(&self, method: &str, target: Option<Percentile>) -> Result<()> {
        if self.trunc.is_none() {
            return Ok(());
        }
        if method != NAME {
            let message = format!("only the method \"{NAME}\" has a factor, the method here is \"{method}\"");
            return Err(Error::key("trunc", message));
        }
        target.map_or(Ok(()), |target| {
            let message = format!(
                "a fixed factor leaves nothing to steer to novelty {target}; take it with mode = \"balanced\", or leave it out and the factor is searched"
            );
            Err(Error::key("trunc", message))
        })
    }

    fn filled(&self) -> Self {
        self.clone()
    }
}

/// τ z.
fn scaled(latent: &[f32], tau: f64) -> Vec<f32> {
    latent.iter().map(|v| (f64::from(*v) * tau) as f32).collect()
}
