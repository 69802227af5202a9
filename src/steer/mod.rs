//! Moving samples to an asked level (theory, 15 to 28): latents by methods that propose, pictures by guides of their
//! denoiser, both in one closed loop.

mod closed_loop;
pub mod denoiser;
mod engine;
mod latent;
mod latent_trial;
mod open_loop;
mod own_keys;
mod sphere;

pub use denoiser::{Denoising, DenoisingKeys, Finished, GUIDES, GuideRow, guide};
pub use engine::Engine;
pub use latent::{METHODS, MethodKeys, MethodRow, method};
pub use latent_trial::{Measure, steer};
pub use open_loop::{Slot, Status};
pub use own_keys::OwnKeys;
pub use sphere::{angle_between, arc, chord, distance, norm};

use crate::reward::{Reading, Score};
use serde::{Deserialize, Serialize};

/// A steered sample: what was asked, predicted and measured.
#[derive(Clone, Debug)]
pub struct Steered {
    /// Sample index.
    pub sample: u64,
    /// The noise it was begun from.
    pub start: Vec<f32>,
    /// Where it ended.
    pub latent: Vec<f32>,
    /// The reward there.
    pub predicted: Score,
    /// What was measured there.
    pub reading: Option<Reading>,
    /// Steps of all loops.
    pub steps: usize,
    /// How it ended.
    pub status: Status,
}

/// What one steering run may do. Part of a job's recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Steps of the open loop, or candidates of a search.
    pub steps: usize,
    /// Greatest angle from z₀, in radians.
    pub drift: f64,
    /// Greatest angle of one step, in radians.
    pub max_angle: f64,
    /// Measured corrections of the closed loop (15b); 0 is the open loop.
    pub corrections: usize,
    /// Keys that belong to one method alone.
    #[serde(flatten, serialize_with = "own_keys::given")]
    pub own: MethodKeys,
}

impl Default for Settings {
    fn default() -> Self {
        Self { steps: 48, drift: 1.0, max_angle: 0.08, corrections: 2, own: MethodKeys::default() }
    }
}

impl Settings {
    /// Whether its numbers are within what isoline writes.
    pub fn is_bounded(&self) -> bool {
        (1..=crate::limits::STEPS).contains(&self.steps) && self.corrections <= 64 && self.own.check().is_ok()
    }
}

/// A way to propose latents; holds no state, knows no device.
pub trait Steering: Send + Sync {
    /// The latent to look at in this step of a slot, or `None` when there is nothing more to try.
    fn propose(&self, slot: &Slot, step: usize, settings: &Settings) -> Option<Vec<f32>>;

    /// Where to begin anew when steps no longer bring a sample nearer and it is still far from its set-point, or `None`
    /// for a method that then rests.
    fn restart(&self, _: &Slot, _: &Settings) -> Option<Vec<f32>> {
        None
    }

    /// Where a sample starts: at its seed's own noise, unless a setting of the method says otherwise. With no level asked for
    /// it stays there.
    fn start(&self, noise: &[f32], _: &Settings) -> Vec<f32> {
        noise.to_vec()
    }

    /// Whether proposals follow from the last accepted point, so that the reward's gradient is needed,
    /// a refused step is halved, and the closed loop may interpolate between measured points.
    fn is_local(&self) -> bool;

    /// Whether it moves anything at all, so that there is something to correct.
    fn moves(&self) -> bool {
        true
    }
}
