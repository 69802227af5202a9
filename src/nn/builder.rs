//! From the tables of a card to the nodes of a network. Each kind of layer parses its own keys, so no list of all keys
//! exists anywhere.

use super::{Layer, Network, Node, OneInput, Operator, Pass, Rows, ValueId, layers::KINDS};
use crate::error::{Error, Result, did_you_mean, explain_toml};
use crate::limits;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A kind of layer: one row of the table [`KINDS`].
pub struct LayerKind {
    /// Its name, as in `kind = "…"` in a card.
    pub name: &'static str,
    /// One line for `isoline list layers`.
    pub about: &'static str,
    /// How it is made from its own keys (without `kind`).
    pub build: Build,
}

/// Makes a layer from its keys, for a per-sample shape of its input.
type MakeLayer = fn(toml::Table, &[usize]) -> Result<Box<dyn Layer>>;

/// How a kind of layer is made.
pub enum Build {
    /// A node of one input, checked against the per-sample shape of that input.
    Layer(MakeLayer),
    /// Several nodes, made of other layers, that read the given value. Returns the value they end in.
    Nodes(fn(toml::Table, &mut Builder, ValueId) -> Result<ValueId>),
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

/// The nodes of a network that is being made.
pub struct Builder {
    input: Vec<usize>,
    nodes: Vec<Node>,
    /// Where the layer that is being made stands, as in `layers[3].body[0]`.
    place: String,
}

impl Builder {
    /// An empty network for samples of the shape `input`.
    pub fn new(input: &[usize]) -> Self {
        Self { input: input.to_vec(), nodes: Vec::new(), place: String::new() }
    }

    /// Shape of a value, per sample.
    pub fn shape(&self, value: ValueId) -> &[usize] {
        if value == 0 { &self.input } else { self.nodes[value - 1].operator.output_shape() }
    }

    /// Adds a node that reads `inputs` and returns the value that it makes.
    ///
    /// # Errors
    /// [`Error::Key`] for an output that is empty or too large, or for too many nodes.
    pub fn push(&mut self, operator: Arc<dyn Operator>, inputs: Vec<ValueId>) -> Result<ValueId> {
        let name = self.place.clone();
        self.push_named(operator, inputs, name)
    }

    /// Like [`push`](Self::push), for a node that has a name of its own.
    ///
    /// # Errors
    /// Those of [`push`](Self::push).
    pub fn push_named(&mut self, operator: Arc<dyn Operator>, inputs: Vec<ValueId>, name: String) -> Result<ValueId> {
        let size = operator.output_shape().iter().try_fold(1usize, |a, b| a.checked_mul(*b));
        if !size.is_some_and(|n| n > 0 && n <= limits::VALUE) {
            let message = format!("output shape {:?} is empty or over 2^28 values", operator.output_shape());
            return Err(Error::key("", message));
        }
        if self.nodes.len() >= limits::NODES {
            return Err(Error::key("", format!("expected at most {} nodes in a network", limits::NODES)));
        }
        self.nodes.push(Node { operator, inputs, name });
        Ok(self.nodes.len())
    }

    /// Adds the layers of `tables`, one after another from the value `from`, and returns the value they end in.
    ///
    /// # Errors
    /// [`Error::Key`] at the first wrong key, as in `layers[3].out`; `list` is what the list is called there.
    pub fn layers(&mut self, tables: Vec<toml::Table>, from: ValueId, list: &str) -> Result<ValueId> {
        check_range(list, tables.len(), 0..=limits::LAYERS)?;
        let outer = self.place.clone();
        let mut value = from;
        for (i, table) in tables.into_iter().enumerate() {
            let own = format!("{list}[{i}]");
            self.place = if outer.is_empty() { own.clone() } else { format!("{outer}.{own}") };
            value = self.layer(table, value).map_err(|e| e.inside(&own))?;
        }
        self.place = outer;
        Ok(value)
    }

    fn layer(&mut self, mut table: toml::Table, from: ValueId) -> Result<ValueId> {
        let name = match table.remove("kind") {
            Some(toml::Value::String(name)) => name,
            Some(other) => return Err(Error::key("kind", format!("expected a string, found {}", other.type_str()))),
            None => return Err(Error::key("kind", "missing; every layer has a kind")),
        };
        let Some(kind) = KINDS.iter().find(|k| k.name == name) else {
            let known: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
            return Err(Error::key("kind", format!("unknown layer \"{name}\"{}", did_you_mean(&name, known))));
        };
        match kind.build {
            Build::Layer(build) => {
                let layer = build(table, self.shape(from))?;
                self.push(OneInput::of(layer), vec![from])
            }
            Build::Nodes(build) => build(table, self, from),
        }
    }

    /// What each value is for the input x, the input first.
    pub fn every_value(&self, x: Rows, pass: &Pass) -> Vec<Rows> {
        let mut values = vec![x];
        for node in &self.nodes {
            let inputs = node.inputs.iter().map(|v| values[*v].clone()).collect();
            values.push(node.operator.forward(inputs, pass));
        }
        values
    }

    /// The network that ends in the value `output`.
    pub fn finish(self, output: ValueId) -> Network {
        Network::of_nodes(self.input, self.nodes, output)
    }
}
