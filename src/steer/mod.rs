//! Moving samples to an asked level (theory, 15 to 28). A steering method proposes latents; a guide corrects the
//! denoiser of a diffusion model. Both run in the same closed loop.

mod closed_loop;
mod cost;
pub mod denoiser;
mod engine;
pub mod guard;
mod held_out;
mod latent;
mod latent_trial;
mod open_loop;
mod own_keys;
mod sphere;

pub use denoiser::{Denoising, DenoisingKeys, Finished, GUIDES, GuideRow, guide};
pub use engine::{Engine, Starts, seed_noise, usual_settings};
pub use held_out::HeldOut;
pub use latent::{METHODS, MethodKeys, MethodRow, method};
pub use latent_trial::{Measure, steer};
pub use open_loop::{Missed, Slot, Status};
pub use own_keys::OwnKeys;
pub use sphere::{angle_between, arc, chord, distance, norm, tangent, walk};

use crate::reward::{Reading, Score};
use crate::units::Percentile;
use guard::Watched;
use serde::{Deserialize, Serialize};

/// The names of the methods that a model has: those that move latents, and, if it is a diffusion model, the guides.
pub fn methods_of(denoises: bool) -> Vec<&'static str> {
    let guides = GUIDES.iter().map(|g| g.name).filter(|_| denoises);
    METHODS.iter().map(|m| m.name).chain(guides).collect()
}

/// A steered sample: what was asked, predicted and measured.
#[derive(Clone, Debug)]
pub struct Steered {
    /// Sample index.
    pub sample: u64,
    /// The noise it started from, `[latent width]`.
    pub start: Vec<f32>,
    /// Where it ended, `[latent width]`.
    pub latent: Vec<f32>,
    /// What the reward predicts at `latent`.
    pub predicted: Score,
    /// What was measured at `latent`.
    pub reading: Option<Reading>,
    /// Steps of all loops; denoiser calls where a guide acted.
    pub steps: usize,
    /// Times the reward was asked about a latent on the way, with its gradient or without; 0 where a guide acted.
    pub scored: usize,
    /// Times it was measured: the attempts of the closed loop.
    pub attempts: usize,
    /// How it ended.
    pub status: Status,
    /// If it did not reach what was asked for, or was not measured, why.
    pub missed: Option<Missed>,
    /// Whether it was measured at a noise that its picture was carried back to. Such a value serves the closed loop and is
    /// too far off to be reported.
    pub by_way_back: bool,
    /// What the guard measured where it ended, if a guard has looked.
    pub watched: Option<Watched>,
}

impl Steered {
    /// Compares with what was asked for: drops the reason of a miss where there is none, else says so in the status.
    /// `reached` and `asked` are percentiles.
    pub fn judge(&mut self, reached: Option<f64>, asked: Option<Percentile>, tolerance: f64) {
        let miss = asked.zip(reached).is_some_and(|(asked, reached)| (reached - asked.percent()).abs() > tolerance);
        self.missed = self.missed.filter(|_| miss);
        if miss && self.status == Status::Ok {
            self.status = Status::Unreached;
        }
    }

    /// Says in the status that the guard found it unusual, unless the status says something worse.
    pub fn settle_guard(&mut self) {
        let unusual = self.watched.is_some_and(Watched::is_unusual);
        if unusual && matches!(self.status, Status::Ok | Status::Unreached) {
            self.status = Status::Flagged;
        }
    }

    /// Takes away every number that is a measurement and says in the status that there is none, and why.
    pub fn unmeasured(&mut self, why: Missed) {
        self.reading = None;
        self.missed = Some(why);
        if self.status != Status::NonFinite {
            self.status = Status::Unmeasured;
        }
    }
}

/// Greatest angle from a sample's start at first, in radians, where the recipe sets no limit.
pub const DRIFT: f64 = 1.0;
/// Points of the percentile within which a novelty counts as reached, where the recipe says nothing else.
pub const TOLERANCE: f64 = 3.0;

fn tolerance() -> f64 {
    TOLERANCE
}

/// What one steering run may do. Part of a job's recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Steps of the open loop, or candidates of a search.
    pub steps: usize,
    /// Greatest angle from z₀, in radians. Without it a sample starts with [`DRIFT`] and goes further where its target asks
    /// for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<f64>,
    /// Greatest angle of one step, in radians.
    pub max_angle: f64,
    /// Most measured corrections of the closed loop (15b), which ends sooner where a sample is there; 0 leaves the open
    /// loop alone.
    pub corrections: usize,
    /// How far from the asked novelty a sample may end, in points of the percentile, and still be called reached.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
    /// Keys that belong to one method alone.
    #[serde(flatten, serialize_with = "own_keys::given")]
    pub own: MethodKeys,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 48,
            drift: None,
            max_angle: 0.08,
            corrections: 24,
            tolerance: TOLERANCE,
            own: MethodKeys::default(),
        }
    }
}

impl Settings {
    /// Whether every number is within the bounds of what isoline writes.
    pub fn is_bounded(&self) -> bool {
        (1..=crate::limits::STEPS).contains(&self.steps)
            && self.corrections <= 64
            && (0.0..=100.0).contains(&self.tolerance)
            && self.own.check().is_ok()
    }
}

/// A way to propose latents. It holds no state and knows no device.
pub trait Steering: Send + Sync {
    /// The latent to try in this step of a slot, or `None` when there is nothing more to try.
    fn propose(&self, slot: &Slot, step: usize, settings: &Settings) -> Option<Vec<f32>>;

    /// Where a sample starts over when its steps bring it no nearer and it is still far from its set-point. `None` for
    /// a method that never starts over: it goes on proposing.
    fn restart(&self, _: &Slot, _: &Settings) -> Option<Vec<f32>> {
        None
    }

    /// Where a sample starts: at its seed's own noise, unless a setting of the method says otherwise. With no level
    /// asked for it stays there.
    fn start(&self, noise: &[f32], _: &Settings) -> Vec<f32> {
        noise.to_vec()
    }

    /// The weight of nearness to its start, from 0 to 1 (15c): a sample is steered that much less far from the level that
    /// it starts at.
    fn stay(&self, _: &Settings) -> f64 {
        0.0
    }

    /// Whether each proposal follows from the last accepted point. Then the reward's gradient is computed, a refused
    /// step is halved, and the closed loop may interpolate between measured points.
    fn is_local(&self) -> bool;

    /// Whether it moves latents at all, so that there is something to correct.
    fn moves(&self) -> bool {
        true
    }
}
