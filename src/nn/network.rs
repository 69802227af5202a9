//! A network: a graph of nodes from one input to one output, per sample.
//!
//! ```text
//! value 0 = the input     node i makes value i + 1 from earlier values
//! ```
//!
//! Nodes are in an order in which each comes after those it reads. A value is let go after its last use, so that memory is
//! what the graph needs at its widest and not the sum of all values.

use super::builder::Builder;
use super::{Character, HostParameters, Operator, ParameterSpec, Pass, PlainGraph, PlainNode, Rows, Tangents};
use crate::error::Result;
use std::sync::Arc;

/// The number of a value: 0 is the network's input, i + 1 what node i makes.
pub type ValueId = usize;

/// A node of a network.
#[derive(Clone)]
pub struct Node {
    /// The map.
    pub operator: Arc<dyn Operator>,
    /// The values that it reads, all of them earlier.
    pub inputs: Vec<ValueId>,
    /// What messages call it: its place in a card, as in `layers[3].body[0]`, or its name in the file it came from.
    pub name: String,
}

/// A graph of nodes. It holds no weights: every pass brings its own (see [`Pass`]).
#[derive(Clone)]
pub struct Network {
    input: Vec<usize>,
    nodes: Vec<Node>,
    output: ValueId,
    /// For each value, the node that uses it last; `usize::MAX` for the output.
    last_use: Vec<usize>,
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
        let mut builder = Builder::new(input);
        let output = builder.layers(tables, 0, list)?;
        Ok(builder.finish(output))
    }

    /// The graph of `nodes` for samples of the shape `input`, which ends in the value `output`. Nodes that the output does
    /// not need are left out.
    pub(super) fn of_nodes(input: Vec<usize>, nodes: Vec<Node>, output: ValueId) -> Self {
        let mut needed = vec![false; nodes.len() + 1];
        needed[output] = true;
        for (i, node) in nodes.iter().enumerate().rev().filter(|(i, _)| *i < output) {
            if needed[i + 1] {
                node.inputs.iter().for_each(|v| needed[*v] = true);
            }
        }
        let mut number = vec![0; nodes.len() + 1];
        let mut kept = Vec::with_capacity(nodes.len());
        for (i, node) in nodes.into_iter().enumerate().filter(|(i, _)| needed[i + 1]) {
            let inputs = node.inputs.iter().map(|v| number[*v]).collect();
            kept.push(Node { inputs, ..node });
            number[i + 1] = kept.len();
        }
        let output = number[output];
        let mut last_use = vec![0; kept.len() + 1];
        for (i, node) in kept.iter().enumerate() {
            node.inputs.iter().for_each(|v| last_use[*v] = i);
        }
        last_use[output] = usize::MAX;
        Self { input, nodes: kept, output, last_use }
    }

    /// Shape of the input, per sample.
    pub fn input_shape(&self) -> &[usize] {
        &self.input
    }

    /// Shape of the output, per sample; that of the input if there are no nodes.
    pub fn output_shape(&self) -> &[usize] {
        self.shape(self.output)
    }

    /// The value that is the output.
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// Shape of a value, per sample.
    pub fn shape(&self, value: ValueId) -> &[usize] {
        if value == 0 { &self.input } else { self.nodes[value - 1].operator.output_shape() }
    }

    /// The nodes in order, so that they can be counted and described.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Every tensor that the nodes read, in the order of the nodes.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        self.nodes.iter().for_each(|n| n.operator.parameters(&mut specs));
        specs
    }

    /// The width of the condition that the nodes read; `None` if no node reads one.
    ///
    /// # Errors
    /// Two different widths, if the nodes disagree.
    pub fn condition_width(&self) -> Result<Option<usize>, (usize, usize)> {
        let widths: Vec<usize> = self.nodes.iter().filter_map(|n| n.operator.condition_width()).collect();
        match widths.iter().find(|w| **w != widths[0]) {
            Some(other) => Err((widths[0], *other)),
            None => Ok(widths.first().copied()),
        }
    }

    /// The last activation, if all that follows it only rearranges values: the index of the node to leave out to get the
    /// pre-activation (theory, 1b). An activation acts on each value by itself, so what follows may as well rearrange the
    /// values that went into it.
    pub fn last_activation(&self) -> Option<usize> {
        let mut value = self.output;
        while value > 0 {
            let node = &self.nodes[value - 1];
            if node.operator.is_activation() {
                return Some(value - 1);
            }
            match (node.operator.character(), &node.inputs[..]) {
                (Character::Rearranges, [input]) => value = *input,
                _ => return None,
            }
        }
        None
    }

    /// The part of the network that the value `value` needs, which it ends in.
    pub fn until(&self, value: ValueId) -> Self {
        Self::of_nodes(self.input.clone(), self.nodes.clone(), value)
    }

    /// The same network without node `index`, a node of one input: what read its output reads its input instead.
    pub fn without(&self, index: usize) -> Self {
        let (gone, instead) = (index + 1, self.nodes[index].inputs[0]);
        let other = |v: ValueId| if v == gone { instead } else { v };
        let nodes =
            self.nodes.iter().map(|n| Node { inputs: n.inputs.iter().map(|v| other(*v)).collect(), ..n.clone() });
        Self::of_nodes(self.input.clone(), nodes.collect(), other(self.output))
    }

    /// Whether the network is continuous and piecewise linear.
    pub fn is_piecewise_linear(&self) -> bool {
        self.nodes.iter().all(|n| n.operator.character().is_piecewise_linear())
    }

    /// Number of values per sample that are alive at once where a forward pass is at its widest. It bounds the memory of
    /// that pass.
    pub fn widest(&self) -> usize {
        let size = |v: ValueId| self.shape(v).iter().product::<usize>();
        let (mut alive, mut most) = (size(0), size(0));
        for (i, node) in self.nodes.iter().enumerate() {
            alive += size(i + 1);
            most = most.max(alive);
            let mut ended: Vec<ValueId> = node.inputs.iter().copied().filter(|v| self.last_use[*v] == i).collect();
            ended.sort_unstable();
            ended.dedup();
            alive -= ended.into_iter().map(size).sum::<usize>();
        }
        most
    }

    /// Number of values per sample in all nodes. It bounds the memory of a backward pass.
    pub fn activations(&self) -> usize {
        self.nodes.iter().map(|n| n.operator.activations()).sum()
    }

    /// Runs `step` for every node in order, each with what was made of its inputs, and returns what was made of the
    /// output.
    fn run<T: Clone>(&self, input: T, mut step: impl FnMut(&Node, Vec<T>) -> T) -> T {
        let mut slots: Vec<Option<T>> = vec![None; self.nodes.len() + 1];
        slots[0] = Some(input);
        for (i, node) in self.nodes.iter().enumerate() {
            let each = node.inputs.iter().enumerate().map(|(at, v)| {
                let last = self.last_use[*v] == i && !node.inputs[at + 1..].contains(v);
                if last { slots[*v].take() } else { slots[*v].clone() }
            });
            #[allow(clippy::expect_used)] // A value is made before it is read, and kept until its last use.
            let inputs = each.map(|x| x.expect("a value that is read is there")).collect();
            slots[i + 1] = Some(step(node, inputs));
        }
        #[allow(clippy::expect_used)] // The output is never let go.
        slots[self.output].take().expect("the output is there")
    }

    /// The output for x: `[n, in] → [n, out]`.
    pub fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let n = x.dims()[0];
        self.run(x, |node, x| rows_of(node.operator.forward(x, pass), n))
    }

    /// Some of the values for x in one pass, in the order of `wanted`: `[n, in] → [n, size of the value]` each.
    pub fn values(&self, x: Rows, wanted: &[ValueId], pass: &Pass) -> Vec<Rows> {
        let (n, mut at) = (x.dims()[0], 0);
        let mut kept: Vec<Option<Rows>> = wanted.iter().map(|v| (*v == 0).then(|| x.clone())).collect();
        self.run(x, |node, x| {
            let made = rows_of(node.operator.forward(x, pass), n);
            at += 1;
            kept.iter_mut().zip(wanted).filter(|(_, v)| **v == at).for_each(|(kept, _)| *kept = Some(made.clone()));
            made
        });
        kept.into_iter().flatten().collect()
    }

    /// The output and its tangents, from x `[n, in]` and the tangents of x; see [`Operator::tangent`].
    pub fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let (n, zero) = (x.dims()[0], t.clone());
        let (y, t) = self.run((x, Some(t)), |node, inputs| {
            let (x, t): (Vec<_>, Vec<Option<Tangents>>) = inputs.into_iter().unzip();
            if t.iter().all(Option::is_none) {
                return (rows_of(node.operator.forward(x, pass), n), None);
            }
            node.operator.tangent(x, t, pass)
        });
        let width = y.dims()[1];
        (y, t.unwrap_or_else(|| zero.zeros(width)))
    }

    /// The network in plain terms; `None` if one of its nodes has none.
    pub fn plain(&self, parameters: &HostParameters) -> Option<PlainGraph> {
        let node = |n: &Node| Some(PlainNode { map: n.operator.plain(parameters)?, inputs: n.inputs.clone() });
        Some(PlainGraph {
            nodes: self.nodes.iter().map(node).collect::<Option<_>>()?,
            width: self.input.iter().product(),
            output: self.output,
        })
    }

    /// The output for x, and the pre-activations of all nonlinear nodes in order, `[n, units]` each; see
    /// [`Operator::tap`].
    pub fn tap(&self, x: Rows, pass: &Pass) -> (Rows, Vec<Rows>) {
        let (n, mut taps) = (x.dims()[0], Vec::new());
        let y = self.run(x, |node, x| {
            node.operator.tap(&x, pass, &mut taps);
            rows_of(node.operator.forward(x, pass), n)
        });
        (y, taps)
    }
}

/// A value for all `n` samples: one that is the same for all may come as a single row.
fn rows_of(x: Rows, n: usize) -> Rows {
    if x.dims()[0] == n { x } else { x.repeat_dim(0, n) }
}
