//! Moving latents to an asked ψ_k (theory, section 4): methods propose, one driver owns the loop.

mod closed_loop;
mod denoiser;
mod engine;
mod latent;
mod open_loop;
mod sphere;

pub use closed_loop::{Measure, Steered, steer};
pub use denoiser::{DENOISING_KEYS, Denoising, DenoisingKeys, Finished, GUIDES, Guide, GuideRow, guide};
pub use engine::Engine;
pub use latent::{METHODS, MethodRow, method, scaled};
pub use open_loop::{Slot, Status};
pub use sphere::{angle_between, arc, chord, distance, norm};

use serde::{Deserialize, Serialize};

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
    /// Fixed factor of `truncation`: applied as it is, with nothing steered. Absent, the method looks
    /// for the factor that gives the asked novelty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { steps: 48, drift: 1.0, max_angle: 0.08, corrections: 2, truncation: None }
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

    /// Whether proposals follow from the last accepted point, so that the reward's gradient is needed,
    /// a refused step is halved, and the closed loop may interpolate between measured points.
    fn is_local(&self) -> bool;
}
