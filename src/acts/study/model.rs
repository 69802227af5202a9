//! The model that a study examines.

use crate::acts::describe::{DescribePlan, Description, Geometry, Inverter, Keys, Measurer, Source, Subject, Tiles};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::Result;
use crate::generator::{self, Generator, Usual, find_model};
use crate::progress::Progress;
use crate::reward::Reward;
use crate::run::{Drive, Work};
use crate::store;
use crate::units::Latents;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A loaded model, with its folder and its device.
pub struct Model {
    /// Its folder.
    pub folder: PathBuf,
    /// The model.
    pub generator: Arc<dyn Generator>,
    /// Name of the device.
    pub device_name: DeviceName,
    /// The device.
    pub device: Device,
}

impl Model {
    /// Loads the model with this name or path.
    ///
    /// # Errors
    /// Those of [`find_model`] and [`generator::load`].
    pub fn load(model: &str, device_name: DeviceName, device: Device) -> Result<Self> {
        let folder = find_model(model)?;
        let generator = generator::load(&folder, &device)?;
        Ok(Self { folder, generator, device_name, device })
    }

    /// The card's id.
    pub fn id(&self) -> &str {
        &self.generator.spec().id
    }

    /// d, the latent's width.
    pub fn latent_width(&self) -> usize {
        self.generator.spec().latent_width
    }

    /// The defaults that suit this model.
    pub fn usual(&self) -> &'static Usual {
        self.generator.spec().usual
    }

    /// The model's own reward, if it has one.
    ///
    /// # Errors
    /// Those of [`Reward::load`].
    pub fn reward(&self) -> Result<Option<Reward>> {
        let there = self.folder.join("reward/card.toml").exists();
        there.then(|| Reward::load(&self.folder, None, &self.generator, &self.device)).transpose()
    }

    /// The inverter, which finds the latents of pictures.
    ///
    /// # Errors
    /// Those of [`Inverter::new`].
    pub fn inverter(&self) -> Result<Inverter> {
        Inverter::new(Arc::clone(&self.generator), &self.folder, None)
    }

    /// Describes latents as `geometry` asks. The tiles are kept in `folder`, so a study that was stopped can continue.
    /// The reward is read only if the estimator or the model rank is left open.
    ///
    /// # Errors
    /// [`Error::Key`](crate::error::Error::Key) of the geometry; errors of the reward, the estimator, the device and
    /// the disk, or a stop.
    pub fn describe(
        &self,
        latents: &Latents,
        geometry: &Geometry,
        folder: &Path,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<Description> {
        let asked = geometry.model_rank.is_some() && geometry.estimator.is_some();
        let reward = if asked { None } else { self.reward()? };
        let subject = Subject::new(self.folder.clone(), Arc::clone(&self.generator), reward, geometry.model_rank)?;
        let keys = Keys { geometry: geometry.clone(), calibrate_on: Some(0), ..Keys::default() };
        let measurer = Measurer::new(subject, Source::of(latents.clone()), &keys, self.device_name)?;
        let label = format!("measuring ({})", measurer.recipe.estimator);
        let tiles = Tiles::open(DescribePlan::new(keys, &measurer), Some(folder))?.with(measurer);
        store::create_dir(folder)?;
        let _lock = store::Lock::exclusive(&folder.join("run.lock"))?;
        tiles.claim()?;
        // A study is continued by its own command, so it leaves no plan and therefore no events.
        let drive = Drive { folder: Some(folder), ..Drive::new(&label, progress, cancel) };
        drive.run(&tiles, &mut *tiles.maker((self.device_name, self.device.clone())))?;
        tiles.description()
    }
}
