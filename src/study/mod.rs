//! Measuring a model: descriptions of many latents, and the studies that say what the numbers are worth.

mod bias;
mod block;
mod convergence;
mod describe;
mod folder;
mod invert;
mod page;
mod paths;
mod pictures;
pub mod relate;
mod session;
mod source;
mod values;

pub use bias::Bias;
pub use block::{About, Described, pack, unpack};
pub use convergence::{Convergence, Trial, Trials};
pub use describe::{DescribeRecipe, Measurer, tile};
pub use folder::claim;
pub use invert::{Inversion, Inverter};
pub use page::{Page, pictures, spread};
pub use paths::{cell, path, plane};
pub use pictures::{PICTURE_MEASURES, PictureMeasure};
pub use session::Session;
pub use source::{Located, Source};
pub use values::{Description, Row};
