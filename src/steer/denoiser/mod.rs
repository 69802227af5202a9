//! Guidance: what corrects a denoiser on the way from noise to a picture (theory, 24 to 28). One file for each guide,
//! and their table.

mod backward;
mod density;
mod forward;
mod guide_trial;
mod keys;
mod minority;
mod noise;
mod particles;
mod plain;
mod task;
mod unguided;
mod walk;

pub use backward::Backward;
pub use density::DensityScaled;
pub use forward::{Forward, Normalisation};
pub use keys::{ConditionKeys, Denoise, Denoising, DenoisingKeys, EndKeys, WalkKeys};
pub use minority::Minority;
pub use plain::{check_asked, plain, sampler_of};
pub use task::Task;
pub use walk::{Finished, images, pictures};

use super::own_keys::own_keys;
use crate::diffusion::guidance::{classifier_free, recurrence};
use crate::error::Result;
use crate::units::Level;

/// Takes a tile once through a guide and measures it. With levels, each sample is guided towards its own; without, as
/// strongly as the task says.
pub type Run = fn(&Task, Option<&[Level]>) -> Result<Vec<Finished>>;

/// One row of the table of `--method` names that act on a denoiser.
pub struct GuideRow {
    /// As in `--method NAME`.
    pub name: &'static str,
    /// One line for `isoline list steering`.
    pub about: &'static str,
    /// One line for `isoline list guidance`. Only for guides that correct the denoiser's answers one by one, so that a
    /// step may be repeated.
    pub formula: Option<&'static str>,
    /// Strength to use where none is given.
    pub strength: f64,
    /// Strengths from which `isoline steer-report` chooses one for each level; empty for a guide that the report leaves
    /// out.
    pub trial_strengths: &'static [f64],
    /// Whether it draws noise of its own on the way, so that its pictures depend on more than the noise they start from.
    pub draws: bool,
    /// Whether it follows the reward and so can be given a value to reach; other guides only have a strength.
    pub has_set_point: bool,
    /// Takes a tile through the guide.
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

/// The guide called `name`.
pub fn guide(name: &str) -> Option<&'static GuideRow> {
    GUIDES.iter().find(|g| g.name == name)
}

/// Every correction of a denoiser as (name, formula): first the guides that follow the reward, then what combines with
/// any of them, then the baselines.
pub fn formulas() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of = |follows: bool| {
        GUIDES.iter().filter(move |g| g.has_set_point == follows).filter_map(|g| Some((g.name, g.formula?)))
    };
    of(true).chain([recurrence::FORMULA, classifier_free::FORMULA]).chain(of(false))
}
