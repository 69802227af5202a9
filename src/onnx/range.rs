//! What the end of a graph says of the range of its output.

use super::finish::{Lowered, Node};

/// The range that an activation gives to the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The smallest value.
    pub low: f32,
    /// The largest value.
    pub high: f32,
    /// Which of the graph's nodes is the activation.
    pub node: usize,
}

/// The range that the last activation gives to the output, if affine maps and rearrangements alone come after it.
pub fn of(graph: &Lowered) -> Option<Range> {
    let mut after: Vec<&Node> = Vec::new();
    let mut at = graph.output.checked_sub(graph.inputs.len())?;
    let (mut low, mut high) = loop {
        let node = graph.nodes.get(at)?;
        match activation(node) {
            Some(range) => break range,
            None if !matches!(node.kind, "rearrange" | "affine") => return None,
            None => {
                after.push(node);
                at = node.inputs.first()?.checked_sub(graph.inputs.len())?;
            }
        }
    };
    for node in after.into_iter().rev() {
        match node.kind {
            "affine" => (low, high) = moved(graph, node, low, high),
            _ => {
                if let Some(fill) = node.keys.get("fill").and_then(serde_json::Value::as_f64) {
                    (low, high) = (low.min(fill as f32), high.max(fill as f32));
                }
            }
        }
    }
    Some(Range { low, high, node: at })
}

/// The range of a node that has one by itself.
fn activation(node: &Node) -> Option<(f32, f32)> {
    let number = |key: &str| node.keys.get(key).and_then(serde_json::Value::as_f64).map(|v| v as f32);
    match (node.kind, node.keys.get("function").and_then(serde_json::Value::as_str)) {
        ("unary", Some("tanh" | "erf" | "sin" | "cos" | "softsign")) => Some((-1.0, 1.0)),
        ("unary", Some("sigmoid" | "hard_sigmoid")) => Some((0.0, 1.0)),
        ("unary", Some("clip")) => Some((number("a")?, number("b")?)),
        _ => None,
    }
}

/// A range after an affine map: the union over all its places.
fn moved(graph: &Lowered, node: &Node, low: f32, high: f32) -> (f32, f32) {
    let tensor = |key: &str| {
        let name = node.keys.get(key).and_then(serde_json::Value::as_str)?;
        graph.tensors.get(name).map(|(_, values)| values.as_slice())
    };
    let (scale, shift) = (tensor("scale"), tensor("shift"));
    let count = scale.or(shift).map_or(0, <[f32]>::len);
    let ends = |i: usize| {
        let (s, t) = (scale.map_or(1.0, |s| s[i]), shift.map_or(0.0, |t| t[i]));
        let (a, b) = (s * low + t, s * high + t);
        (a.min(b), a.max(b))
    };
    let all = (0..count).map(ends).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    all.unwrap_or((low, high))
}
