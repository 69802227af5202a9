//! Features of pictures: what a network reads off them. A classifier's last hidden values, the output of a network that was
//! imported for nothing else, or the latents that a model's own encoder finds.

use super::attributes::{class_part, softmax};
use super::card::CLASSIFIER;
use super::classifier::{self, BATCH, Opened};
use super::one_shot::{card_parameters, checked_weights};
use super::preprocess::Input;
use super::{Card, FAMILIES};
use crate::device::Device;
use crate::error::{Error, Result, did_you_mean, shown};
use crate::nn::{Network, Parameters, Pass, Rows, ValueId};
use crate::render::Picture;
use crate::store;
use crate::tensors::{host, rows};
use std::path::Path;

/// The family of a network that gives features and nothing else.
pub const ENCODER: &str = "encoder";

/// A network from pictures to features.
pub struct Encoder {
    about: String,
    id: String,
    sha256: String,
    fingerprint: String,
    input: Input,
    /// Whether pictures of another size are refused and not resized.
    own_size: bool,
    network: Network,
    parameters: Parameters,
    device: Device,
    features: Part,
    /// The scores of classes, if it tells them.
    scores: Option<Part>,
    spatial: Option<Part>,
}

/// `width` numbers of a value, from the one at `first` on.
#[derive(Clone, Copy)]
struct Part {
    value: ValueId,
    first: usize,
    width: usize,
}

impl Part {
    fn whole(network: &Network, value: ValueId) -> Self {
        Self { value, first: 0, width: network.shape(value).iter().product() }
    }

    fn of(self, x: Rows) -> Result<Vec<f32>> {
        let all = x.dims()[1];
        host(if all == self.width { x } else { x.narrow(1, self.first, self.width) })
    }
}

/// What an encoder makes of pictures. Each is rows, `[pictures, width]`, with its width.
#[derive(Default)]
pub struct Seen {
    /// The features.
    pub features: (Vec<f32>, usize),
    /// Probabilities of classes, if the network tells classes.
    pub probabilities: Option<(Vec<f32>, usize)>,
    /// Features that keep where something is, if the card names some.
    pub spatial: Option<(Vec<f32>, usize)>,
}

impl Encoder {
    /// Loads what gives features from `folder`: a classifier, an encoder, or the encoder of a model that has one. The card's
    /// family decides.
    ///
    /// # Errors
    /// [`Error::Config`] for the card, or one of a model without an encoder; [`Error::Input`] for weights or a graph that are
    /// missing, damaged, of another shape, not finite, or not the ones the card was written for.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let path = folder.join("card.toml");
        match classifier::family(&path)?.as_str() {
            CLASSIFIER => Self::of_card(folder, &path, true, device),
            ENCODER => Self::of_card(folder, &path, false, device),
            other if FAMILIES.iter().any(|f| f.0 == other) => Self::of_model(&Card::read(&path)?, folder, device),
            other => {
                let known: Vec<&str> = FAMILIES.iter().map(|f| f.0).chain([CLASSIFIER, ENCODER]).collect();
                let message = format!("unknown family \"{}\"{}", other.escape_debug(), did_you_mean(other, known));
                Err(Error::config(format!("{}: family", shown(&path)), message))
            }
        }
    }

    fn of_card(folder: &Path, path: &Path, classes: bool, device: &Device) -> Result<Self> {
        let Opened { id, sha256, input, network, parameters, spatial, outputs } = classifier::open(folder, device)?;
        let output = network.output();
        if classes {
            classifier::check_classes(path, &network)?;
        }
        let part = |(value, width)| Part { value, first: 0, width };
        let find = |s: &super::spatial::Spatial| s.find(&network).map(part).map_err(|e| e.inside("spatial"));
        let found = spatial.as_ref().map(find).transpose().map_err(|e| e.at(&format!("{}: ", shown(path))))?;
        let taken = serde_json::to_string(&spatial).map_err(|e| Error::Bug(format!("card: {e}")))?;
        Ok(Self {
            about: format!("{} of {id}", if classes { "last hidden values" } else { "features" }),
            fingerprint: format!("{classes} {sha256} {taken}"),
            features: Part::whole(&network, if classes { last_hidden(&network) } else { output }),
            scores: classes.then(|| {
                let told = class_part(&outputs, network.shape(output).iter().product());
                Part { value: output, first: told.start, width: told.len() }
            }),
            spatial: found,
            own_size: false,
            device: device.clone(),
            id,
            sha256,
            input,
            network,
            parameters,
        })
    }

    fn of_model(card: &Card, folder: &Path, device: &Device) -> Result<Self> {
        let (network, parameters) = latent_encoder(card, folder, device)?;
        let parts = (&card.raw.sample, &card.raw.encoder, &card.raw.weights.sha256);
        let parts = serde_json::to_string(&parts).map_err(|e| Error::Bug(format!("card: {e}")))?;
        let sha256 = store::sha256_hex(parts.as_bytes());
        Ok(Self {
            about: format!("latents of {}", card.raw.id),
            id: card.raw.id.clone(),
            fingerprint: format!("latent {sha256}"),
            sha256,
            input: Input::plain(card.sample_shape, card.raw.sample.range),
            own_size: true,
            features: Part { value: network.output(), first: 0, width: card.latent_width },
            scores: None,
            spatial: None,
            network,
            parameters,
            device: device.clone(),
        })
    }

    /// The card's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What its features are, in words.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// SHA-256 over everything that its features depend on: input, network, weights.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// All that the results of [`see`](Self::see) depend on beside the pictures and the device.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What it makes of pictures, of one size all of them. Values need not be finite.
    ///
    /// # Errors
    /// [`Error::Key`] for pictures of a size that it does not read, [`Error::Device`].
    pub fn see(&self, pictures: &[&Picture]) -> Result<Seen> {
        let [_, height, width] = self.input.shape;
        let other = |p: &&&Picture| self.own_size && (p.height, p.width) != (height, width);
        if let Some(p) = pictures.iter().find(other) {
            let message = format!(
                "reads pictures of {height}×{width}, as its model makes, found {}×{}; resize them first",
                p.height, p.width
            );
            return Err(Error::key_found("features", &self.id, message));
        }
        let parts: Vec<Part> = [Some(self.features), self.scores, self.spatial].into_iter().flatten().collect();
        let wanted: Vec<ValueId> = parts.iter().map(|p| p.value).collect();
        let mut found: Vec<Vec<f32>> = vec![Vec::new(); parts.len()];
        let size: usize = self.input.shape.iter().product();
        for some in pictures.chunks(BATCH) {
            let seen = some.iter().map(|p| self.input.values(p)).collect::<Result<Vec<_>>>()?.concat();
            let made = self.network.values(rows(seen, size, &self.device), &wanted, &Pass::frozen(&self.parameters));
            for ((found, part), made) in found.iter_mut().zip(&parts).zip(made) {
                found.extend(part.of(made)?);
            }
        }
        let mut found = found.into_iter().zip(parts.iter().map(|p| p.width));
        let mut next = |part: Option<Part>| part.and_then(|_| found.next());
        Ok(Seen {
            features: next(Some(self.features)).unwrap_or_default(),
            probabilities: next(self.scores)
                .map(|(scores, classes)| (scores.chunks_exact(classes).flat_map(softmax).collect(), classes)),
            spatial: next(self.spatial),
        })
    }
}

/// What the last node with a matrix of weights reads: the last hidden values.
fn last_hidden(network: &Network) -> ValueId {
    let matrix = |node: &crate::nn::Node| {
        let mut specs = Vec::new();
        node.operator.parameters(&mut specs);
        specs.iter().any(|s| s.shape.len() > 1)
    };
    network.nodes().iter().rfind(|n| matrix(n)).map_or(0, |n| n.inputs[0])
}

/// The encoder of a model and its weights: from a picture to `2·d` values, the means followed by the log-variances.
///
/// # Errors
/// [`Error::Config`] for a model without one, or one of another width; those of reading the weights.
pub fn latent_encoder(card: &Card, folder: &Path, device: &Device) -> Result<(Network, Parameters)> {
    let Some(network) = card.encoder()? else {
        let message = "missing; only the encoder of a model turns pictures into latents";
        return Err(Error::config(format!("{}: encoder", shown(&card.path)), message));
    };
    let weights = checked_weights(&card.raw.weights, &card.path, &card_parameters(card)?, folder)?;
    let parameters = Parameters::upload(&network.parameters(), &weights, device);
    Ok((network, parameters))
}
