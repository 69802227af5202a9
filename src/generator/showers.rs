//! Models whose samples are showers in a calorimeter. What such a network makes are scores; the tables beside its weights turn
//! them into energies of voxels ([`Scores`]).

use super::{Card, Generator, Sampler, finish_card};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::calorimeter::{Scores, Showers, geometry};
use crate::noise::{self, Stream};
use crate::store::{self, Weights};
use crate::tensors::{host, rows};
use std::path::Path;
use std::sync::Arc;

/// Showers in one call of the network.
const CALL: usize = 512;

/// What the samples of a generator are.
#[derive(Clone, Debug)]
pub enum Domain {
    /// Pictures.
    Pictures,
    /// Scores of showers of one incident energy.
    Showers {
        /// The tables that turn them into showers.
        scores: Arc<Scores>,
        /// The energy in MeV.
        energy: f64,
    },
}

/// The tables of a card's model.
pub(super) fn scores(card: &Card, weights: &Weights) -> Result<Scores> {
    let Some(showers) = &card.raw.showers else {
        let place = format!("{}: showers", crate::error::shown(&card.path));
        return Err(Error::config(place, "missing; the model makes pictures and no showers"));
    };
    let detector = geometry(&showers.geometry).map_err(|e| card.at(e.inside("showers")))?;
    Scores::read(weights, &detector)
}

/// A model of showers that is given the energy of each.
pub struct ShowerModel {
    sampler: Sampler,
    scores: Scores,
}

impl ShowerModel {
    /// Loads the model in `folder`; the energy of its card, if there is one, is not heeded.
    ///
    /// # Errors
    /// [`Error::Config`] for the card, also of a model that makes pictures; [`Error::Input`] for the weights and tables.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let card = Card::read(&folder.join("card.toml"))?;
        if card.raw.showers.is_none() {
            let place = format!("{}: showers", crate::error::shown(&card.path));
            return Err(Error::config(place, "missing; the model makes pictures and no showers"));
        }
        let (sampler, scores) = Sampler::of_showers(&card, folder, device)?;
        Ok(Self { sampler, scores })
    }

    /// Its tables.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// SHA-256 over card and weights.
    pub fn model_sha256(&self) -> &str {
        self.sampler.model_sha256()
    }

    /// Unguided showers of these energies in MeV, from the noise of the seeds `first`, `first` + 1, …
    ///
    /// # Errors
    /// [`Error::Key`] for an energy that the model does not know; those of the device.
    pub fn showers(
        &mut self,
        energies: &[f64],
        first: u64,
        told: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Showers> {
        energies.iter().try_for_each(|e| self.scores.check(*e))?;
        let width = self.sampler.spec().latent_width;
        let mut scores = Vec::with_capacity(energies.len() * width);
        for (call, energies) in energies.chunks(CALL).enumerate() {
            self.sampler.give(energies.iter().map(|e| self.scores.place(*e)).collect())?;
            let start = first + (call * CALL) as u64;
            let noise = (0..energies.len() as u64).flat_map(|i| noise::normals(0, start + i, Stream::Latent, 0, width));
            let z = rows(noise.collect(), width, self.sampler.device());
            scores.extend(host(self.sampler.generate(z))?);
            told(energies.len())?;
        }
        finite(&scores)?;
        self.scores.showers(&scores, energies)
    }
}

/// Refuses scores that are not finite.
fn finite(scores: &[f32]) -> Result<()> {
    match scores.iter().position(|v| !v.is_finite()) {
        Some(_) => {
            Err(Error::Stopped("the network's answer was not finite; its weights are damaged or not trained".into()))
        }
        None => Ok(()),
    }
}

/// Writes the model in `folder`, which is given the energy of each shower, as a model of showers of one `energy` into `to`: the
/// same weights, and a card that says so. What is measured, learnt and steered is then the map from noise to scores at that
/// energy.
///
/// # Errors
/// [`Error::Config`] for a card of pictures or of one energy; [`Error::Key`] for an energy that the model does not know.
pub fn at_energy(folder: &Path, energy: f64, id: &str, to: &Path) -> Result<()> {
    let (path, card) = (folder.join("card.toml"), Card::read(&folder.join("card.toml"))?);
    let place = |key: &str| format!("{}: {key}", crate::error::shown(&path));
    match &card.raw.showers {
        None => return Err(Error::config(place("showers"), "missing; the model makes pictures and no showers")),
        Some(showers) if showers.energy.is_some() => {
            return Err(Error::config(
                place("showers.energy"),
                "expected none; the model is one of a single energy already",
            ));
        }
        Some(_) => {}
    }
    store::check_id(id).map_err(|m| Error::key("outdir", m))?;
    let file = folder.join(&card.raw.weights.file);
    let bytes = store::read_bounded(&file, crate::limits::WEIGHTS_BYTES)?;
    if store::sha256_hex(&bytes) != card.raw.weights.sha256 {
        return Err(Error::input(file, "another SHA-256 than card.toml says; the file was changed or damaged"));
    }
    scores(&card, &Weights::parse(&file, &bytes)?)?.check(energy)?;
    let text = String::from_utf8_lossy(&store::read_bounded(&path, crate::limits::CONFIG_BYTES)?).into_owned();
    let mut doc: toml_edit::DocumentMut = text
        .parse()
        .map_err(|e: toml_edit::TomlError| Error::config(crate::error::shown(&path), e.message().to_owned()))?;
    doc["id"] = toml_edit::value(id);
    doc["about"] = toml_edit::value(format!("{}; at {energy} MeV", card.raw.about));
    doc["showers"]["energy"] = toml_edit::value(energy);
    let text = finish_card(&doc.to_string(), &path, &card.raw.weights.sha256, None, &[])?;
    store::replace_folder(to, &[("weights.safetensors", &bytes), ("card.toml", text.as_bytes())])
}
