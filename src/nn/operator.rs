//! One node of a network: a map from one or several values of a sample to another.

use super::{HostParameters, Layer, ParameterSpec, Pass, Plain, Rows, Tangents};
use std::sync::Arc;

/// What kind of map a node is, which decides how the whole network may be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Character {
    /// Each value of the output is a value of the input, or a constant.
    Rearranges,
    /// Linear or affine in its inputs.
    Linear,
    /// Continuous and piecewise linear in its inputs.
    PiecewiseLinear,
    /// Differentiable almost everywhere, and neither of the above.
    Smooth,
    /// Constant in pieces: its derivative is 0 wherever it exists.
    Step,
}

impl Character {
    /// Whether a network of nodes like this one is continuous and piecewise linear.
    pub fn is_piecewise_linear(self) -> bool {
        matches!(self, Self::Rearranges | Self::Linear | Self::PiecewiseLinear)
    }
}

/// A map with any number of inputs. A value of n samples is a matrix `[n, features]`; a node knows the per-sample shapes
/// of its inputs since it was built.
pub trait Operator: Send + Sync {
    /// Shape of the output, per sample.
    fn output_shape(&self) -> &[usize];

    /// Appends to `into` the tensors that the node reads, in the order of their use. The default is none.
    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let _ = into;
    }

    /// Width of the condition that the node reads; `None` if it reads none.
    fn condition_width(&self) -> Option<usize> {
        None
    }

    /// The map itself, from its inputs (`[n, in]` each) to `[n, out]`.
    fn forward(&self, x: Vec<Rows>, pass: &Pass) -> Rows;

    /// The map with tangents: from the inputs and the tangents of each to (y, ∂y). An input without tangents does not
    /// depend on the latent. Called only if at least one of them has tangents; `None` comes back only from a step.
    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, pass: &Pass) -> (Rows, Option<Tangents>);

    /// Appends the node's pre-activations, `[n, units]` each, to `taps`: the inputs of a nonlinear node, so that their
    /// signs say which piece of the map a sample lies in. The default appends nothing.
    fn tap(&self, x: &[Rows], pass: &Pass, taps: &mut Vec<Rows>) {
        let _ = (x, pass, taps);
    }

    /// What kind of map it is.
    fn character(&self) -> Character;

    /// Whether it is an activation: one input, and each value of the output depends on the value at the same place. If
    /// the last node of a network is one, it can be left off to measure the pre-activation instead (theory, 1b).
    fn is_activation(&self) -> bool {
        false
    }

    /// Number of values per sample that a backward pass keeps for this node, its output included.
    fn activations(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// The same map in plain terms, for one sample at fixed weights: one map, or several of which each later one reads the
    /// output of the one before. `None` for a kind that has none; a network with such a node is computed with tensors on
    /// every device.
    fn plain(&self, parameters: &HostParameters) -> Option<Vec<Plain>> {
        let _ = parameters;
        None
    }

    /// The node's kind and settings in one line, for people.
    fn describe(&self) -> String;
}

/// A layer as a node with one input.
pub struct OneInput(pub Box<dyn Layer>);

impl OneInput {
    /// The node for `layer`.
    pub fn of(layer: Box<dyn Layer>) -> Arc<dyn Operator> {
        Arc::new(Self(layer))
    }
}

/// The only element of a list that has one.
pub(super) fn only<T>(list: Vec<T>) -> T {
    #[allow(clippy::expect_used)] // The network is built with one input for each such node.
    list.into_iter().next().expect("a node of one input is given one")
}

impl Operator for OneInput {
    fn output_shape(&self) -> &[usize] {
        self.0.output_shape()
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        self.0.parameters(into);
    }

    fn condition_width(&self) -> Option<usize> {
        self.0.condition_width()
    }

    fn forward(&self, x: Vec<Rows>, pass: &Pass) -> Rows {
        self.0.forward(only(x), pass)
    }

    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, pass: &Pass) -> (Rows, Option<Tangents>) {
        match only(t) {
            Some(t) => {
                let (y, t) = self.0.tangent(only(x), t, pass);
                (y, Some(t))
            }
            None => (self.0.forward(only(x), pass), None),
        }
    }

    fn tap(&self, x: &[Rows], pass: &Pass, taps: &mut Vec<Rows>) {
        self.0.tap(&x[0], pass, taps);
    }

    fn character(&self) -> Character {
        self.0.character()
    }

    fn is_activation(&self) -> bool {
        self.0.is_elementwise()
    }

    fn activations(&self) -> usize {
        self.0.activations()
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Vec<Plain>> {
        self.0.plain(parameters).map(|plain| vec![plain])
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}
