//! What a description is asked to be, and what is loaded for it.

use super::invert::Inverter;
use super::measure::{DescribeRecipe, Measurer};
use super::source::Source;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::{self, Generator, anchored_model, find_model};
use crate::geometry::{COMPLEXITY_RADIUS, EstimatorSettings, JacobianEstimator, estimator_row, estimator_with};
use crate::noise;
use crate::reward::Reward;
use crate::run::parse_seeds;
use crate::store::run_id;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The keys of `[describe]`, and the flags of `isoline describe` under other names. Where none of seeds, latents and images
/// is given, seeds are 0-15.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DescribeKeys {
    /// Model name or path.
    pub model: String,
    /// As in `0-63,99`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds: Option<String>,
    /// File of latents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latents: Option<PathBuf>,
    /// Its array, tensor or prefix of columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Folder of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Spectra measured before; nothing is left to share out then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spectra: Option<PathBuf>,
    /// Steps of descent for pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invert_steps: Option<usize>,
    /// Name of the estimator; [`DescribeKeys::estimator_on`] where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator: Option<String>,
    /// P; the estimator's own number where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directions: Option<usize>,
    /// c of the stencil.
    pub radius: f64,
    /// Key of the directions.
    pub frame_seed: u64,
    /// Whether local complexity is counted.
    pub complexity: bool,
    /// c of local complexity.
    pub complexity_radius: f64,
    /// P of local complexity; 16 where absent, at most d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complexity_directions: Option<usize>,
    /// MiB of one pass through the network, roughly.
    pub memory: usize,
    /// Scales of the intrinsic dimension.
    pub scales: Vec<f64>,
    /// k of ψ_k; the reward's, else from the spectra, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_rank: Option<usize>,
    /// Samples measured exactly too, where the estimator is not exact; 64 where absent, 8 of a diffusion model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibrate_on: Option<usize>,
    /// Samples per tile; what suits the model where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile: Option<usize>,
    /// Whether `descriptors.csv` is written.
    pub csv: bool,
    /// Whether `spectra.npz` is written.
    pub npz: bool,
}

impl Default for DescribeKeys {
    fn default() -> Self {
        Self {
            model: String::new(),
            seeds: None,
            latents: None,
            key: None,
            images: None,
            spectra: None,
            invert_steps: None,
            estimator: None,
            directions: None,
            radius: EstimatorSettings::default().radius,
            frame_seed: EstimatorSettings::default().seed,
            complexity: true,
            complexity_radius: COMPLEXITY_RADIUS,
            complexity_directions: None,
            memory: EstimatorSettings::default().memory >> 20,
            scales: vec![0.1],
            model_rank: None,
            calibrate_on: None,
            tile: None,
            csv: false,
            npz: false,
        }
    }
}

impl DescribeKeys {
    /// The estimator that is asked for. Where none is: the exact one; of a diffusion model, whose latent is as wide as its
    /// picture and whose every tangent goes through every step, the one of its reward's labels, else an input subspace.
    pub fn estimator_on(&self, generator: &dyn Generator, reward: Option<&Reward>) -> String {
        if let Some(asked) = &self.estimator {
            return asked.clone();
        }
        let usual = generator.spec().usual;
        let labels = reward.filter(|r| r.map_rank().is_some() && self.directions.is_none());
        let labels = labels.filter(|_| usual.estimator_of_reward);
        labels.map_or_else(|| usual.estimator.into(), |r| r.card.estimator.clone())
    }

    /// Settings of the estimator.
    ///
    /// # Errors
    /// [`Error::Config`] naming the flag.
    pub fn settings(&self) -> Result<EstimatorSettings> {
        if let Some(s) = self.scales.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            return Err(Error::key("scales", format!("expected positive numbers, found {s}")));
        }
        if let Some(name) = &self.estimator {
            estimator_row(name)?;
        }
        if self.model_rank == Some(0) {
            return Err(Error::key("model_rank", "expected at least 1, found 0"));
        }
        let settings = EstimatorSettings {
            directions: self.directions,
            radius: self.radius,
            seed: self.frame_seed,
            memory: self.memory.saturating_mul(1 << 20),
            ..EstimatorSettings::default()
        };
        settings.check()?;
        Ok(settings)
    }

    /// Settings of local complexity on latents of width `d`.
    ///
    /// # Errors
    /// [`Error::Config`] naming the flag.
    pub fn complexity(&self, d: usize) -> Result<EstimatorSettings> {
        let c = self.complexity_radius;
        if !(c > 0.0 && c <= 10.0) {
            return Err(Error::key("complexity_radius", format!("expected a radius from 0 to 10, found {c}")));
        }
        if let Some(p) = self.complexity_directions.filter(|p| !(1..=d).contains(p)) {
            let message = format!("expected 1 to {d}, the latent's width, found {p}");
            return Err(Error::key("complexity_directions", message));
        }
        Ok(EstimatorSettings { directions: self.complexity_directions, radius: c, ..self.settings()? })
    }

    /// The same with paths that hold wherever a worker is started.
    ///
    /// # Errors
    /// [`Error::Config`] for a path that is no UTF-8 and cannot stand in a plan.
    pub fn anchored(mut self) -> Result<Self> {
        self.model = anchored_model(&self.model)?;
        for (key, path) in [("latents", &mut self.latents), ("images", &mut self.images)] {
            let Some(typed) = path else { continue };
            if typed.to_str().is_none() {
                return Err(Error::key_found(key, &typed.to_string_lossy(), "expected a name in UTF-8"));
            }
            *typed = std::path::absolute(&*typed).map_err(|e| Error::io(&*typed, "find", e))?;
        }
        Ok(self)
    }

    /// The same with what was left open as suits the model.
    pub fn resolved(mut self, generator: &dyn Generator, reward: Option<&Reward>) -> Self {
        let usual = generator.spec().usual;
        self.estimator = Some(self.estimator_on(generator, reward));
        self.calibrate_on.get_or_insert(usual.calibrate_on);
        self.tile.get_or_insert(usual.describe_tile);
        self
    }

    /// Seeds as typed, where latents come from none of the other sources.
    pub fn seeds(&self) -> &str {
        self.seeds.as_deref().unwrap_or("0-15")
    }

    fn source(&self, generator: &dyn Generator) -> Result<Source> {
        let given = [self.seeds.is_some(), self.latents.is_some(), self.images.is_some()];
        if given.iter().filter(|g| **g).count() > 1 {
            return Err(Error::key("seeds", "seeds, latents and images exclude each other; give one of them"));
        }
        for (key, needs, given, there) in [
            ("key", "latents", self.key.is_some(), self.latents.is_some()),
            ("invert_steps", "images", self.invert_steps.is_some(), self.images.is_some()),
        ] {
            if given && !there {
                return Err(Error::key(key, format!("only {needs} take it; give {needs} or leave it out")));
            }
        }
        let spec = generator.spec();
        if let Some(path) = &self.latents {
            return Source::from_file(path, self.key.as_deref(), spec.latent_width);
        }
        if let Some(folder) = &self.images {
            return Source::from_images(folder, spec.sample_shape);
        }
        Ok(Source::Seeds(parse_seeds(self.seeds()).map_err(|m| Error::key("seeds", m))?))
    }
}

/// A model with its reward, where it has one, and the rank that ψ_k is to be taken at.
pub struct Subject {
    /// The model.
    pub generator: Arc<dyn Generator>,
    /// Its reward.
    pub reward: Option<Reward>,
    /// k of ψ_k; `None` = from the spectra.
    pub model_rank: Option<usize>,
    folder: PathBuf,
}

impl Subject {
    /// The model of that name or path; ψ_k at `rank`, or at that of its reward.
    ///
    /// # Errors
    /// Of model and reward; [`Error::Config`] for a rank beyond the latent's width.
    pub fn load(model: &str, rank: Option<usize>, device: &Device) -> Result<Self> {
        let folder = find_model(model)?;
        let generator = generator::load(&folder, device)?;
        let reward = match folder.join("reward/card.toml").exists() {
            true => Some(Reward::load(&folder, None, &generator, device)?),
            false => None,
        };
        let model_rank = rank.or(reward.as_ref().and_then(Reward::map_rank));
        let width = generator.spec().latent_width;
        if let Some(k) = model_rank.filter(|k| *k > width) {
            return Err(Error::key("model_rank", format!("expected 1 to {width}, the latent's width, found {k}")));
        }
        Ok(Self { generator, reward, model_rank, folder })
    }
}

/// Everything that measures the samples of a description.
pub struct Describing {
    /// The model.
    pub subject: Subject,
    /// Where the latents come from.
    pub source: Source,
    /// What determines the tiles.
    pub recipe: DescribeRecipe,
    /// Whether the estimator is exact, so that nothing is to be calibrated.
    pub is_exact: bool,
    inverter: Inverter,
    estimator: Box<dyn JacobianEstimator>,
    exact: Box<dyn JacobianEstimator>,
    complexity: Option<EstimatorSettings>,
    memory: u64,
}

impl Describing {
    /// Loads what `keys` ask for.
    ///
    /// # Errors
    /// [`Error::Config`] naming the flag; those of model, reward, latents and pictures.
    pub fn load(keys: &DescribeKeys, name: DeviceName, device: &Device) -> Result<Self> {
        let settings = keys.settings()?;
        let exact = estimator_with("exact", &EstimatorSettings { directions: None, ..settings.clone() })?;
        if let Some(tile) = keys.tile.filter(|t| !(1..=crate::limits::TILE).contains(t)) {
            let most = crate::limits::TILE;
            return Err(Error::key("tile", format!("expected 1 to {most}, found {tile}")));
        }
        let subject = Subject::load(&keys.model, keys.model_rank, device)?;
        let generator = &subject.generator;
        let spec = generator.spec();
        let estimator = estimator_with(&keys.estimator_on(&**generator, subject.reward.as_ref()), &settings)?;
        let directions = estimator.directions(spec)?;
        let source = keys.source(&**generator)?;
        let inverter = Inverter::new(Arc::clone(generator), &subject.folder, keys.invert_steps)?;
        let complexity = keys.complexity.then(|| keys.complexity(spec.latent_width)).transpose()?;
        let recipe = DescribeRecipe {
            format: 1,
            version: env!("CARGO_PKG_VERSION").into(),
            noise_scheme: noise::SCHEME,
            model: spec.id.clone(),
            model_sha256: generator.model_sha256().to_owned(),
            source: source.about(),
            inversion: if keys.images.is_some() { inverter.about() } else { "none".into() },
            estimator: estimator.name().into(),
            directions,
            radius: settings.radius,
            frame_seed: settings.seed,
            complexity: complexity.is_some(),
            complexity_radius: keys.complexity_radius,
            complexity_directions: keys.complexity_directions.unwrap_or(16.min(spec.latent_width)),
            tile: keys.tile.unwrap_or(spec.usual.describe_tile),
            device: name.class().into(),
        };
        let (is_exact, memory) = (estimator.is_exact(), settings.memory as u64);
        Ok(Self { is_exact, memory, subject, source, recipe, inverter, estimator, exact, complexity })
    }

    /// The number of every sample, in order.
    pub fn samples(&self) -> Vec<u64> {
        self.source.samples(self.subject.generator.spec().latent_width)
    }

    /// What measures by the estimator that was asked for.
    pub fn measurer(&self) -> Measurer<'_> {
        Measurer {
            generator: &*self.subject.generator,
            inverter: &self.inverter,
            source: &self.source,
            estimator: &*self.estimator,
            complexity: self.complexity.as_ref(),
            recipe: &self.recipe,
        }
    }

    /// What measures exactly and without local complexity: what a calibration compares with.
    pub fn exact(&self) -> Measurer<'_> {
        Measurer { estimator: &*self.exact, complexity: None, ..self.measurer() }
    }

    /// Whether a tile fits into the memory that is free.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn check_memory(&self, exact_too: bool) -> Result<()> {
        let spec = self.subject.generator.spec();
        let directions = if exact_too { spec.latent_width } else { self.recipe.directions };
        let remedy = match exact_too && !self.is_exact {
            true => "measure without the exact samples (--calibrate-on 0), or on a machine with more",
            false => "choose an estimator of fewer directions (--estimator, --directions), or a machine with more",
        };
        generator::check_memory(spec, self.recipe.tile, directions, self.memory, remedy)
    }

    /// The recipe's id.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn run_id(&self) -> Result<String> {
        Ok(run_id(&self.recipe.text()?))
    }

    /// The name of each sample's file, where it has one.
    pub fn files(&self, samples: &[u64]) -> Vec<Option<String>> {
        samples.iter().map(|s| self.source.file(*s)).collect()
    }

    /// Where the model lies.
    pub fn model(&self) -> &Path {
        &self.subject.folder
    }
}
