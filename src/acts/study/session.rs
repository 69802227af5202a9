//! What every study needs: a model, how it is measured, where tiles are kept.

use crate::acts::describe::{DescribeRecipe, Description, Inverter, Measurer, Source};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::generator::Generator;
use crate::geometry::{EstimatorSettings, estimator_with};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::store;
use std::path::Path;

/// A model and how it is measured.
pub struct Session<'a> {
    /// The model.
    pub generator: &'a dyn Generator,
    /// Pictures to latents.
    pub inverter: &'a Inverter,
    /// Name of the estimator.
    pub estimator: String,
    /// Its settings.
    pub settings: EstimatorSettings,
    /// Settings of local complexity.
    pub complexity: EstimatorSettings,
    /// k of ψ_k; from the spectra where absent.
    pub model_rank: Option<usize>,
    /// Scales of the intrinsic dimension.
    pub scales: &'a [f64],
    /// Folder of the study, whose `tiles/` keep what was measured.
    pub folder: &'a Path,
    /// cpu, wgpu or cuda.
    pub device: &'a str,
    /// Bars.
    pub progress: &'a Progress,
    /// Signals.
    pub cancel: &'a Cancel,
}

impl Session<'_> {
    /// The latents of seeds, row-major.
    pub fn latents(&self, seeds: &[u64]) -> Vec<f32> {
        let d = self.generator.spec().latent_width;
        seeds.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, d)).collect()
    }

    /// Spectra, local complexity and descriptors of latents, in a run directory that can be gone on with.
    ///
    /// # Errors
    /// Of the estimator, the device and the disk, or a stop.
    pub fn describe(&self, latents: &[f32]) -> Result<Description> {
        let spec = self.generator.spec();
        let d = spec.latent_width;
        let bytes: Vec<u8> = latents.iter().flat_map(|v| v.to_le_bytes()).collect();
        let source = Source::File { latents: latents.to_vec(), sha256: store::sha256_hex(&bytes) };
        let estimator = estimator_with(&self.estimator, &self.settings)?;
        let recipe = DescribeRecipe {
            format: 1,
            version: env!("CARGO_PKG_VERSION").into(),
            noise_scheme: noise::SCHEME,
            model: spec.id.clone(),
            model_sha256: self.generator.model_sha256().to_owned(),
            source: source.about(),
            inversion: "none".into(),
            estimator: estimator.name().into(),
            directions: estimator.directions(spec)?,
            radius: self.settings.radius,
            frame_seed: self.settings.seed,
            complexity: true,
            complexity_radius: self.complexity.radius,
            complexity_directions: self.complexity.directions.unwrap_or(16.min(d)),
            tile: spec.usual.describe_tile,
            device: self.device.to_owned(),
        };
        store::create_dir(self.folder)?;
        let lock = store::Lock::exclusive(&self.folder.join("run.lock"))?;
        store::claim(self.folder, &recipe.text()?)?;
        let measurer = Measurer {
            generator: self.generator,
            inverter: self.inverter,
            source: &source,
            estimator: &*estimator,
            complexity: Some(&self.complexity),
            recipe: &recipe,
        };
        let samples = source.samples(d);
        let found = measurer.run(&samples, Some(self.folder), self.progress, self.cancel)?;
        drop(lock);
        Ok(Description::new(found, &[], self.model_rank, self.scales, "row"))
    }
}
