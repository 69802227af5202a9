//! Networks built from a card: layers with a forward rule, a tangent rule and a pre-activation tap.
//!
//! Every activation is a matrix `[rows, features]`, one sample a row, features in C order of the
//! per-sample shape (`[channels, height, width]` for pictures). A layer knows its per-sample shapes
//! from the moment it is built, so shapes are checked once, when a card is read, and never again.
//!
//! Weights are not inside the layers but beside them, in [`Parameters`]: flat tensors under the names
//! they have in the weights file. So a network is frozen unless it is handed tracked parameters, and
//! no device state can switch a batch norm into training mode (see [`Pass`]).

pub mod adam;
mod build;
mod elementwise;
pub mod layers;
mod network;
mod parameters;
mod plain;
mod tangents;

pub use build::{LayerKind, build_layers, check_range, parse_layer};
pub use elementwise::{Elementwise, ElementwiseRule};
pub use network::{Network, plain_chain};
pub use parameters::{Init, Mismatch, ParameterSpec, Parameters, Role};
pub use plain::{HostParameters, Plain, PlainChain, PlainGather, Tap};
pub use tangents::Tangents;

use burn::tensor::Tensor;
use std::cell::RefCell;

/// A batch of activations: `[rows, features]`.
pub type Rows = Tensor<2>;

/// What a pass through a network needs beside its input.
pub struct Pass<'a> {
    /// The weights, by name.
    pub parameters: &'a Parameters,
    /// `Some` only while training: batch norms then use the statistics of the batch and leave them
    /// here as (name of the running statistic, batch statistic) for the trainer to fold in.
    pub batch_statistics: Option<&'a RefCell<Vec<(String, Tensor<1>)>>>,
    /// What `modulate` layers read: an embedded noise level or class, one row per sample.
    condition: Option<Rows>,
}

impl<'a> Pass<'a> {
    /// A pass with fixed statistics: every row depends on itself alone.
    pub fn frozen(parameters: &'a Parameters) -> Self {
        Self { parameters, batch_statistics: None, condition: None }
    }

    /// The same pass under a condition `[n, width]`, held constant by tangents.
    pub fn under(self, condition: Rows) -> Self {
        Self { condition: Some(condition), ..self }
    }

    /// The condition.
    ///
    /// # Panics
    /// Where there is none: a network with `modulate` layers is only built with an embedding
    /// ([`Network::condition_width`]).
    pub fn condition(&self) -> Rows {
        #[allow(clippy::expect_used)] // Refused when the model is built, with the layer's name.
        self.condition.clone().expect("a network that reads a condition is given one")
    }

    /// A training pass that collects batch statistics.
    pub fn training(parameters: &'a Parameters, statistics: &'a RefCell<Vec<(String, Tensor<1>)>>) -> Self {
        Self { parameters, batch_statistics: Some(statistics), condition: None }
    }
}

/// One layer. Shapes are per sample, without the batch.
pub trait Layer: Send + Sync {
    /// Per-sample shape of the output.
    fn output_shape(&self) -> &[usize];

    /// The tensors this layer reads, appended to `into` in the order of their use.
    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let _ = into;
    }

    /// The widths of the conditions that this layer, or one inside it, reads.
    fn condition_widths(&self, into: &mut Vec<usize>) {
        let _ = into;
    }

    /// The map itself: `[n, in] → [n, out]`.
    fn forward(&self, x: Rows, pass: &Pass) -> Rows;

    /// The map and its tangent rule: from `x` and directions `t = ∂x` to `(y, ∂y)`, exact for the
    /// map as [`forward`](Self::forward) computes it with frozen statistics.
    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents);

    /// Forward that also appends the pre-activations (inputs of nonlinear layers) to `taps`.
    fn tap(&self, x: Rows, pass: &Pass, taps: &mut Vec<Rows>) -> Rows {
        let _ = &taps;
        self.forward(x, pass)
    }

    /// Values of all activations inside the layer and of its output, per sample: what a backward pass keeps.
    fn activations(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// The same map in plain terms, for one sample at fixed weights; `None` for a kind that cannot be put in them, and
    /// then networks with it go through tensors alone.
    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let _ = parameters;
        None
    }

    /// Whether the layer is continuous piecewise linear in its input.
    fn is_piecewise_linear(&self) -> bool;

    /// Whether the layer acts on each value alone; a last layer of this kind can be left off to
    /// reach the pre-activation (theory, 1b).
    fn is_elementwise(&self) -> bool {
        false
    }

    /// One line for people: kind and settings.
    fn describe(&self) -> String;
}
