//! What a rule sees: a graph with the readers of each value, and the list of nodes that it writes.

use super::super::kind::Kind;
use super::super::simplify::Graph;
use super::super::tensor::Constant;
use super::super::value::Built;
use crate::limits;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

/// A graph at the start of a round. Values have numbers: 0 is the latent, i + 1 what node i makes.
pub struct Scene<'a> {
    graph: &'a Graph,
    readers: Vec<Vec<usize>>,
    weights: HashMap<usize, usize>,
    /// Entries that index vectors may still take.
    room: Cell<usize>,
}

impl<'a> Scene<'a> {
    /// The graph with its readers looked up.
    pub fn of(graph: &'a Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.nodes.len() + 1];
        let mut weights = HashMap::new();
        let mut indices = 0usize;
        for (at, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| readers[input].push(at));
            for (_, constant, _) in node.kind.tensors() {
                *weights.entry(address(constant)).or_default() += 1;
            }
            indices = indices.saturating_add(node.kind.index().map_or(0, |(index, _)| index.len()));
        }
        let room = Cell::new((limits::INDICES / 2).saturating_sub(indices));
        Self { graph, readers, weights, room }
    }

    /// The node that makes a value; none for the latent.
    pub fn maker(&self, id: usize) -> Option<&'a Built> {
        self.graph.nodes.get(id.checked_sub(1)?)
    }

    /// The kind of the node that makes a value, with its first input.
    pub fn made(&self, id: usize) -> Option<(&'a Kind, usize)> {
        let node = self.maker(id)?;
        Some((&node.kind, *node.inputs.first()?))
    }

    /// Node `at`.
    pub fn node(&self, at: usize) -> Option<&'a Built> {
        self.graph.nodes.get(at)
    }

    /// Number of entries of a value.
    pub fn features(&self, id: usize) -> usize {
        self.graph.features(id)
    }

    /// The nodes that read a value, each as often as it does.
    pub fn readers(&self, id: usize) -> &[usize] {
        self.readers.get(id).map_or(&[], Vec::as_slice)
    }

    /// Whether a value is the graph's output.
    pub fn leaves(&self, id: usize) -> bool {
        self.graph.output == id
    }

    /// Whether node `at` alone reads a value, which is not the latent.
    pub fn only(&self, id: usize, at: usize) -> bool {
        id > 0 && !self.leaves(id) && self.readers(id).iter().all(|&reader| reader == at)
    }

    /// Whether no value of `ids` is read by anything but their own nodes and node `at`.
    pub fn inside(&self, ids: &[usize], at: usize) -> bool {
        let own = |&reader: &usize| reader == at || ids.contains(&(reader + 1));
        ids.iter().all(|&id| id > 0 && !self.leaves(id) && self.readers(id).iter().all(own))
    }

    /// `scale`, `shift` and `x`, if the value is `scale * x + shift` with two numbers.
    pub fn line(&self, id: usize) -> Option<(f64, f64, usize)> {
        let (Kind::Affine { scale, shift, .. }, input) = self.made(id)? else { return None };
        let number = |c: &Option<Constant>, missing: f32| match c {
            Some(c) => c.uniform().map(f64::from),
            None => Some(f64::from(missing)),
        };
        let line = (number(scale, 1.0)?, number(shift, 0.0)?);
        (line.0.is_finite() && line.1.is_finite()).then_some((line.0, line.1, input))
    }

    /// Whether the tensors of several nodes are this one.
    pub fn shared(&self, constant: &Constant) -> bool {
        self.weights.get(&address(constant)).is_some_and(|&count| count > 1)
    }

    /// Whether there is room for an index vector, which is then taken.
    pub fn room(&self, entries: usize) -> bool {
        match self.room.get().checked_sub(entries) {
            Some(left) => {
                self.room.set(left);
                true
            }
            None => false,
        }
    }
}

/// What a value is the square of.
pub fn square_of(scene: &Scene, id: usize) -> Option<usize> {
    let node = scene.maker(id)?;
    match (&node.kind, &node.inputs[..]) {
        (Kind::Unary { function: "power", a: Some(2.0), .. }, [x]) => Some(*x),
        (Kind::Product, [x, y]) if x == y => Some(*x),
        _ => None,
    }
}

fn address(constant: &Constant) -> usize {
    Arc::as_ptr(&constant.data) as usize
}

/// The nodes that are to stand in the place of node `at`. They read values before it and each other.
pub struct Draft {
    at: usize,
    source: usize,
    nodes: Vec<Built>,
}

impl Draft {
    /// An empty list. Its nodes are said to come from the same node of the file as value `from`.
    pub fn new(scene: &Scene, at: usize, from: usize) -> Self {
        Self { at, source: scene.maker(from).map_or(0, |node| node.source), nodes: Vec::new() }
    }

    /// Adds a node, and gives the number of what it makes.
    pub fn add(&mut self, kind: Kind, inputs: Vec<usize>, shape: &[usize]) -> usize {
        self.nodes.push(Built { kind, inputs, shape: shape.to_vec(), source: self.source });
        self.at + self.nodes.len()
    }

    /// Adds a function of each entry.
    pub fn unary(&mut self, function: &'static str, a: Option<f32>, x: usize, shape: &[usize]) -> usize {
        self.add(Kind::Unary { function, a, b: None }, vec![x], shape)
    }

    /// Adds a rearrangement.
    pub fn rearrange(&mut self, index: Vec<i32>, x: usize, shape: &[usize]) -> usize {
        self.add(Kind::Rearrange { index: Some(Arc::new(index)), fill: 0.0 }, vec![x], shape)
    }

    /// The list.
    pub fn done(self) -> Option<Vec<Built>> {
        Some(self.nodes)
    }
}
