//! The finished graph: nodes with the keys of a graph file, and named tensors.

use super::MAX_NODES;
use super::build::Source;
use super::kind::Kind;
use super::simplify::Graph;
use super::tensor::Constant;
use crate::limits;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What a model was lowered to.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// Inputs of the graph: the latent.
    pub inputs: Vec<Input>,
    /// Nodes in order.
    pub nodes: Vec<Node>,
    /// The number of the output: inputs are counted first, then nodes.
    pub output: usize,
    /// Tensors by name, each with its shape.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Index vectors by name, each with its shape.
    pub indices: BTreeMap<String, (Vec<usize>, Vec<i32>)>,
    /// What became of the file's nodes.
    pub report: Report,
    /// Where values of the file are in the graph, if all were kept.
    pub trace: Vec<Trace>,
}

/// An input of the graph.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A node of the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name of the file's node that it comes from.
    pub name: String,
    /// Operator of that node.
    pub operator: String,
    /// Its kind.
    pub kind: &'static str,
    /// Numbers of the values it reads.
    pub inputs: Vec<usize>,
    /// Shape of what it makes.
    pub shape: Vec<usize>,
    /// The other keys of its kind.
    pub keys: Map<String, Json>,
}

/// What became of a file's nodes.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Nodes of the file that the output needs.
    pub read: usize,
    /// Of those, nodes that do not depend on the latent.
    pub folded: usize,
    /// How often each fusion applied, of those that did.
    pub fused: BTreeMap<&'static str, usize>,
    /// Nodes of the graph by kind.
    pub left: BTreeMap<&'static str, usize>,
    /// What a user should know.
    pub warnings: Vec<String>,
}

/// Where a value of the file is in the graph.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The value's name in the file.
    pub value: String,
    /// The node that makes it.
    pub node: String,
    /// That node's operator.
    pub operator: String,
    /// The number of the value in the graph.
    pub id: usize,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Lowered {
    /// The contents of a graph file.
    pub fn to_json(&self) -> Json {
        let node = |n: &Node| {
            let mut map = Map::new();
            map.insert("name".into(), json!(n.name));
            map.insert("kind".into(), json!(n.kind));
            map.insert("inputs".into(), json!(n.inputs));
            map.insert("shape".into(), json!(n.shape));
            map.extend(n.keys.clone());
            Json::Object(map)
        };
        let input = |i: &Input| json!({ "name": i.name, "shape": i.shape });
        json!({
            "format": 1,
            "inputs": self.inputs.iter().map(input).collect::<Vec<_>>(),
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "output": self.output,
        })
    }
}

/// Gives every tensor its name and every node its keys.
///
/// # Errors
/// Text for a message, if there are too many nodes or a tensor is not finite.
pub(super) fn finish(
    graph: Graph,
    sources: &[Source],
    input: Input,
    warnings: Vec<String>,
    trace: Vec<Trace>,
    mut report: Report,
) -> Result<Lowered, String> {
    if graph.nodes.len() > MAX_NODES && trace.is_empty() {
        return Err(format!("{} nodes are left of the graph, at most {MAX_NODES} are run", graph.nodes.len()));
    }
    let mut names = Names { warnings, ..Names::default() };
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in graph.nodes {
        let source = sources.get(node.source).cloned().unwrap_or_default();
        let kind = node.kind.name();
        *report.left.entry(kind).or_default() += 1;
        let mut keys = Map::new();
        if let Some((index, shape)) = node.kind.index() {
            keys.insert("index".into(), json!(names.index(index, shape, &source.name)));
        }
        for (role, constant, shape) in node.kind.tensors() {
            keys.insert(role.into(), json!(names.tensor(constant, shape, &source.name, role)?));
        }
        keys.extend(names.bounded(node.kind, &source.name)?.keys());
        nodes.push(Node {
            name: source.name.to_string(),
            operator: source.operator.to_string(),
            kind,
            inputs: node.inputs,
            shape: node.shape,
            keys,
        });
    }
    report.warnings = names.warnings;
    let (tensors, indices) = (names.tensors, names.indices);
    Ok(Lowered { inputs: vec![input], nodes, output: graph.output, tensors, indices, report, trace })
}

/// The names of tensors that are given so far.
#[derive(Default)]
struct Names {
    taken: BTreeSet<String>,
    known: HashMap<(usize, Vec<usize>), String>,
    /// Keeps what `known` points at.
    kept: Vec<Constant>,
    known_indices: HashMap<Arc<Vec<i32>>, String>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    indices: BTreeMap<String, (Vec<usize>, Vec<i32>)>,
    warnings: Vec<String>,
}

/// What stands for an infinite number where only its size matters, as in the mask of an attention. Half the largest, so
/// that sums with it stay finite.
const VAST: f32 = f32::MAX / 2.0;

impl Names {
    /// The name of a constant, which is kept under it.
    fn tensor(&mut self, c: &Constant, shape: Vec<usize>, node: &str, role: &str) -> Result<String, String> {
        let shape = match shape.len() {
            0 => vec![1],
            rank if rank > limits::RANK => vec![c.len()],
            _ => shape,
        };
        let key = (Arc::as_ptr(&c.data) as usize, shape);
        if let Some(name) = self.known.get(&key) {
            return Ok(name.clone());
        }
        let name = self.name(c.name.as_deref().map_or(format!("{node}.{role}"), str::to_owned));
        let mut values = c.as_floats().into_owned();
        if let Some(at) = values.iter().position(|v| v.is_nan()) {
            return Err(format!("tensor \"{name}\": value {at} is NaN, expected finite numbers"));
        }
        if let Some(at) = values.iter().position(|v| v.is_infinite()) {
            if !matches!(role, "shift" | "key") {
                return Err(format!("tensor \"{name}\": value {at} is infinite, expected finite numbers"));
            }
            values.iter_mut().filter(|v| v.is_infinite()).for_each(|v| *v = VAST.copysign(*v));
            self.warn_vast(node);
        }
        self.tensors.insert(name.clone(), (key.1.clone(), values));
        self.known.insert(key, name.clone());
        self.kept.push(c.clone());
        Ok(name)
    }

    fn warn_vast(&mut self, node: &str) {
        self.warnings.push(format!("node \"{}\": infinite numbers became {VAST:e}", node.escape_debug()));
    }

    /// The name of an index vector, which is kept under it.
    fn index(&mut self, index: &Arc<Vec<i32>>, shape: Vec<usize>, node: &str) -> String {
        if let Some(name) = self.known_indices.get(index).filter(|name| self.indices[*name].0 == shape) {
            return name.clone();
        }
        let name = self.name(format!("{node}.index"));
        self.indices.insert(name.clone(), (shape, index.to_vec()));
        self.known_indices.insert(index.clone(), name.clone());
        name
    }

    /// The kind with numbers that a graph file can hold.
    fn bounded(&mut self, kind: Kind, node: &str) -> Result<Kind, String> {
        match kind {
            Kind::Rearrange { fill, .. } if fill.is_nan() => {
                Err(format!("node \"{}\" fills with values that are NaN", node.escape_debug()))
            }
            Kind::Rearrange { index, fill } if fill.is_infinite() => {
                self.warn_vast(node);
                Ok(Kind::Rearrange { index, fill: VAST.copysign(fill) })
            }
            other => Ok(other),
        }
    }

    /// A name like `wanted` that is printable, short enough and not taken.
    fn name(&mut self, wanted: String) -> String {
        let plain = |c: char| if (' '..='~').contains(&c) { c.to_string() } else { c.escape_default().to_string() };
        let mut name: String = wanted.chars().map(plain).collect();
        name.truncate(limits::NAME_BYTES - 12);
        if name.is_empty() || name == "__metadata__" {
            name = "tensor".to_owned();
        }
        let mut unique = name.clone();
        let mut number = 1;
        while !self.taken.insert(unique.clone()) {
            number += 1;
            unique = format!("{name}.{number}");
        }
        unique
    }
}
