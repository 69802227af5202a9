//! A model, and what measures samples of it.

use super::block::Sample;
use super::keys::{Geometry, Keys};
use super::recipe::Recipe;
use super::source::Source;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::{self, Generator, find_model};
use crate::geometry::{
    DESCRIPTORS, Descriptor, EstimatorSettings, JacobianEstimator, LocalGeometry, estimator_with, local_complexity,
    measure_all,
};
use crate::limits;
use crate::noise;
use crate::reward::Reward;
use crate::tile::Tiling;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A model with its reward, if it has one, and the rank at which ψ_k is taken.
pub struct Subject {
    /// The model's folder.
    pub folder: PathBuf,
    /// The model.
    pub generator: Arc<dyn Generator>,
    /// Its reward.
    pub reward: Option<Reward>,
    /// The k of ψ_k; `None` means that it is found from the spectra.
    pub model_rank: Option<usize>,
}

impl Subject {
    /// Loads the model with this name or path. ψ_k is taken at `rank`, or else at the rank of its reward.
    ///
    /// # Errors
    /// When the model or its reward cannot be loaded; [`Error::Key`] for a rank beyond the latent's width.
    pub fn load(model: &str, rank: Option<usize>, device: &Device) -> Result<Self> {
        let folder = find_model(model)?;
        let generator = generator::load(&folder, device)?;
        let there = folder.join("reward/card.toml").exists();
        let reward = there.then(|| Reward::load(&folder, None, &generator, device)).transpose()?;
        Self::new(folder, generator, reward, rank)
    }

    /// The model in `folder` with its reward. ψ_k is taken at `rank`, or else at the rank of the reward.
    ///
    /// # Errors
    /// [`Error::Key`] for a rank beyond the latent's width.
    pub fn new(
        folder: PathBuf,
        generator: Arc<dyn Generator>,
        reward: Option<Reward>,
        rank: Option<usize>,
    ) -> Result<Self> {
        let model_rank = rank.or(reward.as_ref().and_then(Reward::map_rank));
        let width = generator.spec().latent_width;
        if let Some(k) = model_rank.filter(|k| *k > width) {
            return Err(Error::key("model_rank", format!("expected 1 to {width}, the latent's width, found {k}")));
        }
        Ok(Self { folder, generator, reward, model_rank })
    }
}

/// Measures the samples of a description.
pub struct Measurer {
    /// The model.
    pub subject: Subject,
    /// Where the latents come from.
    pub source: Source,
    /// Everything that determines the tiles.
    pub recipe: Recipe,
    estimator: Box<dyn JacobianEstimator>,
    exact: Box<dyn JacobianEstimator>,
    complexity: Option<EstimatorSettings>,
    memory: usize,
}

impl Measurer {
    /// Loads what `keys` ask for.
    ///
    /// # Errors
    /// [`Error::Key`]; errors of the model, the reward, the latents and the pictures.
    pub fn load(keys: &Keys, (name, device): &(DeviceName, Device)) -> Result<Self> {
        keys.geometry.settings()?;
        if let Some(tile) = keys.tile.filter(|t| !(1..=limits::TILE).contains(t)) {
            return Err(Error::key("tile", format!("expected 1 to {}, found {tile}", limits::TILE)));
        }
        let subject = Subject::load(&keys.model, keys.geometry.model_rank, device)?;
        let source = keys.source(&subject)?;
        Self::new(subject, source, keys, *name)
    }

    /// A measurer for the samples of `source`, as `keys` ask for.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn new(subject: Subject, source: Source, keys: &Keys, device: DeviceName) -> Result<Self> {
        let geometry: &Geometry = &keys.geometry;
        let settings = geometry.settings()?;
        let exact = estimator_with("exact", &EstimatorSettings { directions: None, ..settings.clone() })?;
        let estimator = estimator_with(&geometry.estimator_on(&subject), &settings)?;
        let spec = subject.generator.spec();
        let d = spec.latent_width;
        let complexity = keys.complexity.unwrap_or(true).then(|| geometry.complexity(d)).transpose()?;
        let recipe = Recipe {
            format: 1,
            version: env!("CARGO_PKG_VERSION").into(),
            noise_scheme: noise::SCHEME,
            model: spec.id.clone(),
            model_sha256: subject.generator.model_sha256().to_owned(),
            source: source.about(),
            inversion: source.inversion(),
            estimator: estimator.name().into(),
            directions: estimator.directions(spec)?,
            radius: settings.radius,
            frame_seed: settings.seed,
            complexity: complexity.is_some(),
            complexity_radius: geometry.complexity_radius,
            complexity_directions: geometry.complexity_directions.unwrap_or(16.min(d)),
            tile: keys.tile.unwrap_or(spec.usual.describe_tile),
            device: device.class().into(),
        };
        Ok(Self { memory: settings.memory, subject, source, recipe, estimator, exact, complexity })
    }

    /// Whether a tile fits into free memory.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn check_memory(&self, exact: bool) -> Result<()> {
        let spec = self.subject.generator.spec();
        let directions = if exact { spec.latent_width } else { self.recipe.directions };
        let remedy = match exact && !self.estimator.is_exact() {
            true => "measure without the exact samples (calibrate_on = 0), or on a machine with more",
            false => "choose an estimator of fewer directions (estimator, directions), or a machine with more",
        };
        generator::check_memory(spec, self.recipe.tile, directions, self.memory as u64, remedy)
    }

    /// Measures all samples that the source has in a tile, in one call of the tile's shape. Uses the estimator asked
    /// for; with `exact` it uses the exact one and leaves out local complexity, which is what a calibration compares
    /// with.
    ///
    /// # Errors
    /// When the device fails or a picture cannot be read.
    pub fn measure(&self, tile: u64, exact: bool) -> Result<Vec<Sample>> {
        let generator = &*self.subject.generator;
        let samples: Vec<u64> = Tiling::new(self.recipe.tile).samples(tile).collect();
        let (latents, residuals) = self.source.latents(&samples, generator.spec().latent_width)?;
        let estimator = if exact { &self.exact } else { &self.estimator };
        let spectra = estimator.spectra(generator, latents.values())?;
        let complexity = match self.complexity.as_ref().filter(|_| !exact) {
            Some(settings) => local_complexity(generator, latents.values(), settings)?,
            None => vec![None; samples.len()],
        };
        let each = samples.iter().zip(latents.rows().zip(residuals)).zip(spectra.into_iter().zip(complexity));
        Ok(each
            .filter(|((s, _), _)| self.source.has(**s))
            .map(|((sample, (latent, residual)), (spectrum, complexity))| {
                // A Jacobian with a non-finite value has no spectrum.
                let spectrum = spectrum.filter(|_| failpoint!("jacobian", *sample).is_none());
                let stderr = spectrum.as_ref().map(|s| replicated(&LocalGeometry::new(s, latent, 0)));
                let spectrum = spectrum.map(|s| crate::geometry::Spectrum { replicates: Vec::new(), ..s });
                let stderr = stderr.unwrap_or_default();
                Sample { number: *sample, latent: latent.to_vec(), residual, spectrum, complexity, stderr }
            })
            .collect())
    }
}

/// The standard errors that only the jackknife's replicates of a spectrum can give, by column.
fn replicated(g: &LocalGeometry) -> BTreeMap<String, f64> {
    if g.spectrum.replicates.is_empty() {
        return BTreeMap::new();
    }
    let wanted: Vec<&Descriptor> = DESCRIPTORS.iter().collect();
    let found = measure_all(g, &wanted).into_iter().filter_map(|(name, m)| Some((name, m.stderr()?)));
    found.filter(|(_, e)| *e > 0.0).collect()
}
