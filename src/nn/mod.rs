//! Networks. A network is a graph of nodes ([`Operator`]); a node of one input is a [`Layer`], and a card lists layers. Each
//! is one rule in three forms: the map itself (`forward`), its tangents (`tangent`), and its pre-activations (`tap`). Most
//! also have *plain terms* ([`Plain`]): a description from which `crate::host` computes without tensors.
//!
//! Every activation is a matrix `[n, features]` with one sample per row; its features are in C order of the per-sample
//! shape (`[channels, height, width]` for pictures). A layer knows its per-sample shapes as soon as it is built, so
//! shapes are checked once, when a card is read, and never again.
//!
//! Weights are not inside the layers but beside them, in [`Parameters`]: flat tensors under the names they have in the
//! weights file. So a network is frozen unless it is given tracked parameters, and only a training pass
//! ([`Pass::training`]) makes a batch norm use the statistics of the batch.

pub mod adam;
mod builder;
mod convolution;
mod elementwise;
pub mod fast;
mod graph_file;
pub mod layers;
mod network;
mod operator;
pub mod operators;
mod parameters;
mod plain;
mod pointwise;
mod product;
mod tangents;

pub use builder::{Build, Builder, LayerKind, check_range, parse_layer};
pub use convolution::{Convolution, Window};
pub use elementwise::{Elementwise, ElementwiseRule};
pub use graph_file::{GraphFile, GraphInput, GraphNode};
pub use network::{Network, Node, ValueId};
pub use operator::{Character, OneInput, Operator};
pub use parameters::{Init, Mismatch, ParameterSpec, Parameters, Role};
pub use plain::{Grid, HostParameters, NormRule, Plain, PlainGather, PlainGraph, PlainNode, Tap};
pub use pointwise::{Pointwise, PointwiseRule};
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

    /// Width of the condition that the layer reads; `None` if it reads none.
    fn condition_width(&self) -> Option<usize> {
        None
    }

    /// The map itself: `[n, in] → [n, out]`.
    fn forward(&self, x: Rows, pass: &Pass) -> Rows;

    /// The map with tangents (forward-mode differentiation): from x `[n, in]` and tangents ∂x to (y, ∂y), with y
    /// `[n, out]` and ∂y = Df(x)·∂x. Exact for the map that [`forward`](Self::forward) computes with frozen statistics.
    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents);

    /// Appends the layer's pre-activations, `[n, units]` each, to `taps`: the inputs of a nonlinear layer. The default
    /// appends nothing.
    fn tap(&self, x: &Rows, pass: &Pass, taps: &mut Vec<Rows>) {
        let _ = (x, pass, taps);
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

    /// What kind of map it is.
    fn character(&self) -> Character;

    /// Whether the layer acts on each value separately. If the last layer does, it can be left off to measure its
    /// pre-activation instead (theory, 1b).
    fn is_elementwise(&self) -> bool {
        false
    }

    /// The layer's kind and settings in one line, for people.
    fn describe(&self) -> String;
}
