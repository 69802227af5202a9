//! From the graph that the reader of ONNX leaves to the graph file of a model.

use crate::error::{Error, Result};
use crate::nn::operators::Index;
use crate::nn::{GraphFile, GraphInput, GraphNode};
use crate::onnx::{Lowered, Node};
use serde_json::{Map, Value, json};

/// A graph file, and where the values of the graph it was made from are in it.
pub struct Converted {
    /// The file.
    pub file: GraphFile,
    /// For each value of the lowered graph, its number in the file.
    pub values: Vec<usize>,
}

/// The graph file for `lowered`: lists of indices are written out, and convolutions say the sizes of their results.
///
/// # Errors
/// [`Error::Bug`] for a graph that does not keep to its own rules.
pub fn converted(lowered: &Lowered) -> Result<Converted> {
    let mut nodes: Vec<GraphNode> = Vec::with_capacity(lowered.nodes.len());
    let mut values = vec![0];
    for node in &lowered.nodes {
        let inputs: Vec<usize> = node.inputs.iter().map(|v| values[*v]).collect();
        let (name, kind, shape) = (node.name.clone(), node.kind.to_owned(), node.shape.clone());
        nodes.push(GraphNode { name, kind, inputs, shape, keys: keys(node, lowered)? });
        values.push(nodes.len());
    }
    let input = &lowered.inputs[0];
    let inputs = vec![GraphInput { name: input.name.clone(), shape: input.shape.clone() }];
    let output = values[lowered.output];
    Ok(Converted { file: GraphFile { format: 1, inputs, nodes, output }, values })
}

/// The keys of a node as the file has them.
fn keys(node: &Node, lowered: &Lowered) -> Result<Map<String, Value>> {
    let mut keys = node.keys.clone();
    let bug = |what: &str| Error::Bug(format!("node \"{}\": no {what}", node.name.escape_debug()));
    if let Some(name) = keys.get("index").and_then(Value::as_str).map(str::to_owned) {
        let (shape, list) = lowered.indices.get(&name).ok_or_else(|| bug("index"))?;
        keys.insert("index".into(), json!(Index::of(list)));
        if node.kind == "window_max" {
            keys.insert("width".into(), json!(shape.last().copied().unwrap_or(1)));
        }
    }
    if matches!(node.kind, "conv" | "conv_transpose") {
        let weight = keys.get("weight").and_then(Value::as_str).and_then(|name| lowered.tensors.get(name));
        let Some([first, second, kh, kw]) = weight.and_then(|(shape, _)| <[usize; 4]>::try_from(shape.as_slice()).ok())
        else {
            return Err(bug("weight of four axes"));
        };
        let groups = keys.get("groups").and_then(Value::as_u64).unwrap_or(1) as usize;
        let channels = if node.kind == "conv" { first } else { second * groups };
        keys.insert("kernel".into(), json!([kh, kw]));
        keys.insert("output".into(), json!(planes(node, channels)));
    }
    if node.kind == "conv_live" {
        let channels = keys.get("kernel").and_then(|kernel| kernel.get(0)).and_then(Value::as_u64);
        let channels = channels.ok_or_else(|| bug("kernel"))? as usize;
        keys.insert("output".into(), json!(planes(node, channels)));
    }
    Ok(keys)
}

/// `[channels, height, width]` of what a convolution makes; one of one dimension has height 1.
fn planes(node: &Node, channels: usize) -> [usize; 3] {
    let area = node.shape.iter().product::<usize>() / channels.max(1);
    let width = node.shape.last().copied().unwrap_or(1).max(1);
    let width = if node.shape.len() < 2 { area } else { width };
    [channels, area / width.max(1), width]
}
