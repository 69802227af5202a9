//! What a generator is trained on: pictures, or showers as scores.

use super::TrainConfig;
use super::codes::Codes;
use crate::data::{DataConfig, Dataset, ShowerSet};
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::evaluate::calorimeter::geometry;
use crate::generator::Card;
use crate::nn::Rows;
use crate::store::WeightTensor;
use crate::tensors::rows;
use std::collections::BTreeMap;
use std::path::Path;

/// What the batches of a training are taken from.
pub trait Samples {
    /// How many samples there are.
    fn count(&self) -> usize;

    /// The values of the samples `picked` in a card's range, `[picked, width]`; what is drawn of them follows from
    /// `[seed, step]`.
    fn batch(&self, picked: &[usize], range: [f32; 2], key: [u64; 2], device: &Device) -> Rows;

    /// Classes of the samples `picked`, if they have any.
    fn classes(&self, picked: &[usize]) -> Option<Vec<usize>>;

    /// What a model is given of the samples `picked`.
    fn given(&self, _picked: &[usize]) -> Vec<f32> {
        Vec::new()
    }
}

impl Samples for Dataset {
    fn count(&self) -> usize {
        self.count()
    }

    fn batch(&self, picked: &[usize], range: [f32; 2], _: [u64; 2], device: &Device) -> Rows {
        let values: Vec<f32> = picked.iter().flat_map(|i| self.values(*i, range)).collect();
        let width = values.len() / picked.len().max(1);
        rows(values, width.max(1), device)
    }

    fn classes(&self, picked: &[usize]) -> Option<Vec<usize>> {
        self.classes(picked)
    }
}

/// Pictures as their codes.
pub struct Coded<'a> {
    /// The codes.
    pub codes: Codes,
    /// The pictures.
    pub pictures: &'a Dataset,
}

impl Samples for Coded<'_> {
    fn count(&self) -> usize {
        self.pictures.count()
    }

    fn batch(&self, picked: &[usize], _: [f32; 2], [seed, step]: [u64; 2], device: &Device) -> Rows {
        self.codes.batch(picked, seed, step, device)
    }

    fn classes(&self, picked: &[usize]) -> Option<Vec<usize>> {
        self.pictures.classes(picked)
    }
}

/// A data set of the kind that the card's samples are.
pub enum Source {
    /// Pictures.
    Pictures(Dataset),
    /// Showers in a calorimeter.
    Showers(ShowerSet),
}

impl Source {
    /// Reads the data that a config names below `root`, for the model of `card`.
    ///
    /// # Errors
    /// [`Error::Config`] where data and card are not of one kind; those of reading.
    pub fn read(config: &TrainConfig, root: &Path, card: &Card) -> Result<Self> {
        let (data, is_showers) = (&config.data, config.data.kind == "showers");
        match &card.raw.showers {
            Some(showers) if is_showers && data.labels.is_none() => {
                let detector = geometry(&showers.geometry).map_err(|e| card.at(e.inside("showers")))?;
                Ok(Self::Showers(ShowerSet::read(&root.join(&data.path), &detector, config.seed)?))
            }
            Some(_) if is_showers => Err(Error::config("data.labels", "expected none; showers have energies")),
            Some(_) => {
                let message =
                    format!("expected \"showers\", as {} has [showers], found \"{}\"", shown(&card.path), data.kind);
                Err(Error::config("data.kind", message))
            }
            None if is_showers => {
                let message = format!("\"showers\" need a card with [showers], found none in {}", shown(&card.path));
                Err(Error::config("data.kind", message))
            }
            None => Ok(Self::Pictures(Dataset::read(data, root, card.sample_shape)?)),
        }
    }

    /// A fingerprint of all of them, in order.
    pub fn sha256(&self) -> String {
        match self {
            Self::Pictures(set) => set.sha256(),
            Self::Showers(set) => set.sha256().to_owned(),
        }
    }

    /// Refuses pictures without classes, or with more of them than the model knows.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn check_classes(&self, config: &DataConfig, known: usize, root: &Path) -> Result<()> {
        let Self::Pictures(set) = self else { return Ok(()) };
        let found = match set.class_count() {
            _ if known == 0 => return Ok(()),
            Some(found) if found <= known => return Ok(()),
            Some(found) => format!("classes up to {}", found - 1),
            None => "no labels".to_owned(),
        };
        let place = root.join(config.labels.as_ref().unwrap_or(&config.path));
        let last = known - 1;
        let message = format!("expected a class from 0 to {last} for each picture, as in the card, found {found}");
        Err(Error::input(place, message))
    }

    /// What is kept beside the weights.
    pub fn tensors(&self) -> BTreeMap<String, WeightTensor> {
        match self {
            Self::Pictures(_) => BTreeMap::new(),
            Self::Showers(set) => set.tables().tensors(),
        }
    }
}

impl Samples for Source {
    fn count(&self) -> usize {
        match self {
            Self::Pictures(set) => set.count(),
            Self::Showers(set) => set.count(),
        }
    }

    fn batch(&self, picked: &[usize], range: [f32; 2], key: [u64; 2], device: &Device) -> Rows {
        match self {
            Self::Pictures(set) => set.batch(picked, range, key, device),
            Self::Showers(set) => {
                let values: Vec<f32> = picked.iter().flat_map(|i| set.scores(*i)).copied().collect();
                let width = values.len() / picked.len().max(1);
                rows(values, width.max(1), device)
            }
        }
    }

    fn classes(&self, picked: &[usize]) -> Option<Vec<usize>> {
        match self {
            Self::Pictures(set) => set.classes(picked),
            Self::Showers(_) => None,
        }
    }

    fn given(&self, picked: &[usize]) -> Vec<f32> {
        match self {
            Self::Pictures(_) => Vec::new(),
            Self::Showers(set) => picked.iter().map(|i| set.place(*i)).collect(),
        }
    }
}
