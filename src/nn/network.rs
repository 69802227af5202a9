//! A chain of layers.

use super::{HostParameters, Layer, ParameterSpec, Pass, PlainChain, Rows, Tangents, build_layers};
use crate::error::Result;

/// Layers one after another, from a per-sample input shape to an output shape.
pub struct Network {
    layers: Vec<Box<dyn Layer>>,
    input: Vec<usize>,
}

impl Network {
    /// Builds the layers of `tables` (a card's `[[layers]]`).
    ///
    /// # Errors
    /// [`crate::error::Error::Key`], as in `layers[3].out`.
    pub fn build(tables: Vec<toml::Table>, input: &[usize]) -> Result<Self> {
        Self::build_list(tables, input, "layers")
    }

    /// The same for tables that stand under another name, `list`.
    ///
    /// # Errors
    /// [`crate::error::Error::Key`], as in `embed[3].out`.
    pub fn build_list(tables: Vec<toml::Table>, input: &[usize], list: &str) -> Result<Self> {
        Ok(Self { layers: build_layers(tables, input, list)?, input: input.to_vec() })
    }

    /// Per-sample input shape.
    pub fn input_shape(&self) -> &[usize] {
        &self.input
    }

    /// Per-sample output shape.
    pub fn output_shape(&self) -> &[usize] {
        self.layers.last().map_or(&self.input, |l| l.output_shape())
    }

    /// The layers, for inspection.
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// Every tensor the layers read.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        self.layers.iter().for_each(|l| l.parameters(&mut specs));
        specs
    }

    /// The width of the condition that the layers read; `None` where none reads one.
    ///
    /// # Errors
    /// The two widths, where layers disagree.
    pub fn condition_width(&self) -> Result<Option<usize>, (usize, usize)> {
        let mut widths = Vec::new();
        self.layers.iter().for_each(|l| l.condition_widths(&mut widths));
        match widths.iter().find(|w| **w != widths[0]) {
            Some(other) => Err((widths[0], *other)),
            None => Ok(widths.first().copied()),
        }
    }

    /// Number of layers up to the pre-activation of a saturating last layer; all of them where the
    /// last layer is not elementwise.
    pub fn preactivation_depth(&self) -> usize {
        let cut = self.layers.last().is_some_and(|l| l.is_elementwise());
        self.layers.len() - usize::from(cut)
    }

    /// Whether the first `depth` layers are piecewise linear.
    pub fn is_piecewise_linear(&self, depth: usize) -> bool {
        self.layers[..depth].iter().all(|l| l.is_piecewise_linear())
    }

    /// The widest activation, in values per sample: what a pass needs memory for.
    pub fn widest(&self) -> usize {
        let input = self.input.iter().product::<usize>();
        self.layers.iter().map(|l| l.output_shape().iter().product()).fold(input, usize::max)
    }

    /// Values of all activations of a sample: what a backward pass keeps.
    pub fn activations(&self) -> usize {
        self.layers.iter().map(|l| l.activations()).sum()
    }

    /// All layers: `[n, in] → [n, out]`.
    pub fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        self.forward_to(x, pass, self.layers.len())
    }

    /// The first `depth` layers.
    pub fn forward_to(&self, x: Rows, pass: &Pass, depth: usize) -> Rows {
        self.layers[..depth].iter().fold(x, |x, l| l.forward(x, pass))
    }

    /// The first `depth` layers with tangents.
    pub fn tangent(&self, x: Rows, t: Tangents, pass: &Pass, depth: usize) -> (Rows, Tangents) {
        self.layers[..depth].iter().fold((x, t), |(x, t), l| l.tangent(x, t, pass))
    }

    /// The first `depth` layers in plain terms; `None` where one of them cannot be put in them.
    pub fn plain(&self, parameters: &HostParameters, depth: usize) -> Option<PlainChain> {
        plain_chain(&self.layers[..depth], self.input.iter().product(), parameters)
    }

    /// All layers, collecting pre-activations.
    pub fn tap(&self, x: Rows, pass: &Pass) -> (Rows, Vec<Rows>) {
        let mut taps = Vec::new();
        let y = self.layers.iter().fold(x, |x, l| l.tap(x, pass, &mut taps));
        (y, taps)
    }
}

/// Layers that `before` values enter, in plain terms; `None` where one of them cannot be put in them.
pub fn plain_chain(layers: &[Box<dyn Layer>], before: usize, parameters: &HostParameters) -> Option<PlainChain> {
    Some(PlainChain { layers: layers.iter().map(|l| l.plain(parameters)).collect::<Option<_>>()?, before })
}
