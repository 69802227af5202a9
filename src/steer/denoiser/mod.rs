//! Guidance: what corrects a denoiser on its way to a picture (theory, 24 to 28), one file for each guide, and their table.

mod backward;
mod density;
mod forward;
mod guide_trial;
mod keys;
mod minority;
mod noise;
mod particles;
mod task;
mod walk;

pub use backward::Backward;
pub use density::DensityScaled;
pub use forward::{Forward, Normalisation};
pub use keys::{ConditionKeys, Denoising, DenoisingKeys, WalkKeys};
pub use minority::Minority;
pub use task::Task;
pub use walk::{Finished, pictures};

use super::own_keys::own_keys;
use crate::diffusion::guidance::{classifier_free, recurrence};
use crate::error::Result;
use crate::units::Level;

/// A tile once through a guide, measured: towards an aim for each sample, or as strongly as told.
pub type Run = fn(&Task, Option<&[Level]>) -> Result<Vec<Finished>>;

/// One row of the table of `--method` names that act on a denoiser.
pub struct GuideRow {
    /// As `--method NAME`.
    pub name: &'static str,
    /// One line for `isoline list steering`.
    pub about: &'static str,
    /// One line for `isoline list guidance`, where it corrects the denoiser's answers one by one, so that a step may be
    /// repeated.
    pub formula: Option<&'static str>,
    /// Strength where none is given.
    pub strength: f64,
    /// Strengths of which `isoline steer-report` chooses one for each level; empty for a guide that it leaves out.
    pub trial_strengths: &'static [f64],
    /// Whether it follows the reward, so that it can be told a value to reach; others are only told a strength.
    pub has_set_point: bool,
    /// Takes a tile through it.
    pub run: Run,
}

/// Every guide.
pub static GUIDES: &[GuideRow] =
    &[forward::ROW, backward::ROW, particles::ROW, noise::ROW, density::ROW, minority::ROW];

own_keys! {
    /// The keys of guides that have some.
    GuideKeys {
        /// Of `particles`.
        particles: particles::ParticleKeys,
    }
}

/// The guide of that name.
pub fn guide(name: &str) -> Option<&'static GuideRow> {
    GUIDES.iter().find(|g| g.name == name)
}

/// Every correction of a denoiser, (name, formula): guides that follow the reward, what goes with any of them, baselines.
pub fn formulas() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of = |follows: bool| {
        GUIDES.iter().filter(move |g| g.has_set_point == follows).filter_map(|g| Some((g.name, g.formula?)))
    };
    of(true).chain([recurrence::FORMULA, classifier_free::FORMULA]).chain(of(false))
}
