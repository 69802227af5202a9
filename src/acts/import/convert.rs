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

/// The graph file for `lowered`: lists of indices are written out, and a convolution with a live weight becomes a
/// rearrangement and a product of matrices.
///
/// # Errors
/// [`Error::Bug`] for a graph that does not keep to its own rules.
pub fn converted(lowered: &Lowered) -> Result<Converted> {
    let mut nodes: Vec<GraphNode> = Vec::with_capacity(lowered.nodes.len());
    let mut values = vec![0];
    for node in &lowered.nodes {
        let inputs: Vec<usize> = node.inputs.iter().map(|v| values[*v]).collect();
        let mut push = |kind: &str, inputs: Vec<usize>, shape: Vec<usize>, keys: Map<String, Value>| {
            nodes.push(GraphNode { name: node.name.clone(), kind: kind.to_owned(), inputs, shape, keys });
            nodes.len()
        };
        let made = match node.kind {
            "conv_live" => {
                let live = Live::of(node)?;
                let columns = push("rearrange", vec![inputs[0]], live.columns_shape(), live.columns_keys());
                push("matmul", vec![inputs[1], columns], node.shape.clone(), live.product_keys())
            }
            kind => push(kind, inputs, node.shape.clone(), keys(node, lowered)?),
        };
        values.push(made);
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
        let Some(([first, second, kh, kw], _)) = weight
            .map(|(shape, v)| (shape.as_slice(), v))
            .and_then(|(s, v)| <&[usize; 4]>::try_from(s).ok().map(|s| (s, v)))
        else {
            return Err(bug("weight of four axes"));
        };
        let groups = keys.get("groups").and_then(Value::as_u64).unwrap_or(1) as usize;
        let channels = if node.kind == "conv" { *first } else { second * groups };
        let sides = match node.shape[..] {
            [.., h, w] if node.shape.len() >= 4 => [h, w],
            [.., w] => [1, w],
            [] => [1, 1],
        };
        keys.insert("kernel".into(), json!([kh, kw]));
        keys.insert("output".into(), json!([channels, sides[0], sides[1]]));
    }
    Ok(keys)
}

/// A convolution whose weight depends on the latent: as a product of matrices, one for each group, of the weight and the
/// values under each of its places.
#[derive(serde::Deserialize)]
struct Live {
    input: [usize; 3],
    kernel: [usize; 4],
    stride: [usize; 2],
    pads: [usize; 4],
    dilation: [usize; 2],
    groups: usize,
    #[serde(skip)]
    sides: [usize; 2],
}

impl Live {
    fn of(node: &Node) -> Result<Self> {
        let bug = |e: serde_json::Error| Error::Bug(format!("node \"{}\": {e}", node.name.escape_debug()));
        let mut live: Self = serde_json::from_value(Value::Object(node.keys.clone())).map_err(bug)?;
        let area: usize = node.shape.iter().product::<usize>() / live.kernel[0].max(1);
        let width = node.shape.last().copied().unwrap_or(1).max(1);
        live.sides = [area / width, width];
        Ok(live)
    }

    /// Channels of the input that one channel of the output reads.
    fn depth(&self) -> usize {
        self.kernel[1]
    }

    /// Length of a column: the values under one place of the kernel.
    fn column(&self) -> usize {
        self.depth() * self.kernel[2] * self.kernel[3]
    }

    fn columns_shape(&self) -> Vec<usize> {
        vec![self.groups, self.column(), self.sides[0] * self.sides[1]]
    }

    fn columns_keys(&self) -> Map<String, Value> {
        let [_, height, width] = self.input;
        let [_, depth, kh, kw] = self.kernel;
        let along = |axis: usize, out: usize, a: usize, side: usize| {
            let at = (out * self.stride[axis] + a * self.dilation[axis]).checked_sub(self.pads[axis])?;
            Some(at).filter(|at| *at < side)
        };
        let mut list = Vec::with_capacity(self.groups * self.column() * self.sides[0] * self.sides[1]);
        for channel in 0..self.groups * depth {
            for place in 0..kh * kw {
                for out in 0..self.sides[0] * self.sides[1] {
                    let y = along(0, out / self.sides[1], place / kw, height);
                    let x = along(1, out % self.sides[1], place % kw, width);
                    list.push(match (y, x) {
                        (Some(y), Some(x)) => ((channel * height + y) * width + x) as i32,
                        _ => -1,
                    });
                }
            }
        }
        Map::from_iter([("index".to_owned(), json!(Index::of(&list)))])
    }

    fn product_keys(&self) -> Map<String, Value> {
        let keys = json!({"batch": self.groups, "m": self.kernel[0] / self.groups, "k": self.column(),
            "n": self.sides[0] * self.sides[1]});
        match keys {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}
