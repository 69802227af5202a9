//! Fusions: patterns of nodes that fewer or cheaper ones compute as well, one file each, and their table. They are for
//! speed alone; a graph gives the same values with and without each of them, to rounding. To add one, write its file
//! and put its row into [`FUSIONS`].
//!
//! A rule looks at one node of a graph as it was at the start of a round. It may give a list of nodes to stand in its
//! place, the last of which makes the same value. As every list is right by itself, those of one round fit together in
//! any choice; nodes that nobody reads any more are swept out after it.

mod affine_order;
mod affine_pair;
mod affine_weight;
mod constant_input;
mod conv_transpose;
mod demodulation;
mod factors;
mod gelu;
mod group_norm;
mod layer_norm;
mod live_weight;
mod mish;
mod places;
mod scene;
mod silu;
mod softmax_shift;
mod softplus;
mod sum_factors;
mod twins;

use super::simplify::Graph;
use super::value::Built;
use crate::error::{Error, Result, did_you_mean};
use scene::Scene;
use std::collections::BTreeMap;

/// A fusion: one row of the table [`FUSIONS`].
pub struct Fusion {
    /// Its name, by which it can be left out.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The nodes to stand in the place of one, if it applies there: see [`scene::Draft`].
    rule: fn(&Scene, usize) -> Option<Vec<Built>>,
}

/// Every fusion, in the order in which they are tried.
pub static FUSIONS: &[Fusion] = &[
    twins::FUSION,
    silu::FUSION,
    gelu::FUSION,
    softplus::FUSION,
    mish::FUSION,
    softmax_shift::FUSION,
    layer_norm::FUSION,
    affine_order::FUSION,
    affine_pair::FUSION,
    group_norm::FUSION,
    demodulation::FUSION,
    live_weight::FUSION,
    conv_transpose::FUSION,
    affine_weight::FUSION,
    constant_input::FUSION,
    sum_factors::FUSION,
];

/// Leaves out every fusion.
const ALL: &str = "all";
/// How often a fusion goes through the whole graph at most, and how often all of them take their turns.
const ROUNDS: [usize; 2] = [64, 8];

/// The fusions that are not to be left out.
///
/// # Errors
/// [`Error::Key`] at `unfused` for a name that is in no row of the table.
pub(super) fn chosen(left_out: &[String]) -> Result<Vec<&'static Fusion>> {
    let known = || FUSIONS.iter().map(|f| f.name).chain([ALL]);
    if let Some(name) = left_out.iter().find(|name| known().all(|k| k != **name)) {
        let near = did_you_mean(name, known().collect::<Vec<_>>());
        return Err(Error::key_found("unfused", name, format!("there is no such fusion{near}")));
    }
    let named = |name: &str| left_out.iter().any(|n| n == name);
    Ok(FUSIONS.iter().filter(|f| !named(ALL) && !named(f.name)).collect())
}

/// Applies fusions to a graph that is simplified, until none applies any more. The result is how often each did.
pub(super) fn apply(graph: &mut Graph, fusions: &[&'static Fusion]) -> BTreeMap<&'static str, usize> {
    let mut fused = BTreeMap::new();
    for _ in 0..ROUNDS[1] {
        let mut any = false;
        for fusion in fusions {
            for _ in 0..ROUNDS[0] {
                let count = round(graph, fusion);
                if count == 0 {
                    break;
                }
                graph.simplify();
                *fused.entry(fusion.name).or_default() += count;
                any = true;
            }
        }
        if !any {
            break;
        }
    }
    fused
}

/// Applies a fusion wherever it can be in the graph as it is. The result is at how many nodes.
fn round(graph: &mut Graph, fusion: &Fusion) -> usize {
    let scene = Scene::of(graph);
    let mut found: Vec<Option<Vec<Built>>> = Vec::with_capacity(graph.nodes.len());
    for (at, node) in graph.nodes.iter().enumerate() {
        // Next to one that has just changed it waits for the next round.
        let waits = node.inputs.iter().any(|input| input.checked_sub(1).is_some_and(|i| found[i].is_some()));
        let list = if waits { None } else { (fusion.rule)(&scene, at) };
        found.push(list.filter(|list| sound(list, at)));
    }
    let count = found.iter().flatten().count();
    if count > 0 {
        replace(graph, found);
    }
    count
}

/// Whether all nodes of a list for node `at` read what stands before them.
fn sound(list: &[Built], at: usize) -> bool {
    !list.is_empty() && list.iter().enumerate().all(|(i, node)| node.inputs.iter().all(|&input| input <= at + i))
}

/// Puts the lists in the places of their nodes.
fn replace(graph: &mut Graph, found: Vec<Option<Vec<Built>>>) {
    let mut number = vec![0; graph.nodes.len() + 1];
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (at, (node, list)) in std::mem::take(&mut graph.nodes).into_iter().zip(found).enumerate() {
        let base = nodes.len();
        for mut node in list.unwrap_or_else(|| vec![node]) {
            let place = |input: usize| if input <= at { number[input] } else { base + input - at };
            node.inputs.iter_mut().for_each(|input| *input = place(*input));
            nodes.push(node);
        }
        number[at + 1] = nodes.len();
    }
    graph.nodes = nodes;
    graph.output = number[graph.output];
}

#[cfg(test)]
mod tests;
