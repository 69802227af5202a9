//! Reads an ONNX file and lowers it to a graph of per-sample values that the engine runs.
//!
//! [`read()`] turns bytes into a [`Model`], within limits. [`lower()`] sets the batch to one sample, works out all that
//! does not depend on the latent, and writes what is left in the kinds of a graph file; [`FUSIONS`] make several nodes
//! one. [`mixing`] tells whether the file's own batch keeps samples apart, [`range`] what the last activation says of
//! the picture's range.

mod arithmetic;
mod build;
mod choose;
mod external;
mod finish;
mod fuse;
mod host;
mod inline;
mod kind;
mod lower;
pub mod mixing;
mod model;
mod operators;
mod order;
mod proto;
pub mod range;
mod read;
mod select;
mod shapes;
mod simplify;
mod sums;
mod tensor;
mod value;
mod wire;

pub use choose::{Choices, Draw, Fixed, Law, Noise, Reads};
pub use finish::{Input, Lowered, Node, Report, Trace};
pub use fuse::{FUSIONS, Fusion};
pub use lower::lower;
pub use model::{Axis, Declared, Model};
pub use operators::{OPERATORS, OnnxOperator};
pub use read::{parse, read};

/// Versions of the operator set that are read.
pub const OPSETS: std::ops::RangeInclusive<i64> = 13..=21;
/// Nodes of a file, those inside functions once for each call; and nodes of a lowered graph.
pub const MAX_NODES: usize = 16_384;
/// Bytes of a name in a file.
pub const NAME_BYTES: usize = 256;

/// Bounds on what a file may ask for, beyond its own size.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries of one value.
    pub value: usize,
    /// Entries of all values that are worked out at import.
    pub folded: usize,
    /// Entries of all index vectors.
    pub indices: usize,
    /// Multiplications of all values that are worked out at import.
    pub work: usize,
    /// Nodes of the graph before it is simplified.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { value: 1 << 28, folded: 1 << 26, indices: 1 << 28, work: 1 << 34, nodes: 8 * MAX_NODES }
    }
}
