//! `graph.json`: a network as a list of nodes, beside the card of a model that was imported.

use super::operators::{Made, OPERATORS};
use super::{Builder, Network, Parameters, Pass, Rows};
use crate::error::{Error, Result, did_you_mean, explain_toml};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeSet;

/// A network as it is written to a file. Values are numbers: 0 is the latent, i + 1 what node i makes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GraphFile {
    /// Version of this format, always 1.
    pub format: u32,
    /// The inputs; there is one, the latent.
    pub inputs: Vec<GraphInput>,
    /// The nodes, each after those it reads.
    pub nodes: Vec<GraphNode>,
    /// The value that is the output.
    pub output: usize,
}

/// An input of a [`GraphFile`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GraphInput {
    /// Its name in the file that the network came from.
    pub name: String,
    /// Its per-sample shape.
    pub shape: Vec<usize>,
}

/// A node of a [`GraphFile`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GraphNode {
    /// Its name in the file that the network came from, for messages.
    pub name: String,
    /// Name of one of [`OPERATORS`].
    pub kind: String,
    /// The values it reads.
    pub inputs: Vec<usize>,
    /// The per-sample shape of what it makes.
    pub shape: Vec<usize>,
    /// The keys of its kind.
    #[serde(flatten)]
    pub keys: serde_json::Map<String, serde_json::Value>,
}

impl GraphFile {
    /// Reads a graph file from its bytes.
    ///
    /// # Errors
    /// [`Error::Key`] for what is no such file, or one of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(bytes).map_err(|e| Error::key("", explain_toml(&e.to_string())))?;
        if file.format != 1 {
            let message = format!("expected 1, found {}; this graph is for another version", file.format);
            return Err(Error::key("format", message));
        }
        Ok(file)
    }

    /// The network.
    ///
    /// # Errors
    /// [`Error::Key`] at the first wrong key, as in `nodes[12].index`, with the node's name.
    pub fn network(&self) -> Result<Network> {
        self.network_within(limits::LATENT_WIDTH)
    }

    /// Like [`network`](Self::network), for an input of at most `most` values, such as a picture.
    ///
    /// # Errors
    /// Those of [`network`](Self::network).
    pub fn network_within(&self, most: usize) -> Result<Network> {
        let [input] = &self.inputs[..] else {
            return Err(Error::key("inputs", format!("expected one input, found {}", self.inputs.len())));
        };
        let size = input.shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b));
        if !size.is_some_and(|n| n > 0 && n <= most) {
            let message = format!("expected 1 to {most} values, found {:?}", input.shape);
            return Err(Error::key("inputs[0].shape", message));
        }
        let (mut builder, indices) = (Builder::new(&input.shape), Cell::new(limits::INDICES));
        for (i, node) in self.nodes.iter().enumerate() {
            let at = |e: Error| e.inside(&format!("nodes[{i}]"));
            self.add(node, i, &indices, &mut builder).map_err(at)?;
        }
        if self.output > self.nodes.len() {
            let message = format!("expected a value from 0 to {}, found {}", self.nodes.len(), self.output);
            return Err(Error::key("output", message));
        }
        if !self.live().contains(&self.output) {
            return Err(Error::key(
                "output",
                "expected a value that depends on the latent; there is nothing to measure",
            ));
        }
        Ok(builder.finish(self.output))
    }

    /// The values that depend on the latent.
    fn live(&self) -> BTreeSet<usize> {
        let mut live = BTreeSet::from([0]);
        for (i, node) in self.nodes.iter().enumerate() {
            if node.inputs.iter().any(|v| live.contains(v)) {
                live.insert(i + 1);
            }
        }
        live
    }

    /// The values of all nodes for the latents x, `[n, d]`: first x itself, then what each node makes. Nothing is left out.
    ///
    /// # Errors
    /// Those of [`network`](Self::network).
    pub fn every_value(&self, x: Rows, parameters: &Parameters) -> Result<Vec<Rows>> {
        let (mut builder, indices) = (Builder::new(&self.inputs[0].shape), Cell::new(limits::INDICES));
        for (i, node) in self.nodes.iter().enumerate() {
            self.add(node, i, &indices, &mut builder).map_err(|e| e.inside(&format!("nodes[{i}]")))?;
        }
        Ok(builder.every_value(x, &Pass::frozen(parameters)))
    }

    fn add(&self, node: &GraphNode, i: usize, indices: &Cell<usize>, builder: &mut Builder) -> Result<()> {
        let Some(kind) = OPERATORS.iter().find(|k| k.name == node.kind) else {
            let known: Vec<&str> = OPERATORS.iter().map(|k| k.name).collect();
            let kind = node.kind.escape_debug();
            return Err(Error::key("kind", format!("unknown kind \"{kind}\"{}", did_you_mean(&node.kind, known))));
        };
        if let Some(later) = node.inputs.iter().find(|v| **v > i) {
            return Err(Error::key("inputs", format!("expected values from 0 to {i}, found {later}")));
        }
        let counted = kind.inputs.map_or(!node.inputs.is_empty(), |n| n == node.inputs.len());
        if !counted {
            let expected = kind.inputs.map_or("at least 1".to_owned(), |n| n.to_string());
            let message = format!("expected {expected} for {}, found {}", kind.name, node.inputs.len());
            return Err(Error::key("inputs", message));
        }
        let size = node.shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b));
        if !size.is_some_and(|n| n > 0 && n <= limits::VALUE) {
            return Err(Error::key("shape", format!("expected 1 to 2^28 values, found {:?}", node.shape)));
        }
        let inputs = node.inputs.iter().map(|v| builder.shape(*v).to_vec()).collect();
        let made = Made { indices, keys: node.keys.clone(), inputs, shape: node.shape.clone() };
        let operator = (kind.build)(made)?;
        builder.push_named(operator, node.inputs.clone(), node.name.clone())?;
        Ok(())
    }
}
