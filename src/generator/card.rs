//! `card.toml`: the description of a model, in the model's own folder.

use super::codec::RawDecoder;
use crate::diffusion::DenoiserConfig;
use crate::error::{Error, Result, did_you_mean};
use crate::evaluate::calorimeter::{Scores, geometry};
use crate::limits;
use crate::nn::{GraphFile, Network};
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Families a card may name, each with a description.
pub static FAMILIES: &[(&str, &str)] = &[
    ("gan", "generator of a GAN: noise → picture"),
    ("vae", "decoder of a variational autoencoder"),
    ("autoencoder", "decoder of an autoencoder"),
    ("generator", "any other map from noise to a picture in one pass, as imported from ONNX"),
    ("diffusion", "denoiser of a diffusion model, with the sampler that makes its pictures"),
];

/// The family of networks that judge pictures; their cards are read by [`super::Classifier`].
pub const CLASSIFIER: &str = "classifier";

/// A card as the user wrote it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawCard {
    /// Version of this format: 1, or 2 for a card that may name a graph.
    pub format: u32,
    /// Name of the model and of its folder.
    pub id: String,
    /// Name of one of [`FAMILIES`].
    pub family: String,
    /// A one-line description for people.
    pub about: String,
    /// The latent.
    pub latent: RawLatent,
    /// The picture.
    pub sample: RawSample,
    /// Which map geometry is measured on.
    #[serde(default)]
    pub geometry: RawGeometry,
    /// Where the model comes from.
    pub provenance: Provenance,
    /// The weights file.
    #[serde(default)]
    pub weights: RawWeights,
    /// The layers of the network; none if it is a graph.
    #[serde(default)]
    pub layers: Vec<toml::Table>,
    /// The file of the network's graph, in place of layers.
    #[serde(default)]
    pub graph: Option<RawGraph>,
    /// The encoder, if the model has one.
    #[serde(default)]
    pub encoder: Option<RawEncoder>,
    /// The second stage, for a denoiser of codes.
    #[serde(default)]
    pub decoder: Option<RawDecoder>,
    /// What makes the layers a denoiser. A card has it if and only if its family is "diffusion".
    #[serde(default)]
    pub denoiser: Option<DenoiserConfig>,
    /// What makes the samples showers in a calorimeter instead of pictures.
    #[serde(default)]
    pub showers: Option<RawShowers>,
}

/// The `[showers]` table: samples are scores of showers ([`crate::evaluate::calorimeter::Scores`]), whose tables lie beside
/// the weights.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawShowers {
    /// The detector: a name of [`crate::evaluate::calorimeter::GEOMETRIES`].
    pub geometry: String,
    /// Energy in MeV of every incident particle, for a model of one energy. Without it the model is given an energy for each
    /// sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<f64>,
}

/// The `[latent]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawLatent {
    /// Shape of one latent.
    pub shape: Vec<usize>,
    /// Must be "normal", N(0, I).
    pub prior: String,
}

/// The `[sample]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawSample {
    /// `[channels, height, width]`.
    pub shape: Vec<usize>,
    /// The values of black and of white.
    pub range: [f32; 2],
}

/// Which map geometry is measured on.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Noise → picture values.
    #[default]
    Image,
    /// Noise → input of the last activation.
    Preactivation,
}

/// The `[geometry]` table.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawGeometry {
    /// Which output of the network: the picture, or the input of the last activation.
    #[serde(default)]
    pub output: Output,
}

/// The `[provenance]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The data set.
    pub trained_on: String,
    /// Licence of the weights.
    pub licence: String,
    /// The command or paper that made it.
    pub how: String,
    /// Where the weights were published.
    #[serde(default)]
    pub source: String,
    /// Figures measured on the model, by name.
    #[serde(default)]
    pub figures: toml::Table,
}

/// The `[weights]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawWeights {
    /// Name of a file in the card's folder.
    #[serde(default)]
    pub file: String,
    /// SHA-256 of that file.
    #[serde(default)]
    pub sha256: String,
    /// Tensors of the file that no layer reads are allowed if their name starts with one of these.
    #[serde(default)]
    pub ignore: Vec<String>,
}

/// The `[graph]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawGraph {
    /// Name of a file in the card's folder.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
}

impl RawWeights {
    /// Whether the file is one beside the card; else what is wrong with its name.
    pub(super) fn check(&self) -> Result<(), String> {
        beside(&self.file)
    }
}

/// Whether `file` names a file beside the card; else what is wrong with it.
fn beside(file: &str) -> Result<(), String> {
    if file.contains(['/', '\\']) || file.starts_with('.') {
        return Err(format!("expected the name of a file beside the card, found \"{}\"", file.escape_debug()));
    }
    Ok(())
}

/// The `[encoder]` table: picture → `2·d` values, the means followed by the log-variances.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawEncoder {
    /// The layers of the network.
    pub layers: Vec<toml::Table>,
}

/// A card that has been checked.
#[derive(Clone, Debug)]
pub struct Card {
    /// The card as the user wrote it.
    pub raw: RawCard,
    /// The file it was read from.
    pub path: PathBuf,
    /// `[channels, height, width]`.
    pub sample_shape: [usize; 3],
    /// Number of values in a latent: the product of its shape.
    pub latent_width: usize,
}

impl Card {
    /// Reads and checks `path`.
    ///
    /// # Errors
    /// [`Error::Config`] naming file and key.
    pub fn read(path: &Path) -> Result<Self> {
        let (raw, _) = store::read_toml::<RawCard>(path).map_err(|e| Self::instead(path).unwrap_or(e))?;
        Self::check(raw, path)
    }

    /// What is wrong with a card of no generator, in place of its first key that a generator has not.
    fn instead(path: &Path) -> Option<Error> {
        let raw: toml::Table = store::read_toml(path).ok()?.0;
        (raw.get("family")?.as_str()? == CLASSIFIER).then(|| {
            let message = "this is a classifier, which tells what pictures show and makes none; expected a generator";
            Error::config(format!("{}: family", crate::error::shown(path)), message)
        })
    }

    /// Checks a raw card; `path` is used in messages.
    ///
    /// # Errors
    /// [`Error::Config`] naming file and key.
    pub fn check(raw: RawCard, path: &Path) -> Result<Self> {
        let bad = |key: &str, message: String| Error::config(format!("{}: {key}", crate::error::shown(path)), message);
        if !matches!(raw.format, 1 | 2) {
            let message = format!("expected 1 or 2, found {}; this card is for another version", raw.format);
            return Err(bad("format", message));
        }
        check_network(&raw).map_err(|(key, message)| bad(key, message))?;
        store::check_id(&raw.id).map_err(|m| bad("id", m))?;
        let families: Vec<&str> = FAMILIES.iter().map(|f| f.0).collect();
        if !families.contains(&raw.family.as_str()) {
            return Err(bad(
                "family",
                format!("unknown family \"{}\"{}", raw.family, did_you_mean(&raw.family, families)),
            ));
        }
        if (raw.family == "diffusion") != raw.denoiser.is_some() {
            let message = match raw.denoiser {
                Some(_) => format!("expected family = \"diffusion\" beside it, found \"{}\"", raw.family),
                None => "missing; a diffusion model's card says what its network predicts".to_owned(),
            };
            return Err(bad("denoiser", message));
        }
        match &raw.decoder {
            Some(_) if raw.denoiser.is_none() => {
                return Err(bad("decoder", "expected a [denoiser] of its codes beside it, found none".to_owned()));
            }
            Some(_) if raw.denoiser.as_ref().is_some_and(|d| d.clip) => {
                return Err(bad("denoiser.clip", "expected false beside a [decoder]: codes have no range".to_owned()));
            }
            Some(decoder) => decoder.check(&raw.latent.shape).map_err(|(key, message)| bad(key, message))?,
            None if raw.denoiser.is_some() && raw.latent.shape != raw.sample.shape => {
                let [sample, found] = [&raw.sample.shape, &raw.latent.shape];
                let message = format!(
                    "expected the sample's shape {sample:?}, found {found:?}; a denoiser of codes has a [decoder]"
                );
                return Err(bad("latent.shape", message));
            }
            None => {}
        }
        if raw.latent.prior != "normal" {
            return Err(bad("latent.prior", format!("expected \"normal\", found \"{}\"", raw.latent.prior)));
        }
        let latent_width = raw.latent.shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b)).unwrap_or(0);
        if raw.latent.shape.is_empty() || latent_width == 0 || latent_width > limits::LATENT_WIDTH {
            return Err(bad(
                "latent.shape",
                format!("expected 1 to {} values, found {:?}", limits::LATENT_WIDTH, raw.latent.shape),
            ));
        }
        let sample_shape = <[usize; 3]>::try_from(raw.sample.shape.as_slice())
            .ok()
            .filter(|[c, h, w]| {
                matches!(c, 1 | 3)
                    && (1..=limits::IMAGE_SIDE_OUT).contains(h)
                    && (1..=limits::IMAGE_SIDE_OUT).contains(w)
            })
            .ok_or_else(|| {
                bad(
                    "sample.shape",
                    format!(
                        "expected [1 or 3, height, width] with sides up to {}, found {:?}",
                        limits::IMAGE_SIDE_OUT,
                        raw.sample.shape
                    ),
                )
            })?;
        let [low, high] = raw.sample.range;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(bad("sample.range", format!("expected [low, high] with low < high, found [{low}, {high}]")));
        }
        raw.weights.check().map_err(|m| bad("weights.file", m))?;
        check_showers(&raw).map_err(|(key, message)| bad(key, message))?;
        Ok(Self { raw, path: path.to_owned(), sample_shape, latent_width })
    }

    /// SHA-256 over everything that the map noise → picture and its geometry depend on: latent, sample, geometry,
    /// layers or graph, denoiser, and the hash of the weights. Provenance, the description and the encoder are not part of it,
    /// so a better description does not turn a model into another one.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn model_sha256(&self) -> Result<String> {
        let RawCard { latent, sample, geometry, layers, graph, weights, denoiser, decoder, .. } = &self.raw;
        let mut parts = serde_json::to_string(&(latent, sample, geometry, layers, &weights.sha256))
            .map_err(|e| Error::Bug(format!("card: {e}")))?;
        if let Some(denoiser) = denoiser {
            parts += &serde_json::to_string(denoiser).map_err(|e| Error::Bug(format!("card: {e}")))?;
        }
        if let Some(decoder) = decoder {
            parts += &serde_json::to_string(decoder).map_err(|e| Error::Bug(format!("card: {e}")))?;
        }
        if let Some(graph) = graph {
            parts += &graph.sha256;
        }
        if let Some(showers) = &self.raw.showers {
            parts += &serde_json::to_string(showers).map_err(|e| Error::Bug(format!("card: {e}")))?;
        }
        Ok(store::sha256_hex(parts.as_bytes()))
    }

    /// The network of the card: its layers, or the graph in the file beside it.
    ///
    /// # Errors
    /// [`Error::Config`] for the card, naming the layer's key; [`Error::Input`] for a graph file that is missing, damaged
    /// or not the one the card was written for.
    pub fn network(&self) -> Result<Network> {
        let Some(graph) = &self.raw.graph else {
            return Network::build(self.raw.layers.clone(), &self.raw.latent.shape).map_err(|e| self.at(e));
        };
        graph_file(graph, &self.path, &self.raw.latent.shape, ("latent.shape", limits::LATENT_WIDTH))
    }

    /// The `[denoiser]` table.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none.
    pub fn denoiser(&self) -> Result<&DenoiserConfig> {
        let place = || format!("{}: denoiser", crate::error::shown(&self.path));
        self.raw.denoiser.as_ref().ok_or_else(|| Error::config(place(), "missing; this model is no diffusion model"))
    }

    /// The networks of the card's denoiser.
    ///
    /// # Errors
    /// [`Error::Config`], naming the key.
    pub fn denoiser_parts(&self) -> Result<crate::diffusion::Parts> {
        self.denoiser()?.parts(self.raw.layers.clone(), &self.state_shape()).map_err(|e| self.at(e))
    }

    /// Shape of what the model samples: of codes for a model of two stages, else of the picture.
    pub fn state_shape(&self) -> [usize; 3] {
        match (&self.raw.decoder, &self.raw.latent.shape[..]) {
            (Some(_), &[channels, height, width]) => [channels, height, width],
            _ => self.sample_shape,
        }
    }

    /// The card's encoder, picture → means and log-variances of a code, if it has one.
    ///
    /// # Errors
    /// [`Error::Config`], naming the layer's key, or where it does not end in 2·d values.
    pub fn encoder(&self) -> Result<Option<Network>> {
        let Some(raw) = &self.raw.encoder else { return Ok(None) };
        let encoder =
            Network::build(raw.layers.clone(), &self.sample_shape).map_err(|e| self.at(e.inside("encoder")))?;
        let (ends, expected) = (encoder.output_shape().iter().product::<usize>(), 2 * self.latent_width);
        if ends != expected {
            let place = format!("{}: encoder.layers", crate::error::shown(&self.path));
            let message = format!("expected {expected} values at the end, means and log-variances, found {ends}");
            return Err(Error::config(place, message));
        }
        Ok(Some(encoder))
    }

    /// Adds this card's path to an error about a key.
    pub fn at(&self, e: Error) -> Error {
        e.at(&format!("{}: ", crate::error::shown(&self.path)))
    }
}

/// The network in the graph file that the card at `path` names, for pictures of the shape `input`.
///
/// # Errors
/// [`Error::Config`] for the card, [`Error::Input`] for the file.
pub(super) fn graph_network(graph: &RawGraph, path: &Path, input: &[usize]) -> Result<Network> {
    beside(&graph.file)
        .map_err(|message| Error::config(format!("{}: graph.file", crate::error::shown(path)), message))?;
    graph_file(graph, path, input, ("input.shape", limits::PICTURE_VALUES))
}

/// The network in a graph file beside the card at `path`. It must read as many values as `input` has, the shape under `key`,
/// and at most `most`.
fn graph_file(graph: &RawGraph, path: &Path, input: &[usize], (key, most): (&str, usize)) -> Result<Network> {
    let path = path.with_file_name(&graph.file);
    let bytes = store::read_bounded(&path, limits::GRAPH_BYTES)?;
    let sha256 = store::sha256_hex(&bytes);
    if sha256 != graph.sha256 {
        let message = format!(
            "SHA-256 {sha256}, but card.toml was written for {}; the file was changed or damaged",
            graph.sha256.escape_debug()
        );
        return Err(Error::input(path, message));
    }
    let network = GraphFile::parse(&bytes).and_then(|file| file.network_within(most));
    let network = network.map_err(|e| Error::input(&path, e.to_string()))?;
    let (width, expected) = (network.input_shape().iter().product::<usize>(), input.iter().product::<usize>());
    if width != expected {
        let message = format!("the graph reads {width} values, expected {expected} as in {key}");
        return Err(Error::input(path, message));
    }
    Ok(network)
}

/// Checks that a card has layers or a graph; else the key and what is wrong.
fn check_network(raw: &RawCard) -> Result<(), (&'static str, String)> {
    let Some(graph) = &raw.graph else {
        return match raw.layers.is_empty() {
            true => Err(("layers", "missing; a card lists its layers".to_owned())),
            false => Ok(()),
        };
    };
    if raw.format < 2 {
        return Err(("graph", "expected format = 2 above it".to_owned()));
    }
    if !raw.layers.is_empty() {
        return Err(("layers", "expected none beside a graph".to_owned()));
    }
    if raw.denoiser.is_some() {
        return Err((
            "graph",
            "expected layers, as [denoiser] is there; a graph is a generator of one pass".to_owned(),
        ));
    }
    beside(&graph.file).map_err(|message| ("graph.file", message))
}

/// Checks what a card says about showers; else the key and what is wrong.
fn check_showers(raw: &RawCard) -> Result<(), (&'static str, String)> {
    let given = raw.denoiser.as_ref().map_or(0, |d| d.given);
    let Some(showers) = &raw.showers else {
        return match given {
            0 => Ok(()),
            n => Err((
                "denoiser.given",
                format!("expected [showers], which says what is given, beside it, found {n} alone"),
            )),
        };
    };
    let detector = geometry(&showers.geometry).map_err(|e| ("showers.geometry", e.to_string()))?;
    let (width, found) = (Scores::width(&detector), raw.sample.shape.iter().product::<usize>());
    if width != found {
        let message = format!(
            "expected a shape of {width} values, one for each layer and voxel of {}, found {found}",
            detector.name
        );
        return Err(("sample.shape", message));
    }
    if given != 1 {
        return Err(("denoiser.given", format!("expected 1, the incident energy, found {given}")));
    }
    match showers.energy {
        Some(e) if !(e.is_finite() && e > 0.0) => Err(("showers.energy", format!("expected MeV above 0, found {e}"))),
        _ => Ok(()),
    }
}

/// Completes a draft card: sets `weights.file`, `weights.sha256` and the given parts of the provenance, and leaves
/// everything else, comments included, as it was written.
///
/// # Errors
/// [`Error::Config`] when the draft is not valid TOML.
pub fn finish_card(
    draft: &str,
    place: &Path,
    sha256: &str,
    how: Option<&str>,
    figures: &[(String, f64)],
) -> Result<String> {
    let mut doc: toml_edit::DocumentMut = draft
        .parse()
        .map_err(|e: toml_edit::TomlError| Error::config(crate::error::shown(place), e.message().to_owned()))?;
    doc["weights"].or_insert(toml_edit::table());
    doc["weights"]["file"] = toml_edit::value("weights.safetensors");
    doc["weights"]["sha256"] = toml_edit::value(sha256);
    if let Some(how) = how {
        doc["provenance"]["how"] = toml_edit::value(how);
    }
    if !figures.is_empty() {
        let mut table = toml_edit::InlineTable::new();
        for (name, value) in figures {
            table.insert(name, toml_edit::Value::from((value * 1e6).round() / 1e6));
        }
        doc["provenance"]["figures"] = toml_edit::value(table);
    }
    Ok(doc.to_string())
}
