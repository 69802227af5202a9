//! Guidance: what corrects a denoiser on its way to a picture.

mod guided;
mod keys;
mod population;

pub use guided::{Finished, pictures};
pub use keys::{ConditionKeys, Denoising, DenoisingKeys, GUIDES, Guide, GuideRow, ParticleKeys, WalkKeys, guide};
