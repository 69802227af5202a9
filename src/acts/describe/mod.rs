//! Descriptors of many latents, as a table: keys, sources of latents, tiles, results.

mod bias;
mod block;
mod geometry;
mod invert;
mod keys;
mod measure;
mod results;
mod source;
mod spread;
mod tiles;
mod values;

pub use bias::Bias;
pub use block::{About, Described, unpack};
pub use geometry::Geometry;
pub use invert::{Inversion, Inverter};
pub use keys::{DescribeKeys, Describing, Subject};
pub use measure::{DescribeRecipe, Measurer, TileFiles, TileFound};
pub use results::{Results, summary};
pub use source::{Located, Source};
pub use spread::spread;
pub use tiles::{DescribePlan, Descriptions, ROW};
pub use values::{Description, Row};
