//! A network: a chain of layers from one per-sample shape to another.

use super::{HostParameters, Layer, ParameterSpec, Pass, PlainChain, Rows, Tangents, build_layers};
use crate::error::Result;

/// A sequence of layers. It holds no weights: every pass brings its own (see [`Pass`]).
pub struct Network {
    layers: Vec<Box<dyn Layer>>,
    input: Vec<usize>,
}

impl Network {
    /// Builds the layers of `tables` (a card's `[[layers]]`) for samples of the shape `input`.
    ///
    /// # Errors
    /// [`crate::error::Error::Key`] at the first wrong key, as in `layers[3].out`.
    pub fn build(tables: Vec<toml::Table>, input: &[usize]) -> Result<Self> {
        Self::build_list(tables, input, "layers")
    }

    /// Like [`build`](Self::build), for layers that are listed under another key, `list`.
    ///
    /// # Errors
    /// [`crate::error::Error::Key`] at the first wrong key, as in `embed[3].out`.
    pub fn build_list(tables: Vec<toml::Table>, input: &[usize], list: &str) -> Result<Self> {
        Ok(Self { layers: build_layers(tables, input, list)?, input: input.to_vec() })
    }

    /// Shape of the input, per sample.
    pub fn input_shape(&self) -> &[usize] {
        &self.input
    }

    /// Shape of the output, per sample; that of the input if there are no layers.
    pub fn output_shape(&self) -> &[usize] {
        self.layers.last().map_or(&self.input, |l| l.output_shape())
    }

    /// The layers in order, so that they can be counted and described.
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// Every tensor that the layers read, in the order of the layers.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        self.layers.iter().for_each(|l| l.parameters(&mut specs));
        specs
    }

    /// The width of the condition that the layers read; `None` if no layer reads one.
    ///
    /// # Errors
    /// Two different widths, if the layers disagree.
    pub fn condition_width(&self) -> Result<Option<usize>, (usize, usize)> {
        let mut widths = Vec::new();
        self.layers.iter().for_each(|l| l.condition_widths(&mut widths));
        match widths.iter().find(|w| **w != widths[0]) {
            Some(other) => Err((widths[0], *other)),
            None => Ok(widths.first().copied()),
        }
    }

    /// The last activation, if all that follows it only rearranges values: the layer to leave out to get the
    /// pre-activation (theory, 1b). An activation acts on each value by itself, so what follows may as well rearrange the
    /// values that went into it.
    pub fn last_activation(&self) -> Option<usize> {
        let last = self.layers.iter().rposition(|l| !l.only_rearranges())?;
        self.layers[last].is_elementwise().then_some(last)
    }

    /// Whether the first `depth` layers are piecewise linear.
    pub fn is_piecewise_linear(&self, depth: usize) -> bool {
        self.layers[..depth].iter().all(|l| l.is_piecewise_linear())
    }

    /// Number of values per sample in the widest activation, input included. It bounds the memory of a forward pass.
    pub fn widest(&self) -> usize {
        let input = self.input.iter().product::<usize>();
        self.layers.iter().map(|l| l.output_shape().iter().product()).fold(input, usize::max)
    }

    /// Number of values per sample in all activations. It bounds the memory of a backward pass.
    pub fn activations(&self) -> usize {
        self.layers.iter().map(|l| l.activations()).sum()
    }

    /// The output for x: `[n, in] → [n, out]`.
    pub fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        self.layers.iter().fold(x, |x, l| l.forward(x, pass))
    }

    /// The output of the first `depth` layers and its tangents, from x `[n, in]` and the tangents of x; see
    /// [`Layer::tangent`].
    pub fn tangent(&self, x: Rows, t: Tangents, pass: &Pass, depth: usize) -> (Rows, Tangents) {
        self.layers[..depth].iter().fold((x, t), |(x, t), l| l.tangent(x, t, pass))
    }

    /// The first `depth` layers in plain terms; `None` if one of them has none.
    pub fn plain(&self, parameters: &HostParameters, depth: usize) -> Option<PlainChain> {
        plain_chain(&self.layers[..depth], self.input.iter().product(), parameters)
    }

    /// The output for x, and the pre-activations of all nonlinear layers in order, `[n, units]` each; see
    /// [`Layer::tap`].
    pub fn tap(&self, x: Rows, pass: &Pass) -> (Rows, Vec<Rows>) {
        let mut taps = Vec::new();
        let y = self.layers.iter().fold(x, |x, l| l.tap(x, pass, &mut taps));
        (y, taps)
    }
}

/// The layers of a list in plain terms, where the first one takes `before` features; `None` if one of them has none.
pub fn plain_chain(layers: &[Box<dyn Layer>], before: usize, parameters: &HostParameters) -> Option<PlainChain> {
    Some(PlainChain { layers: layers.iter().map(|l| l.plain(parameters)).collect::<Option<_>>()?, before })
}
