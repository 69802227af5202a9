//! From the TOML of a card to layers. Each kind of layer parses its own keys, so no list of all keys exists anywhere.

use super::{Layer, layers::KINDS};
use crate::error::{Error, Result, did_you_mean, explain_toml};
use crate::limits;
use serde::de::DeserializeOwned;

type Constructor = fn(toml::Table, &[usize]) -> Result<Box<dyn Layer>>;

/// A kind of layer: one row of the table [`KINDS`].
pub struct LayerKind {
    /// Its name, as in `kind = "…"` in a card.
    pub name: &'static str,
    /// One line for `isoline list layers`.
    pub about: &'static str,
    /// Builds a layer from its own keys (without `kind`) and checks them against the per-sample input shape.
    pub build: Constructor,
}

/// Reads a layer's keys into its config type.
///
/// # Errors
/// [`Error::Key`] for a key that is unknown (with the nearest known one), missing or of the wrong type.
pub fn parse_layer<C: DeserializeOwned>(table: toml::Table) -> Result<C> {
    C::deserialize(table).map_err(|e| Error::key("", explain_toml(e.message())))
}

/// Checks that the `value` of `key` lies in `range`, both ends included.
///
/// # Errors
/// [`Error::Key`] with the range and the value found.
pub fn check_range(key: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::key(key, format!("expected {} to {}, found {value}", range.start(), range.end())))
}

/// Builds a sequence of layers from the per-sample shape `input`; each gets the output shape of the one before.
///
/// # Errors
/// [`Error::Key`] at the first wrong key, as in `layers[3].out`; `list` is what the list is called there.
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

/// Builds one layer and checks that its output is neither empty nor too large.
fn build_layer(mut table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let name = match table.remove("kind") {
        Some(toml::Value::String(name)) => name,
        Some(other) => return Err(Error::key("kind", format!("expected a string, found {}", other.type_str()))),
        None => return Err(Error::key("kind", "missing; every layer has a kind")),
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
