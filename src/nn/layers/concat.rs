//! Several branches that read the same input, their outputs side by side along the channels. An empty branch is the
//! input itself, which makes the layer a skip connection.

use crate::error::{Error, Result};
use crate::nn::operators::Concat;
use crate::nn::{Build, Builder, LayerKind, ValueId, parse_layer};
use std::sync::Arc;

pub const KIND: LayerKind = LayerKind {
    name: "concat",
    about: "outputs of branches side by side along the channels; an empty branch is the input; keys: branches = [[layers], …]",
    build: Build::Nodes(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    branches: Vec<Vec<toml::Table>>,
}

fn build(table: toml::Table, network: &mut Builder, from: ValueId) -> Result<ValueId> {
    let c: Config = parse_layer(table)?;
    let branches = c.branches.into_iter().enumerate();
    let ends: Vec<ValueId> =
        branches.map(|(i, b)| network.layers(b, from, &format!("branches[{i}]"))).collect::<Result<_>>()?;
    let shapes: Vec<&[usize]> = ends.iter().map(|end| network.shape(*end)).collect();
    let Some(first) = shapes.first() else {
        return Err(Error::key("branches", "expected at least one branch, found none"));
    };
    if let Some(odd) = shapes.iter().find(|s| s.len() != first.len() || s[1..] != first[1..]) {
        let message = format!("expected equal sizes after the channels, found {first:?} and {odd:?}");
        return Err(Error::key("branches", message));
    }
    let mut shape = first.to_vec();
    shape[0] = shapes.iter().map(|s| s[0]).sum();
    network.push(Arc::new(Concat::new(shape, 1)), ends)
}
