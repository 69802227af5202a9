//! The order of nodes: each behind those whose values it reads, otherwise as in the file; and which of them are needed.

use super::model::{Attribute, Body, Node};
use std::collections::{BTreeSet, HashMap};

/// All names that a node reads: its inputs, and what its branches take from outside.
pub(super) fn reads(node: &Node) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = node.inputs.iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
    for attribute in node.attributes.values() {
        if let Attribute::Graph(body) = attribute {
            names.extend(free(body));
        }
    }
    names
}

/// Names that a branch reads and does not make.
fn free(body: &Body) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = body.nodes.iter().flat_map(reads).collect();
    names.extend(body.outputs.iter().map(String::as_str));
    for made in body.nodes.iter().flat_map(|n| &n.outputs).chain(body.constants.keys()) {
        names.remove(made.as_str());
    }
    names
}

/// Sorts the nodes so that each stands behind those it reads from.
///
/// # Errors
/// Two nodes that make one value, or nodes that wait for each other, as text for a message.
pub(super) fn sort(nodes: Vec<Node>) -> Result<Vec<Node>, String> {
    let before = sources(&nodes)?;
    let mut done = vec![0u8; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for start in 0..nodes.len() {
        let mut stack = vec![start];
        while let Some(&at) = stack.last() {
            if done[at] == 2 {
                stack.pop();
                continue;
            }
            let waiting: Vec<usize> = before[at].iter().copied().filter(|&b| done[b] != 2).collect();
            if waiting.is_empty() {
                done[at] = 2;
                order.push(at);
                stack.pop();
            } else if done[at] == 1 || waiting.contains(&at) {
                return Err(format!("node \"{}\" waits for its own result", nodes[at].name.escape_debug()));
            } else {
                done[at] = 1;
                stack.extend(waiting);
            }
        }
    }
    let mut slots: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|at| slots[at].take()).collect())
}

/// For each node those that it reads from.
fn sources(nodes: &[Node]) -> Result<Vec<Vec<usize>>, String> {
    let mut maker: HashMap<&str, usize> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            if maker.insert(output, at).is_some() {
                return Err(format!("two nodes make the value \"{}\"", output.escape_debug()));
            }
        }
    }
    Ok(nodes.iter().map(|n| reads(n).into_iter().filter_map(|name| maker.get(name).copied()).collect()).collect())
}

/// Whether each of the sorted `nodes` is needed for the values `wanted`, and all names that are read on the way.
pub(super) fn needed<'a>(nodes: &'a [Node], wanted: &[&'a str]) -> (Vec<bool>, BTreeSet<&'a str>) {
    let mut names: BTreeSet<&str> = wanted.iter().copied().collect();
    let mut marks = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|o| names.contains(o.as_str())) {
            marks[at] = true;
            names.extend(reads(node));
        }
    }
    (marks, names)
}
