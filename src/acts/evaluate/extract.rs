//! From samples to rows of features.

use super::cache::FeatureCache;
use super::source::{Samples, Source};
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::evaluate::Features;
use crate::generator::{Encoder, find_model, known_models};
use crate::render::Picture;
use std::path::Path;

/// How features are made.
pub enum Extractor {
    /// The rows that were given.
    Given,
    /// The bytes of the pictures, from 0 to 1.
    Pixels,
    /// What a network reads off the pictures, and its name in full.
    Network(Box<Encoder>),
}

/// The features of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted {
    /// Rows of features.
    pub features: Features,
    /// Class probabilities, a row for each sample.
    pub probabilities: Option<Features>,
    /// Features that keep where in a picture something is, a row for each sample.
    pub spatial: Option<Features>,
}

impl Extracted {
    fn plain(features: Features) -> Self {
        Self { features, probabilities: None, spatial: None }
    }

    /// The class of each sample by its greatest probability, if there are any.
    pub fn classes(&self) -> Option<Vec<usize>> {
        let all = self.probabilities.as_ref()?;
        let best = |row: &[f32]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a)));
        Some(all.values.chunks_exact(all.width).map(|row| best(row).unwrap_or(0)).collect())
    }
}

/// Features that are the pictures' own bytes.
const PIXELS: &str = "pixels";

impl Extractor {
    /// The extractor called `name`: `pixels`, or the folder or name of a classifier, an encoder, or a model with an encoder.
    /// Without a name it is what the sources are: rows as they are, pixels of pictures.
    ///
    /// # Errors
    /// [`Error::Key`] at `features`, and those of loading a network.
    pub fn open(name: Option<&str>, sources: &[&Source], device: &Device) -> Result<Self> {
        let given = sources.iter().filter(|s| s.pictures().is_none()).count();
        if given > 0 && given < sources.len() {
            let of =
                |pictures: bool| sources.iter().find(|s| s.pictures().is_some() == pictures).map(|s| shown(&s.path));
            let message = format!(
                "{} holds pictures and {} rows of numbers; give all of one kind",
                of(true).unwrap_or_default(),
                of(false).unwrap_or_default()
            );
            return Err(Error::key("generated", message));
        }
        match (name, given) {
            (None, 0) | (Some(PIXELS), 0) => Ok(Self::Pixels),
            (None, _) => Ok(Self::Given),
            (Some(name), 0) => {
                let here = Path::new(name).join("card.toml").is_file();
                if !here && !known_models().iter().any(|m| m.name == name) {
                    let message = "expected pixels, or the folder of a classifier, an encoder or a model with an encoder, \
                                   with its card.toml";
                    return Err(Error::key_found("features", name, message));
                }
                Ok(Self::Network(Box::new(Encoder::load(&find_model(name)?, device)?)))
            }
            (Some(name), _) => {
                Err(Error::key_found("features", name, "is for pictures; rows of numbers are features as they are"))
            }
        }
    }

    /// What the features are called in reports.
    pub fn name(&self) -> String {
        match self {
            Self::Given => "rows as given".to_owned(),
            Self::Pixels => PIXELS.to_owned(),
            Self::Network(encoder) => encoder.about().to_owned(),
        }
    }

    /// SHA-256 of the network, if there is one.
    pub fn sha256(&self) -> Option<&str> {
        match self {
            Self::Network(encoder) => Some(encoder.sha256()),
            _ => None,
        }
    }

    /// The features of a source; those of a network are taken from the cache, or left there.
    ///
    /// # Errors
    /// [`Error::Device`]; [`Error::Input`] where a feature is not finite.
    pub fn of(&self, source: &Source, cache: &FeatureCache) -> Result<Extracted> {
        match (self, &source.samples) {
            (Self::Network(encoder), Samples::Pictures(pictures)) => {
                let shape = [pictures[0].channels, pictures[0].height, pictures[0].width];
                let subject = format!("{} {shape:?} {}", source.sha256, encoder.fingerprint());
                cache.kept(&subject, pictures.len(), || seen(encoder, pictures, &source.path))
            }
            (_, Samples::Rows(rows)) => Ok(Extracted::plain(rows.clone())),
            (_, Samples::Pictures(pictures)) => {
                let width = pictures[0].pixels.len();
                let values = pictures.iter().flat_map(|p| p.pixels.iter().map(|b| f32::from(*b) / 255.0)).collect();
                Ok(Extracted::plain(Features { values, width }))
            }
        }
    }
}

fn seen(encoder: &Encoder, pictures: &[Picture], path: &Path) -> Result<Extracted> {
    let seen = encoder.see(&pictures.iter().collect::<Vec<_>>())?;
    let rows = |(values, width): (Vec<f32>, usize), what: &str| match values.iter().position(|v| !v.is_finite()) {
        Some(at) => {
            Err(Error::input(path, format!("picture {}: a {what} of {} is not finite", at / width, encoder.id())))
        }
        None => Ok(Features { values, width }),
    };
    Ok(Extracted {
        features: rows(seen.features, "feature")?,
        probabilities: seen.probabilities.map(|p| rows(p, "probability")).transpose()?,
        spatial: seen.spatial.map(|s| rows(s, "spatial feature")).transpose()?,
    })
}
