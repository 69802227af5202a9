//! Descriptors of many latents, as a table: keys, sources of latents, tiles, results.

mod bias;
mod block;
mod files;
mod invert;
mod keys;
mod measurer;
mod recipe;
mod report;
mod source;
mod spread;
mod tiles;
mod values;

pub use bias::Bias;
pub use block::{About, Sample, unpack};
pub use invert::{Inversion, Inverter};
pub use keys::{Geometry, Keys};
pub use measurer::{Measurer, Subject};
pub use recipe::Recipe;
pub use report::{Report, summary};
pub use source::Source;
pub use spread::spread;
pub use tiles::{DescribePlan, ROW, Tiles};
pub use values::{Description, Row};
