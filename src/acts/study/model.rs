//! The model that a study is of.

use super::Session;
use crate::acts::describe::{Description, Geometry, Inverter};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::{self, Generator, Usual, find_model};
use crate::progress::Progress;
use crate::reward::Reward;
use crate::units::Latents;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A loaded model, and where it lies and computes.
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
    /// The model of that name or path.
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

    /// d
    pub fn latent_width(&self) -> usize {
        self.generator.spec().latent_width
    }

    /// What suits the model where nothing was asked for.
    pub fn usual(&self) -> &'static Usual {
        self.generator.spec().usual
    }

    /// The model's own reward, where there is one.
    ///
    /// # Errors
    /// Those of [`Reward::load`].
    pub fn reward(&self) -> Result<Option<Reward>> {
        let there = self.folder.join("reward/card.toml").exists();
        there.then(|| Reward::load(&self.folder, None, &self.generator, &self.device)).transpose()
    }

    /// What turns its pictures into latents.
    ///
    /// # Errors
    /// Those of [`Inverter::new`].
    pub fn inverter(&self) -> Result<Inverter> {
        Inverter::new(Arc::clone(&self.generator), &self.folder, None)
    }

    /// Describes latents as `geometry` asks, their tiles kept in `folder`; the reward is read only where the estimator or the
    /// model rank is left to it.
    ///
    /// # Errors
    /// [`Error::Key`] of the geometry; those of the reward, the estimator, the device and the disk, or a stop.
    pub fn describe(
        &self,
        latents: &Latents,
        geometry: &Geometry,
        inverter: &Inverter,
        folder: &Path,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<Description> {
        let d = self.latent_width();
        let asked = geometry.model_rank.is_some() && geometry.estimator.is_some();
        let reward = if asked { None } else { self.reward()? };
        let model_rank = geometry.model_rank.or(reward.as_ref().and_then(Reward::map_rank));
        if let Some(k) = model_rank.filter(|k| *k > d) {
            return Err(Error::key("model_rank", format!("expected 1 to {d}, the latent's width, found {k}")));
        }
        let session = Session {
            generator: &*self.generator,
            inverter,
            estimator: geometry.keys().estimator_on(&*self.generator, reward.as_ref()),
            settings: geometry.settings()?,
            complexity: geometry.complexity(d)?,
            model_rank,
            scales: &geometry.scales,
            folder,
            device: self.device_name.class(),
            progress,
            cancel,
        };
        session.describe(latents.values())
    }
}
