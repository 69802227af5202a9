//! The model of a job, with its reward if it has one. Without a reward there are plain pictures and no numbers.

use super::finisher::Finisher;
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::{self, DEFAULT_MEMORY, Domain, Generator, check_memory};
use crate::reward::reward_folder;
use crate::steer::denoiser::plain;
use crate::steer::{Denoising, Engine, Finished, Starts};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Stands in recipes in place of a reward's hash and of an estimator, where the model has no reward.
pub const NO_REWARD: &str = "absent";

/// A model in memory.
pub struct Subject {
    model: Model,
    /// Models whose denoisers finish its pictures, by name.
    finishers: Mutex<BTreeMap<String, Arc<Finisher>>>,
}

enum Model {
    /// With its reward, so that it can be steered and its samples are measured.
    Taught(Box<Engine>),
    /// The model alone.
    Plain(Arc<dyn Generator>),
}

impl From<Model> for Subject {
    fn from(model: Model) -> Self {
        Self { model, finishers: Mutex::default() }
    }
}

impl Subject {
    /// Loads the model in `folder` with its own reward, or the one of that name. If it has none of its own and nothing
    /// `needs` one, it is loaded alone.
    ///
    /// # Errors
    /// Those of [`Engine::load`].
    pub fn load(folder: &Path, reward: Option<&str>, needs: bool, device: &Device) -> Result<Self> {
        match needs || reward.is_some() || reward_folder(folder, None).join("card.toml").is_file() {
            true => Self::from(Model::Taught(Box::new(Engine::load(folder, reward, device)?))).of_pictures(folder),
            false => Self::alone(folder, device),
        }
    }

    /// Refuses a model whose samples are no pictures.
    fn of_pictures(self, folder: &Path) -> Result<Self> {
        match self.generator().spec().domain {
            Domain::Pictures => Ok(self),
            Domain::Showers { .. } => {
                let message = "makes showers and no pictures; isoline generate-showers writes them";
                Err(Error::input(folder, message))
            }
        }
    }

    /// Loads the model that a recipe was made for: alone if it had no reward then.
    ///
    /// # Errors
    /// Those of [`Engine::load`].
    pub fn of_recipe(recipe: &super::Recipe, folder: &Path, device: &Device) -> Result<Self> {
        match recipe.has_reward() {
            true => Self::load(folder, recipe.reward.as_deref(), true, device),
            false => Self::alone(folder, device),
        }
    }

    fn alone(folder: &Path, device: &Device) -> Result<Self> {
        failpoint!("engine.load").map_err(|e| crate::error::Error::io(folder, "load", e))?;
        Self::from(Model::Plain(generator::load(folder, device)?)).of_pictures(folder)
    }

    /// The model.
    pub fn generator(&self) -> &Arc<dyn Generator> {
        match &self.model {
            Model::Taught(engine) => &engine.generator,
            Model::Plain(generator) => generator,
        }
    }

    /// The model with its reward, if it has one.
    pub fn engine(&self) -> Option<&Engine> {
        match &self.model {
            Model::Taught(engine) => Some(engine),
            Model::Plain(_) => None,
        }
    }

    /// SHA-256 of the reward's card, or [`NO_REWARD`].
    pub fn reward_sha256(&self) -> &str {
        self.engine().map_or(NO_REWARD, |e| &e.reward.sha256)
    }

    /// How samples are measured, as recipes say it.
    pub fn estimator(&self) -> String {
        self.engine().map_or(NO_REWARD.to_owned(), |e| e.reward.quantity.how())
    }

    /// Whether a tile of this size fits into free memory.
    ///
    /// # Errors
    /// [`crate::error::Error::Memory`].
    pub fn check_memory(&self, tile: usize) -> Result<()> {
        match &self.model {
            Model::Taught(engine) => engine.check_memory(tile),
            Model::Plain(generator) => {
                let remedy = "choose a smaller tile, or a machine with more";
                check_memory(generator.spec(), tile, 1, DEFAULT_MEMORY, remedy)
            }
        }
    }

    /// The model called `name`, whose denoiser finishes the pictures of this one; loaded once.
    ///
    /// # Errors
    /// Those of [`Finisher::load`].
    pub fn finisher(&self, name: &str) -> Result<Arc<Finisher>> {
        let mut all = self.finishers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(name) {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(Finisher::load(name, self.generator().device())?);
        all.insert(name.to_owned(), Arc::clone(&found));
        Ok(found)
    }

    /// Whether the device should see tiles of one shape, as [`Engine::needs_whole_tiles`] says.
    pub fn needs_whole_tiles(&self) -> bool {
        !crate::device::is_host(self.generator().device())
    }

    /// Plain pictures of the samples, measured by nothing.
    ///
    /// # Errors
    /// When the device fails or the run is stopped.
    pub fn plain(&self, asked: Option<&Denoising>, starts: &Starts, cancel: &Cancel) -> Result<Vec<Finished>> {
        plain(&**self.generator(), asked, starts, cancel)
    }
}
