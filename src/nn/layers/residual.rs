//! A residual block: y = body(x) + shortcut(x), where both are lists of layers. An empty shortcut is the identity; a
//! body that changes the shape needs a shortcut with layers.

use crate::error::{Error, Result};
use crate::nn::operators::Sum;
use crate::nn::{Build, Builder, LayerKind, ValueId, parse_layer};
use std::sync::Arc;

pub const KIND: LayerKind = LayerKind {
    name: "residual",
    about: "body(x) + shortcut(x), the identity where no shortcut is given; keys: body = [layers], shortcut = [layers]",
    build: Build::Nodes(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    body: Vec<toml::Table>,
    #[serde(default)]
    shortcut: Vec<toml::Table>,
}

fn build(table: toml::Table, network: &mut Builder, from: ValueId) -> Result<ValueId> {
    let c: Config = parse_layer(table)?;
    let empty = c.body.is_empty();
    let body = network.layers(c.body, from, "body")?;
    let shortcut = network.layers(c.shortcut, from, "shortcut")?;
    let (shape, other) = (network.shape(body), network.shape(shortcut));
    if empty || shape != other {
        return Err(Error::key("body", format!("expected the shape {other:?} of the shortcut, found {shape:?}")));
    }
    let sum = Sum::new(shape, [1.0; 2]);
    network.push(Arc::new(sum), vec![body, shortcut])
}
