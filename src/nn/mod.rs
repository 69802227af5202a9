//! Networks built from a card. A layer is one rule in three forms: the map itself (`forward`), its tangents
//! (`tangent`), and the map with its pre-activations collected (`tap`). Most layers also have *plain terms*
//! ([`Plain`]): a description from which `crate::host` computes without tensors.
//!
//! Every activation is a matrix `[n, features]` with one sample per row; its features are in C order of the per-sample
//! shape (`[channels, height, width]` for pictures). A layer knows its per-sample shapes as soon as it is built, so
//! shapes are checked once, when a card is read, and never again.
//!
//! Weights are not inside the layers but beside them, in [`Parameters`]: flat tensors under the names they have in the
//! weights file. So a network is frozen unless it is given tracked parameters, and only a training pass
//! ([`Pass::training`]) makes a batch norm use the statistics of the batch.

pub mod adam;
mod build;
mod elementwise;
pub mod layers;
mod network;
mod parameters;
mod plain;
mod product;
mod tangents;

pub use build::{LayerKind, build_layers, check_range, parse_layer};
pub use elementwise::{Elementwise, ElementwiseRule};
pub use network::{Network, plain_chain};
pub use parameters::{Init, Mismatch, ParameterSpec, Parameters, Role};
pub use plain::{HostParameters, Plain, PlainChain, PlainGather, Tap};
pub use product::product;
pub use tangents::Tangents;

use burn::tensor::Tensor;
use std::cell::RefCell;

/// A batch of activations, `[n, features]`, one sample per row.
pub type Rows = Tensor<2>;

/// What a pass through a network needs besides its input.
pub struct Pass<'a> {
    /// The weights, by name.
    pub parameters: &'a Parameters,
    /// `Some` only in training. Batch norms then use the statistics of the batch and leave them here as (name of the
    /// running statistic, batch statistic), for the trainer to average in.
    pub batch_statistics: Option<&'a RefCell<Vec<(String, Tensor<1>)>>>,
    /// What `modulate` layers read: an embedded noise level and class, `[n, width]`.
    condition: Option<Rows>,
}

impl<'a> Pass<'a> {
    /// A pass with fixed statistics and no condition. Each row of a result depends only on the same row of the input.
    pub fn frozen(parameters: &'a Parameters) -> Self {
        Self { parameters, batch_statistics: None, condition: None }
    }

    /// The same pass under a condition `[n, width]`. Tangents treat the condition as constant.
    pub fn under(self, condition: Rows) -> Self {
        Self { condition: Some(condition), ..self }
    }

    /// The condition, `[n, width]`.
    ///
    /// # Panics
    /// If there is none. That is a fault of the program: a network with `modulate` layers is refused unless an
    /// embedding gives the condition ([`Network::condition_width`]).
    pub fn condition(&self) -> Rows {
        #[allow(clippy::expect_used)] // Such a model is refused when it is built.
        self.condition.clone().expect("a network that reads a condition is given one")
    }

    /// A training pass: batch norms use the statistics of the batch and add them to `statistics`. Rows then depend on
    /// one another.
    pub fn training(parameters: &'a Parameters, statistics: &'a RefCell<Vec<(String, Tensor<1>)>>) -> Self {
        Self { parameters, batch_statistics: Some(statistics), condition: None }
    }
}

/// One layer of a network. Its shapes are per sample, without the batch; "in" and "out" below are their sizes.
pub trait Layer: Send + Sync {
    /// Shape of the output, per sample.
    fn output_shape(&self) -> &[usize];

    /// Appends to `into` the tensors that this layer reads, in the order of their use. The default is none.
    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let _ = into;
    }

    /// Appends to `into` the widths of the conditions that this layer and the layers inside it read.
    fn condition_widths(&self, into: &mut Vec<usize>) {
        let _ = into;
    }

    /// The map itself: `[n, in] → [n, out]`.
    fn forward(&self, x: Rows, pass: &Pass) -> Rows;

    /// The map with tangents (forward-mode differentiation): from x `[n, in]` and tangents ∂x to (y, ∂y), with y
    /// `[n, out]` and ∂y = Df(x)·∂x. Exact for the map that [`forward`](Self::forward) computes with frozen statistics.
    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents);

    /// Like [`forward`](Self::forward), but also appends the pre-activations, `[n, units]` each, to `taps`: the inputs
    /// of all nonlinear layers, in order. The default appends nothing.
    fn tap(&self, x: Rows, pass: &Pass, taps: &mut Vec<Rows>) -> Rows {
        let _ = &taps;
        self.forward(x, pass)
    }

    /// Number of values per sample in all activations inside the layer and in its output, which a backward pass keeps.
    fn activations(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// The same map in plain terms, for one sample at fixed weights. `None` for a kind of layer that has none; a
    /// network with such a layer is computed with tensors on every device.
    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let _ = parameters;
        None
    }

    /// Whether the layer is continuous piecewise linear in its input.
    fn is_piecewise_linear(&self) -> bool;

    /// Whether the layer acts on each value separately. If the last layer does, it can be left off to measure its
    /// pre-activation instead (theory, 1b).
    fn is_elementwise(&self) -> bool {
        false
    }

    /// Whether each value of the output is a value of the input, whatever the input is.
    fn only_rearranges(&self) -> bool {
        false
    }

    /// The layer's kind and settings in one line, for people.
    fn describe(&self) -> String;
}
