//! From a card's TOML to layers: each kind parses its own keys.

use super::{Layer, layers::KINDS};
use crate::error::{Error, Result, did_you_mean, explain_toml};
use crate::limits;
use serde::de::DeserializeOwned;

type Build = fn(toml::Table, &[usize]) -> Result<Box<dyn Layer>>;

/// A kind of layer: one row of the table in `layers/mod.rs`.
pub struct LayerKind {
    /// As `kind = "…"` in a card.
    pub name: &'static str,
    /// One line for `isoline list layers`.
    pub about: &'static str,
    /// Parses its own keys and checks them against the per-sample input shape.
    pub build: Build,
}

/// Reads one layer's keys into its config type; unknown keys are refused with the nearest known one.
pub fn parse_layer<C: DeserializeOwned>(table: toml::Table) -> Result<C> {
    C::deserialize(table).map_err(|e| Error::key("", explain_toml(e.message())))
}

/// Refuses a count outside `range`.
pub fn check_range(key: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::key(key, format!("expected {} to {}, found {value}", range.start(), range.end())))
}

/// Builds a list of layers one after another from `input`, under the name `list` in messages.
pub fn build_layers(tables: Vec<toml::Table>, input: &[usize], list: &str) -> Result<Vec<Box<dyn Layer>>> {
    check_range(list, tables.len(), 0..=limits::LAYERS)?;
    let mut shape = input.to_vec();
    let mut built = Vec::with_capacity(tables.len());
    for (i, table) in tables.into_iter().enumerate() {
        let layer = build_layer(table, &shape).map_err(|e| e.inside(&format!("{list}[{i}]")))?;
        shape = layer.output_shape().to_vec();
        built.push(layer);
    }
    Ok(built)
}

fn build_layer(mut table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let name = match table.remove("kind") {
        Some(toml::Value::String(name)) => name,
        Some(other) => return Err(Error::key("kind", format!("expected a string, found {}", other.type_str()))),
        None => return Err(Error::key("kind", "missing; every layer names its kind")),
    };
    let Some(kind) = KINDS.iter().find(|k| k.name == name) else {
        let known: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
        return Err(Error::key("kind", format!("unknown layer \"{name}\"{}", did_you_mean(&name, known))));
    };
    let layer = (kind.build)(table, input)?;
    let size = layer.output_shape().iter().try_fold(1usize, |a, b| a.checked_mul(*b));
    match size {
        Some(n) if n > 0 && n <= 1 << 28 => Ok(layer),
        _ => Err(Error::key("", format!("output shape {:?} is empty or over 2^28 values", layer.output_shape()))),
    }
}
