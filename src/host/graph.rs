//! A network in host memory: a graph of host operators, from one input to one output.

use super::enlarge::enlargements;
use super::{HostOperator, HostRows, Linearisation, rule};
use crate::nn::{HostParameters, Network, PlainGraph};
use rayon::prelude::*;

/// Samples that go through a graph together: one in each lane of the widest register.
const BLOCK: usize = 16;

struct Node {
    operator: Box<dyn HostOperator>,
    /// The values it reads: 0 is the input of the graph, i + 1 what node i makes.
    inputs: Vec<usize>,
    /// Whether it depends on the input of the graph.
    live: bool,
    features: usize,
}

/// Host operators in an order in which each comes after those it reads.
pub struct HostGraph {
    nodes: Vec<Node>,
    width: usize,
    output: usize,
    /// For each value, the node that uses it last; `usize::MAX` for the output.
    last_use: Vec<usize>,
}

/// Tangents that are the same for all samples: those of the values that only linear nodes lie before. They are computed
/// once. For unit directions into a generator that starts with a linear layer they are the columns of its weight.
#[derive(Clone)]
pub struct Start {
    /// For each value, its tangents if they are known and read by a node that is not done.
    known: Vec<Option<HostRows>>,
    /// For each node, whether it is done.
    done: Vec<bool>,
}

/// Which features of a value matter to the nodes that read it.
#[derive(Clone)]
enum Demand {
    Nothing,
    Some(Vec<bool>),
    All,
}

impl Demand {
    fn add(&mut self, other: Option<Vec<bool>>) {
        *self = match (std::mem::replace(self, Self::All), other) {
            (Self::All, _) | (_, None) => Self::All,
            (Self::Nothing, Some(other)) => Self::Some(other),
            (Self::Some(mut own), Some(other)) => {
                own.iter_mut().zip(other).for_each(|(a, b)| *a |= b);
                Self::Some(own)
            }
        };
    }

    fn flags(&self) -> Option<&[bool]> {
        match self {
            Self::Some(flags) => Some(flags),
            _ => None,
        }
    }
}

impl HostGraph {
    /// The host operators for a network in plain terms. A scale and shift per channel that follows a convolution or linear
    /// layer, and is all that reads it, is folded into its weights.
    pub fn new(mut plain: PlainGraph) -> Self {
        enlargements(&mut plain);
        let mut readers = vec![0usize; plain.nodes.len() + 1];
        plain.nodes.iter().flat_map(|n| &n.inputs).for_each(|v| readers[*v] += 1);
        readers[plain.output] += 1;
        let mut graph = Self { nodes: Vec::new(), width: plain.width, output: 0, last_use: Vec::new() };
        // What each value of the plain graph is here, and whether nothing else reads it.
        let mut number = vec![(0, readers[0] == 1)];
        for (i, node) in plain.nodes.into_iter().enumerate() {
            let mut inputs: Vec<(usize, bool)> = node.inputs.iter().map(|v| number[*v]).collect();
            for map in node.map {
                let made = graph.push(rule(map), &inputs);
                inputs = vec![(made, true)];
            }
            let made = inputs.first().map_or(0, |(v, _)| *v);
            number.push((made, readers[i + 1] == 1));
        }
        graph.output = number[plain.output].0;
        graph.finished()
    }

    /// Adds a node that reads `inputs` (each with whether nothing else reads it) or folds it into the one before, and
    /// returns the value that it makes.
    fn push(&mut self, operator: Box<dyn HostOperator>, inputs: &[(usize, bool)]) -> usize {
        if let ([(input, true)], Some((scale, shift))) = (inputs, operator.affine())
            && *input > 0
            && self.nodes[input - 1].operator.fold(scale, shift)
        {
            return *input;
        }
        let before: Vec<usize> = inputs.iter().map(|(v, _)| self.features_of(*v)).collect();
        let live = inputs.iter().any(|(v, _)| self.is_live(*v));
        let features = operator.features(&before);
        self.nodes.push(Node { operator, inputs: inputs.iter().map(|(v, _)| *v).collect(), live, features });
        self.nodes.len()
    }

    fn finished(mut self) -> Self {
        self.last_use = vec![0; self.nodes.len() + 1];
        for (i, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|v| self.last_use[*v] = i);
        }
        self.last_use[self.output] = usize::MAX;
        self
    }

    /// A network; `None` if one of its nodes cannot be put in plain terms.
    pub fn of_network(network: &Network, parameters: &HostParameters) -> Option<Self> {
        network.plain(parameters).map(Self::new)
    }

    /// A graph of a single node that takes `width` features.
    pub fn of(operator: Box<dyn HostOperator>, width: usize) -> Self {
        let mut graph = Self { nodes: Vec::new(), width, output: 1, last_use: Vec::new() };
        graph.push(operator, &[(0, true)]);
        graph.finished()
    }

    /// Number of features that enter the graph.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of features that leave the graph.
    pub fn features(&self) -> usize {
        self.features_of(self.output)
    }

    fn features_of(&self, value: usize) -> usize {
        if value == 0 { self.width } else { self.nodes[value - 1].features }
    }

    fn is_live(&self, value: usize) -> bool {
        value == 0 || self.nodes[value - 1].live
    }

    /// The values `[features]` that leave the graph for x (`[width]`), and the linearisation that
    /// [`tangent`](Self::tangent) needs.
    pub fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let mut point = Linearisation::default();
        let mut slots: Vec<Vec<f32>> = vec![Vec::new(); self.nodes.len() + 1];
        slots[0] = x.to_vec();
        for (i, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<&[f32]> = node.inputs.iter().map(|v| slots[*v].as_slice()).collect();
            let (y, inner) = node.operator.value(&inputs);
            point.inner.push(inner);
            slots[i + 1] = y;
            node.inputs.iter().filter(|v| self.last_use[**v] == i).for_each(|v| slots[*v] = Vec::new());
        }
        (std::mem::take(&mut slots[self.output]), point)
    }

    /// The values `[n, features]` that leave the graph for each row of `x`, `[n, width]`. A row of the result depends on that
    /// row of x alone, and so do its bits.
    pub fn values(&self, x: &[f32]) -> Vec<f32> {
        let blocks: Vec<&[f32]> = x.chunks((self.width * BLOCK).max(1)).collect();
        blocks.par_iter().flat_map_iter(|x| self.block(x, x.len() / self.width)).collect()
    }

    /// The values for `count` samples, one in each lane.
    fn block(&self, x: &[f32], count: usize) -> Vec<f32> {
        let mut slots: Vec<Option<HostRows>> = vec![None; self.nodes.len() + 1];
        slots[0] = Some(HostRows::directions(x, count));
        for (i, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<HostRows> = self.taken(i, node, &mut slots).into_iter().flatten().collect();
            slots[i + 1] = Some(match inputs.is_empty() {
                true => HostRows::constant(&node.operator.value(&[]).0, count),
                false => node.operator.values(inputs),
            });
        }
        slots[self.output].as_ref().map_or(Vec::new(), HostRows::columns)
    }

    /// The tangents that leave the graph, from those of `start`. First it traces the wanted features back through the
    /// nodes, so that no node computes a row that no later one reads.
    pub fn tangent(&self, point: &Linearisation, start: &Start, wanted: Option<&[bool]>) -> HostRows {
        let demands = self.demands(point, start, wanted);
        let mut slots = start.known.clone();
        for (i, node) in self.nodes.iter().enumerate().filter(|(i, n)| n.live && !start.done[*i]) {
            let inputs = self.taken(i, node, &mut slots);
            slots[i + 1] = Some(node.operator.tangent(&point.inner[i], inputs, demands[i + 1].flags()));
        }
        #[allow(clippy::expect_used)]
        // What does not depend on the input has no geometry, and is refused when it is read.
        slots[self.output].take().expect("the output depends on the input")
    }

    /// The tangents of a node's inputs; those that no later node reads are taken out of their slots.
    fn taken(&self, i: usize, node: &Node, slots: &mut [Option<HostRows>]) -> Vec<Option<HostRows>> {
        let take = |(at, v): (usize, &usize)| {
            let last = self.last_use[*v] == i && !node.inputs[at + 1..].contains(v);
            if last { slots[*v].take() } else { slots[*v].clone() }
        };
        node.inputs.iter().enumerate().map(take).collect()
    }

    /// For each value, which of its features the nodes that are not done read.
    fn demands(&self, point: &Linearisation, start: &Start, wanted: Option<&[bool]>) -> Vec<Demand> {
        let mut demands = vec![Demand::Nothing; self.nodes.len() + 1];
        demands[self.output].add(wanted.map(<[bool]>::to_vec));
        for (i, node) in self.nodes.iter().enumerate().rev().filter(|(i, n)| n.live && !start.done[*i]) {
            for (at, v) in node.inputs.iter().enumerate() {
                if start.known[*v].is_none() && self.is_live(*v) {
                    let asked = demands[i + 1].flags();
                    let mut flags = node.operator.wanted(&point.inner[i], at, asked);
                    // A rearrangement may end before the features that it leaves out.
                    flags.iter_mut().for_each(|flags| flags.resize(self.features_of(*v), false));
                    demands[*v].add(flags);
                }
            }
        }
        demands
    }

    /// Pushes the tangents t of the input through all nodes that are linear and read only such values.
    pub fn start(&self, t: HostRows) -> Start {
        let mut start = Start { known: vec![None; self.nodes.len() + 1], done: vec![false; self.nodes.len()] };
        start.known[0] = Some(t);
        let none = Linearisation::default();
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, n)| n.live) {
            let known = |v: &usize| start.known[*v].is_some() || !self.is_live(*v);
            if node.operator.is_linear() && node.inputs.iter().all(known) {
                let inputs = node.inputs.iter().map(|v| start.known[*v].clone()).collect();
                start.known[i + 1] = Some(node.operator.tangent(&none, inputs, None));
                start.done[i] = true;
            }
        }
        let mut read = vec![false; self.nodes.len() + 1];
        read[self.output] = true;
        for (node, _) in self.nodes.iter().zip(&start.done).filter(|(_, done)| !**done) {
            node.inputs.iter().for_each(|v| read[*v] = true);
        }
        start.known.iter_mut().zip(read).filter(|(_, read)| !read).for_each(|(known, _)| *known = None);
        start
    }

    /// The tangents t of the input as they are, for [`tangent`](Self::tangent) to push through all nodes.
    pub fn entering(&self, t: HostRows) -> Start {
        let mut start = Start { known: vec![None; self.nodes.len() + 1], done: vec![false; self.nodes.len()] };
        start.known[0] = Some(t);
        start
    }

    /// The largest number of rows of tangents that are alive at once on the way through the graph.
    pub fn peak_rows(&self) -> usize {
        let (mut alive, mut peak) = (self.width, self.width);
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, n)| n.live) {
            let mut inputs: Vec<usize> = node.inputs.iter().copied().filter(|v| self.is_live(*v)).collect();
            inputs.sort_unstable();
            inputs.dedup();
            let before: usize = inputs.iter().map(|v| self.features_of(*v)).sum();
            peak = peak.max(alive - before + node.operator.peak_rows(before));
            let ended = inputs.iter().filter(|v| self.last_use[**v] == i);
            alive = alive + node.features - ended.map(|v| self.features_of(*v)).sum::<usize>();
        }
        peak
    }
}
