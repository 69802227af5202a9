//! What every study needs: a model, how it is measured, where tiles are kept.

use crate::acts::describe::{DescribePlan, Description, Geometry, Keys, Measurer, Source, Subject, Tiles};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::Result;
use crate::progress::Progress;
use crate::run::{Drive, Work};
use crate::store;
use crate::units::Latents;
use std::path::Path;

/// A model and how it is measured.
pub struct Session<'a> {
    /// The model, and the rank of ψ_k.
    pub subject: Subject,
    /// How it is measured.
    pub geometry: &'a Geometry,
    /// Folder of the study, whose `tiles/` keep what was measured.
    pub folder: &'a Path,
    /// What computes.
    pub device: (DeviceName, Device),
    /// Bars.
    pub progress: &'a Progress,
    /// Signals.
    pub cancel: &'a Cancel,
}

impl Session<'_> {
    /// The latents of seeds, row-major.
    pub fn latents(&self, seeds: &[u64]) -> Vec<f32> {
        Latents::of_seeds(seeds, self.subject.generator.spec().latent_width).into_values()
    }

    /// Spectra, local complexity and descriptors of latents, in a folder that can be gone on with.
    ///
    /// # Errors
    /// Of the estimator, the device and the disk, or a stop.
    pub fn describe(self, latents: &[f32]) -> Result<Description> {
        let d = self.subject.generator.spec().latent_width;
        let source = Source::of(Latents::new(latents.to_vec(), d));
        let keys = Keys { geometry: self.geometry.clone(), calibrate_on: Some(0), ..Keys::default() };
        let measurer = Measurer::new(self.subject, source, &keys, self.device.0)?;
        let label = format!("measuring ({})", measurer.recipe.estimator);
        let tiles = Tiles::open(DescribePlan::new(keys, &measurer), Some(self.folder))?.with(measurer);
        store::create_dir(self.folder)?;
        let _lock = store::Lock::exclusive(&self.folder.join("run.lock"))?;
        tiles.claim()?;
        // A study is gone on with by its own command: it leaves no plan, and so no events.
        let drive = Drive { folder: Some(self.folder), ..Drive::new(&label, self.progress, self.cancel) };
        drive.run(&tiles, &mut *tiles.maker(self.device))?;
        tiles.description()
    }
}
