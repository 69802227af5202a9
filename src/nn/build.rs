//! From a card's TOML to layers: each kind parses its own keys.

use super::{Layer, layers::KINDS};
use crate::error::{did_you_mean, explain_toml};
use crate::limits;
use serde::de::DeserializeOwned;

type Build = fn(toml::Table, &[usize]) -> Result<Box<dyn Layer>, BuildError>;

/// A kind of layer: one row of the table in `layers/mod.rs`.
pub struct LayerKind {
    /// As `kind = "…"` in a card.
    pub name: &'static str,
    /// One line for `isoline list layers`.
    pub about: &'static str,
    /// Parses its own keys and checks them against the per-sample input shape.
    pub build: Build,
}

/// Why a layer cannot be built: the key below the layer, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    /// Key below the layer's table, as in `kernel` or `body[1].out`; empty for the table itself.
    pub key: String,
    /// Expected, found; advice.
    pub message: String,
}

impl BuildError {
    /// An error at `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }

    /// The same error seen from one table further out.
    pub fn inside(self, outer: &str) -> Self {
        let key = if self.key.is_empty() { outer.to_owned() } else { format!("{outer}.{}", self.key) };
        Self { key, message: self.message }
    }
}

/// Reads one layer's keys into its config type; unknown keys are refused with the nearest known one.
pub fn parse_layer<C: DeserializeOwned>(table: toml::Table) -> Result<C, BuildError> {
    C::deserialize(table).map_err(|e| BuildError::new("", explain_toml(e.message())))
}

/// Refuses a count outside `range`.
pub fn check_range(key: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> Result<(), BuildError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(BuildError::new(key, format!("expected {} to {}, found {value}", range.start(), range.end())))
}

/// Builds a list of layers one after another from `input`, under the name `list` in messages.
pub fn build_layers(tables: Vec<toml::Table>, input: &[usize], list: &str) -> Result<Vec<Box<dyn Layer>>, BuildError> {
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

fn build_layer(mut table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>, BuildError> {
    let name = match table.remove("kind") {
        Some(toml::Value::String(name)) => name,
        Some(other) => return Err(BuildError::new("kind", format!("expected a string, found {}", other.type_str()))),
        None => return Err(BuildError::new("kind", "missing; every layer names its kind")),
    };
    let Some(kind) = KINDS.iter().find(|k| k.name == name) else {
        let known: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
        return Err(BuildError::new("kind", format!("unknown layer \"{name}\"{}", did_you_mean(&name, known))));
    };
    let layer = (kind.build)(table, input)?;
    let size = layer.output_shape().iter().try_fold(1usize, |a, b| a.checked_mul(*b));
    match size {
        Some(n) if n > 0 && n <= 1 << 28 => Ok(layer),
        _ => Err(BuildError::new("", format!("output shape {:?} is empty or over 2^28 values", layer.output_shape()))),
    }
}
