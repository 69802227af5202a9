//! From samples to rows of features.

use super::source::{Samples, Source};
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::evaluate::Features;
use crate::generator::Classifier;
use crate::render::Picture;
use std::path::Path;

/// How features are made.
pub enum Extractor {
    /// The rows that were given.
    Given,
    /// The bytes of the pictures, from 0 to 1.
    Pixels,
    /// The last hidden values of a classifier, and its class probabilities.
    Classifier(Box<Classifier>),
}

/// The features of one source.
pub struct Extracted {
    /// Rows of features.
    pub features: Features,
    /// Class probabilities, a row for each sample.
    pub probabilities: Option<Features>,
}

/// Features that are the pictures' own bytes.
const PIXELS: &str = "pixels";

impl Extractor {
    /// The extractor called `name`: `pixels`, or the folder of a classifier. Without a name it is what the sources are: rows as
    /// they are, pixels of pictures.
    ///
    /// # Errors
    /// [`Error::Key`] at `features`, and those of loading a classifier.
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
                let folder = Path::new(name);
                if !folder.join("card.toml").is_file() {
                    let message = "expected pixels, or the folder of a classifier with its card.toml";
                    return Err(Error::key_found("features", name, message));
                }
                Ok(Self::Classifier(Box::new(Classifier::load(folder, device)?)))
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
            Self::Classifier(c) => format!("last hidden values of {}", c.id()),
        }
    }

    /// SHA-256 of the classifier, if there is one.
    pub fn sha256(&self) -> Option<&str> {
        match self {
            Self::Classifier(c) => Some(c.sha256()),
            _ => None,
        }
    }

    /// The features of a source.
    ///
    /// # Errors
    /// [`Error::Device`]; [`Error::Input`] where a feature is not finite.
    pub fn of(&self, source: &Source) -> Result<Extracted> {
        match (self, &source.samples) {
            (Self::Classifier(classifier), Samples::Pictures(pictures)) => judged(classifier, pictures, &source.path),
            (_, Samples::Rows(rows)) => Ok(Extracted { features: rows.clone(), probabilities: None }),
            (_, Samples::Pictures(pictures)) => {
                let width = pictures[0].pixels.len();
                let values = pictures.iter().flat_map(|p| p.pixels.iter().map(|b| f32::from(*b) / 255.0)).collect();
                Ok(Extracted { features: Features { values, width }, probabilities: None })
            }
        }
    }
}

fn judged(classifier: &Classifier, pictures: &[Picture], path: &Path) -> Result<Extracted> {
    let seen = classifier.judge(&pictures.iter().collect::<Vec<_>>())?;
    let rows = |values: Vec<f32>, width: usize, what: &str| match values.iter().position(|v| !v.is_finite()) {
        Some(at) => {
            Err(Error::input(path, format!("picture {}: a {what} of {} is not finite", at / width, classifier.id())))
        }
        None => Ok(Features { values, width }),
    };
    Ok(Extracted {
        features: rows(seen.hidden, seen.width, "feature")?,
        probabilities: Some(rows(seen.probabilities, classifier.classes(), "probability")?),
    })
}
