//! A network that tells the class of a picture: a folder with a card of the family "classifier" and weights in
//! safetensors. It judges pictures and is no generator.

use super::card::{Provenance, RawWeights};
use super::one_shot::checked_weights;
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::nn::{Network, Parameters, Pass};
use crate::render::Picture;
use crate::store;
use crate::tensors::{host, rows};
use serde::Deserialize;
use std::path::Path;

/// The family of its card.
const FAMILY: &str = "classifier";
/// Pictures of one call.
const BATCH: usize = 16;

/// A classifier's card.
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
    weights: RawWeights,
    layers: Vec<toml::Table>,
}

/// The `[input]` table: what the network sees of a picture.
#[derive(Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Input {
    /// `[channels, height, width]`; a picture of another size is resized bilinearly.
    shape: [usize; 3],
    /// The values of black and of white.
    range: [f32; 2],
}

/// What a classifier makes of pictures.
pub struct Judged {
    /// The last hidden values, `[pictures, width]`.
    pub hidden: Vec<f32>,
    /// Number of hidden values of a picture.
    pub width: usize,
    /// Class probabilities, `[pictures, classes]`.
    pub probabilities: Vec<f32>,
}

/// A network from pictures to scores, one for each class.
pub struct Classifier {
    id: String,
    sha256: String,
    input: Input,
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
        let bad = |key: &str, message: String| Error::config(format!("{}: {key}", shown(&path)), message);
        let raw: toml::Table = store::read_toml(&path)?.0;
        let family = raw.get("family").and_then(toml::Value::as_str).unwrap_or_default();
        if family != FAMILY {
            let message = format!(
                "expected \"{FAMILY}\", found \"{}\"; only such a network tells classes",
                family.escape_debug()
            );
            return Err(bad("family", message));
        }
        let card: ClassifierCard = store::read_toml(&path)?.0;
        if card.format != 1 {
            return Err(bad("format", format!("expected 1, found {}; this card is for another version", card.format)));
        }
        store::check_id(&card.id).map_err(|m| bad("id", m))?;
        card.weights.check().map_err(|m| bad("weights.file", m))?;
        let Input { shape: [channels, height, width], range: [low, high] } = card.input;
        let side = 1..=crate::limits::IMAGE_SIDE_OUT;
        if !(matches!(channels, 1 | 3) && side.contains(&height) && side.contains(&width)) {
            let most = side.end();
            let message =
                format!("expected [1 or 3, height, width] with sides up to {most}, found {:?}", card.input.shape);
            return Err(bad("input.shape", message));
        }
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(bad("input.range", format!("expected [low, high] with low < high, found [{low}, {high}]")));
        }
        let network =
            Network::build(card.layers.clone(), &card.input.shape).map_err(|e| e.at(&format!("{}: ", shown(&path))))?;
        let classes: usize = network.output_shape().iter().product();
        if classes < 2 || network.condition_width() != Ok(None) {
            return Err(bad(
                "layers",
                format!("expected layers that end in a score for each of at least 2 classes, found {classes}"),
            ));
        }
        let specs = network.parameters();
        let weights = checked_weights(&card.weights, &path, &specs, folder)?;
        let parts = serde_json::to_string(&(&card.input, &card.layers, &card.weights.sha256))
            .map_err(|e| Error::Bug(format!("card: {e}")))?;
        Ok(Self {
            id: card.id,
            sha256: store::sha256_hex(parts.as_bytes()),
            input: card.input,
            parameters: Parameters::upload(&specs, &weights, device),
            network,
            device: device.clone(),
        })
    }

    /// The card's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SHA-256 over everything that its answers depend on: input, layers, weights.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.network.output_shape().iter().product()
    }

    /// The class with the greatest score for each picture, counted from 0; `None` where a score is not finite.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn classify(&self, pictures: &[&Picture]) -> Result<Vec<Option<usize>>> {
        let width: usize = self.input.shape.iter().product();
        let mut found = Vec::with_capacity(pictures.len());
        for part in pictures.chunks(BATCH) {
            let seen = part.iter().map(|p| self.seen(p)).collect::<Result<Vec<_>>>()?.concat();
            let pass = Pass::frozen(&self.parameters);
            let scores = host(self.network.forward(rows(seen, width, &self.device), &pass))?;
            found.extend(scores.chunks_exact(self.classes()).map(|s| {
                let best = (0..s.len()).max_by(|a, b| s[*a].total_cmp(&s[*b]));
                best.filter(|_| s.iter().all(|v| v.is_finite()))
            }));
        }
        Ok(found)
    }

    /// The network's last hidden values and class probabilities of each picture: what the last layer with weights reads, and the
    /// softmax of the scores.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn judge(&self, pictures: &[&Picture]) -> Result<Judged> {
        let with_weights = |i: &usize| {
            let mut specs = Vec::new();
            self.network.nodes()[*i].operator.parameters(&mut specs);
            !specs.is_empty()
        };
        let last = (0..self.network.nodes().len()).rev().find(with_weights);
        let hidden = self.network.until(last.map_or(0, |i| self.network.nodes()[i].inputs[0]));
        let (pixels, width) = (self.input.shape.iter().product(), hidden.output_shape().iter().product());
        let mut judged = Judged { hidden: Vec::new(), width, probabilities: Vec::new() };
        for part in pictures.chunks(BATCH) {
            let seen = part.iter().map(|p| self.seen(p)).collect::<Result<Vec<_>>>()?.concat();
            let (pass, seen) = (Pass::frozen(&self.parameters), rows(seen, pixels, &self.device));
            judged.hidden.extend(host(hidden.forward(seen.clone(), &pass))?);
            let scores = host(self.network.forward(seen, &pass))?;
            judged.probabilities.extend(scores.chunks_exact(self.classes()).flat_map(softmax));
        }
        Ok(judged)
    }

    /// The picture's values as the network sees them.
    fn seen(&self, picture: &Picture) -> Result<Vec<f32>> {
        let [channels, height, width] = self.input.shape;
        let own = [picture.height, picture.width];
        let values = picture.to_values([channels, picture.height, picture.width], self.input.range)?;
        if own == [height, width] {
            return Ok(values);
        }
        Ok(values.chunks_exact(own[0] * own[1]).flat_map(|plane| resized(plane, own, [height, width])).collect())
    }
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all: Vec<f64> = scores.iter().map(|s| f64::from(s - top).exp()).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|v| (v / sum) as f32).collect()
}

/// A plane of values resized bilinearly from `[h, w]` to another size: half-pixel centres, repeated edges, nothing
/// blurred before it is made smaller (PyTorch's `interpolate` with `align_corners=False`).
fn resized(plane: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let place = |i: usize, axis: usize| {
        let x = ((i as f32 + 0.5) * from[axis] as f32 / to[axis] as f32 - 0.5).max(0.0);
        let first = (x as usize).min(from[axis] - 1);
        (first, (first + 1).min(from[axis] - 1), x - first as f32)
    };
    let at = |i: usize, j: usize| {
        let ((a, b, u), (c, d, v)) = (place(i, 0), place(j, 1));
        let row = |r: usize| plane[r * from[1] + c] * (1.0 - v) + plane[r * from[1] + d] * v;
        row(a) * (1.0 - u) + row(b) * u
    };
    (0..to[0]).flat_map(|i| (0..to[1]).map(move |j| (i, j))).map(|(i, j)| at(i, j)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_resized_as_pytorch_does() {
        // torch.nn.functional.interpolate(torch.tensor([[[[0., 1.], [2., 4.]]]]), size=(3, 3), mode="bilinear")
        let found = resized(&[0.0, 1.0, 2.0, 4.0], [2, 2], [3, 3]);
        let expected = [0.0, 0.5, 1.0, 1.0, 1.75, 2.5, 2.0, 3.0, 4.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }
}
