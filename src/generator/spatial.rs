//! The `[spatial]` table of a classifier's or an encoder's card: which of its maps keep where in the picture something is.
//! sFID (arXiv 2103.03841) takes the first 7 of the 768 channels of a map of Inception, 17 × 17 places each; here it is the
//! first `channels` of whatever map the card names.

use crate::error::{Error, Result, did_you_mean};
use crate::nn::{Network, Node, ValueId};
use serde::{Deserialize, Serialize};

/// Channels that are taken if the card does not say how many, as in the paper.
const CHANNELS: usize = 7;

/// Which map is taken.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Spatial {
    /// The place of a layer in the card, as in `layers[4]`, the key of its tensors, or a node's name in the graph.
    pub layer: String,
    /// How many channels of what it makes, the first.
    #[serde(default)]
    pub channels: Option<usize>,
}

impl Spatial {
    /// The value that the layer makes, and how many of its numbers are taken.
    ///
    /// # Errors
    /// [`Error::Key`] at `layer` or `channels`.
    pub fn find(&self, network: &Network) -> Result<(ValueId, usize)> {
        let keys = |node: &Node| {
            let mut specs = Vec::new();
            node.operator.parameters(&mut specs);
            specs.into_iter().filter_map(|s| Some(s.key.rsplit_once('.')?.0.to_owned())).collect::<Vec<_>>()
        };
        let is = |node: &Node| node.name == self.layer || keys(node).contains(&self.layer);
        let Some(at) = network.nodes().iter().rposition(is) else {
            let known: Vec<String> =
                network.nodes().iter().flat_map(|n| [keys(n), vec![n.name.clone()]].concat()).collect();
            let near = did_you_mean(&self.layer, known.iter().map(String::as_str).collect::<Vec<_>>());
            return Err(Error::key_found("layer", &self.layer, format!("no layer has this place or key{near}")));
        };
        let shape = network.shape(at + 1);
        let own = shape.strip_prefix(&[1]).filter(|own| own.len() == 3).unwrap_or(shape);
        let &[channels, height, width] = own else {
            let message = format!("expected a layer that makes [channels, height, width], found {shape:?}");
            return Err(Error::key_found("layer", &self.layer, message));
        };
        let taken = self.channels.unwrap_or(CHANNELS.min(channels));
        if taken == 0 || taken > channels {
            return Err(Error::key("channels", format!("expected 1 to {channels}, found {taken}")));
        }
        Ok((at + 1, taken * height * width))
    }
}
