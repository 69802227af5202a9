//! Measuring a model: descriptions of many latents, and the studies that say what the numbers are worth.

mod bias;
mod block;
mod convergence;
mod describe;
mod invert;
mod page;
mod paths;
mod pictures;
pub mod relate;
mod results;
mod session;
mod source;
mod values;

pub use bias::Bias;
pub use block::{About, Described, unpack};
pub use convergence::{Convergence, Trial, Trials};
pub use describe::{DescribeRecipe, Measurer, TileFiles, TileFound, tile};
pub use invert::{Inversion, Inverter};
pub use page::{Page, pictures, spread};
pub use paths::{cell, path, plane};
pub use pictures::{PICTURE_MEASURES, PictureMeasure};
pub use results::{Results, summary};
pub use session::Session;
pub use source::{Located, Source};
pub use values::{Description, Row};
