//! A network that tells the class of a picture: a folder with a card of the family "classifier" and weights in
//! safetensors. It judges pictures and is no generator.

use super::attributes::{Attribute, OutputSpec, check_outputs, class_part, read_outputs};
use super::card::{CLASSIFIER, Provenance, RawGraph, RawWeights, graph_network};
use super::one_shot::checked_weights;
use super::preprocess::Input;
use super::spatial::Spatial;
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::nn::{Network, Parameters, Pass};
use crate::render::Picture;
use crate::store;
use crate::tensors::{host, rows};
use serde::Deserialize;
use std::path::Path;

/// Pictures of one call.
pub(super) const BATCH: usize = 16;

/// The card of a classifier, or of an encoder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassifierCard {
    format: u32,
    id: String,
    #[serde(rename = "family")]
    _family: String,
    #[serde(rename = "about")]
    _about: String,
    input: Input,
    #[serde(rename = "provenance")]
    _provenance: Provenance,
    #[serde(default)]
    weights: RawWeights,
    #[serde(default)]
    layers: Vec<toml::Table>,
    #[serde(default)]
    graph: Option<RawGraph>,
    #[serde(default)]
    spatial: Option<Spatial>,
    #[serde(default)]
    outputs: Vec<OutputSpec>,
}

/// A network that reads pictures, as its card describes it, with its weights.
pub(super) struct Opened {
    /// The card's id.
    pub id: String,
    /// SHA-256 over input, network and weights.
    pub sha256: String,
    /// What it sees of a picture.
    pub input: Input,
    /// The network.
    pub network: Network,
    /// Its weights.
    pub parameters: Parameters,
    /// Where its spatial features are, if the card says so.
    pub spatial: Option<Spatial>,
    /// What it tells of a picture, if that is more than one set of classes.
    pub outputs: Vec<OutputSpec>,
}

/// A network from pictures to scores, one for each class.
pub struct Classifier {
    id: String,
    sha256: String,
    input: Input,
    outputs: Vec<OutputSpec>,
    network: Network,
    parameters: Parameters,
    device: Device,
}

impl Classifier {
    /// Loads the classifier in `folder` onto `device`.
    ///
    /// # Errors
    /// [`Error::Config`] for its card; [`Error::Input`] for weights that are missing, damaged, of another shape, not
    /// finite, or not the ones the card was written for.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let path = folder.join("card.toml");
        let family = family(&path)?;
        if family != CLASSIFIER {
            let message = format!(
                "expected \"{CLASSIFIER}\", found \"{}\"; only such a network tells classes",
                family.escape_debug()
            );
            return Err(Error::config(format!("{}: family", shown(&path)), message));
        }
        let Opened { id, sha256, input, network, parameters, outputs, .. } = open(folder, device)?;
        check_classes(&path, &network)?;
        Ok(Self { id, sha256, input, outputs, network, parameters, device: device.clone() })
    }

    /// The card's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SHA-256 over everything that its answers depend on: input, layers, weights.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The number of classes: those of the first output that tells classes, for a card with outputs.
    pub fn classes(&self) -> usize {
        self.class_part().len()
    }

    /// What it tells of a picture; empty for a card without outputs, which tells one set of classes.
    pub fn outputs(&self) -> &[OutputSpec] {
        &self.outputs
    }

    /// Which of the network's last values are the scores of [`classes`](Self::classes).
    fn class_part(&self) -> std::ops::Range<usize> {
        class_part(&self.outputs, self.width())
    }

    /// How many values the network ends in.
    fn width(&self) -> usize {
        self.network.output_shape().iter().product()
    }

    /// The network's last values of pictures, `[pictures, width]`.
    fn scores(&self, pictures: &[&Picture]) -> Result<Vec<f32>> {
        let width: usize = self.input.shape.iter().product();
        let mut scores = Vec::with_capacity(pictures.len() * self.width());
        for part in pictures.chunks(BATCH) {
            let seen = part.iter().map(|p| self.input.values(p)).collect::<Result<Vec<_>>>()?.concat();
            let pass = Pass::frozen(&self.parameters);
            scores.extend(host(self.network.forward(rows(seen, width, &self.device), &pass))?);
        }
        Ok(scores)
    }

    /// What each of the [`outputs`](Self::outputs) says of the pictures.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn attributes(&self, pictures: &[&Picture]) -> Result<Vec<Attribute>> {
        Ok(read_outputs(&self.outputs, &self.scores(pictures)?))
    }

    /// The class with the greatest score for each picture, counted from 0; `None` where a score is not finite.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn classify(&self, pictures: &[&Picture]) -> Result<Vec<Option<usize>>> {
        let best = |s: &[f32]| {
            let s = &s[self.class_part()];
            let best = (0..s.len()).max_by(|a, b| s[*a].total_cmp(&s[*b]));
            best.filter(|_| s.iter().all(|v| v.is_finite()))
        };
        Ok(self.scores(pictures)?.chunks_exact(self.width()).map(best).collect())
    }
}

/// The family that the card at `path` names; empty if it names none.
pub(super) fn family(path: &Path) -> Result<String> {
    let raw: toml::Table = store::read_toml(path)?.0;
    Ok(raw.get("family").and_then(toml::Value::as_str).unwrap_or_default().to_owned())
}

/// Checks that a network ends in a score for each of at least two classes.
pub(super) fn check_classes(path: &Path, network: &Network) -> Result<()> {
    let classes: usize = network.output_shape().iter().product();
    if classes >= 2 {
        return Ok(());
    }
    let message = format!("expected layers that end in a score for each of at least 2 classes, found {classes}");
    Err(Error::config(format!("{}: layers", shown(path)), message))
}

/// Reads the card of a classifier or an encoder in `folder`, and its network and weights.
///
/// # Errors
/// Those of [`Classifier::load`], without what makes it a classifier.
pub(super) fn open(folder: &Path, device: &Device) -> Result<Opened> {
    let path = folder.join("card.toml");
    let bad = |key: &str, message: String| Error::config(format!("{}: {key}", shown(&path)), message);
    let at = |e: Error| e.at(&format!("{}: ", shown(&path)));
    let card: ClassifierCard = store::read_toml(&path)?.0;
    if !matches!(card.format, 1 | 2) {
        return Err(bad("format", format!("expected 1 or 2, found {}; this card is for another version", card.format)));
    }
    store::check_id(&card.id).map_err(|m| bad("id", m))?;
    card.weights.check().map_err(|m| bad("weights.file", m))?;
    card.input.check().map_err(|e| at(e.inside("input")))?;
    let network = match &card.graph {
        Some(graph) if card.layers.is_empty() => graph_network(graph, &path, &card.input.shape)?,
        Some(_) => return Err(bad("layers", "expected none beside a graph".to_owned())),
        None if card.layers.is_empty() => return Err(bad("layers", "missing; a card lists its layers".to_owned())),
        None => Network::build(card.layers.clone(), &card.input.shape).map_err(at)?,
    };
    if network.condition_width() != Ok(None) {
        return Err(bad("layers", "a modulate layer reads a condition, which only a denoiser has".to_owned()));
    }
    if !card.outputs.is_empty() {
        let width = network.output_shape().iter().product();
        check_outputs(&card.outputs, width).map_err(|(key, message)| bad(&key, message))?;
    }
    if card.weights.file.is_empty() && !network.parameters().is_empty() {
        return Err(bad("weights.file", "missing; a draft has none, isoline train-classifier adds it".to_owned()));
    }
    let specs = network.parameters();
    let weights = checked_weights(&card.weights, &path, &specs, folder)?;
    let mut parts = serde_json::to_string(&(&card.input, &card.layers, &card.weights.sha256))
        .map_err(|e| Error::Bug(format!("card: {e}")))?;
    parts.extend(card.graph.as_ref().map(|graph| graph.sha256.as_str()));
    if !card.outputs.is_empty() {
        parts += &serde_json::to_string(&card.outputs).map_err(|e| Error::Bug(format!("card: {e}")))?;
    }
    Ok(Opened {
        id: card.id,
        sha256: store::sha256_hex(parts.as_bytes()),
        input: card.input,
        parameters: Parameters::upload(&specs, &weights, device),
        network,
        spatial: card.spatial,
        outputs: card.outputs,
    })
}
