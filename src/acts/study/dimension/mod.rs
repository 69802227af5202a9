//! `lid`: local intrinsic dimension at pictures, over noise levels, against known truth, and as a check of a denoiser.

mod bench;
mod curve;
mod doctor;
mod estimate;

pub use bench::{Bench, BenchMethod, Fit};
pub use curve::{Curve, CurvePoint, CurveReport};
pub use doctor::{CleanLevel, Doctor, DoctorLevel, DoctorReport};
pub use estimate::{Estimates, EstimatesReport, SampleDimension};

use super::seeds;
use crate::data::{DataConfig, Dataset};
use crate::device::Device;
use crate::diffusion::Trace;
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler, find_model};
use crate::tensors::{host, rows};
use crate::units::Latents;
use std::path::{Path, PathBuf};

/// Which pictures are measured, and how traces are found.
#[derive(Clone, Debug, clap::Args)]
pub struct Pictures {
    /// Seeds of the model's own pictures, as in 0-7; with --pictures, places in the set
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub seeds: String,
    /// Pictures to measure instead of the model's own: an IDX file or a folder
    #[arg(long, value_name = "PATH")]
    pub pictures: Option<PathBuf>,
    /// Random probes of ±1 for the trace; 0 computes it exactly, with one tangent per pixel
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub probes: usize,
}

impl Pictures {
    /// How traces are found.
    pub(in crate::acts::study) fn trace(&self) -> Trace {
        match self.probes {
            0 => Trace::Exact,
            probes => Trace::Hutchinson { probes, seed: 0 },
        }
    }

    pub(in crate::acts::study) fn seeds(&self) -> Result<Vec<u64>> {
        seeds("seeds", &self.seeds)
    }

    /// The pictures of `generator`, or of the set, that are measured.
    ///
    /// # Errors
    /// [`Error::Key`], and errors of the set.
    pub(in crate::acts::study) fn chosen<'a>(&self, generator: &'a dyn Generator) -> Result<Chosen<'a>> {
        let seeds = self.seeds()?;
        let set = self.pictures.as_ref().map(|path| data_set(path, generator.spec().sample_shape)).transpose()?;
        if let Some(count) = set.as_ref().map(|set| set.count() as u64)
            && let Some(beyond) = seeds.iter().find(|s| **s >= count)
        {
            return Err(Error::key("seeds", format!("the set has pictures 0 to {}, found {beyond}", count - 1)));
        }
        Ok(Chosen { generator, set, seeds })
    }

    /// The pictures' values in the model's range, `[n × D]` row-major; for a model of two stages those of their codes.
    fn values(&self, generator: &dyn Generator) -> Result<Vec<f32>> {
        let chosen = self.chosen(generator)?;
        chosen.states(&chosen.seeds)
    }
}

/// The pictures that are measured.
pub(in crate::acts::study) struct Chosen<'a> {
    generator: &'a dyn Generator,
    set: Option<Dataset>,
    /// Their seeds, or places in the set.
    pub seeds: Vec<u64>,
}

impl Chosen<'_> {
    /// The pictures of the set with the numbers `seeds`.
    fn of_set(&self, set: &Dataset, seeds: &[u64]) -> Vec<f32> {
        seeds.iter().flat_map(|s| set.values(*s as usize, self.generator.spec().range)).collect()
    }

    /// States of some of the seeds, `[n × ·]` row-major: codes for a model of two stages, else pictures in the model's range.
    pub fn states(&self, seeds: &[u64]) -> Result<Vec<f32>> {
        match &self.set {
            Some(set) => states(self.generator, self.of_set(set, seeds)),
            None => {
                let width = self.generator.spec().latent_width;
                let z = Latents::of_seeds(seeds, width).into_values();
                host(self.generator.states(rows(z, width, self.generator.device())))
            }
        }
    }

    /// States and pictures of some of the seeds, both `[n × ·]` row-major in the model's range.
    pub fn both(&self, seeds: &[u64]) -> Result<(Vec<f32>, Vec<f32>)> {
        let found = self.states(seeds)?;
        if let Some(set) = &self.set {
            return Ok((found, self.of_set(set, seeds)));
        }
        let (width, [low, high]) = (self.generator.spec().state_width(), self.generator.spec().range);
        let shown = host(self.generator.pictures_of(rows(found.clone(), width, self.generator.device())))?;
        Ok((found, shown.into_iter().map(|v| v.clamp(low, high)).collect()))
    }
}

/// The states of pictures, both `[n × ·]` row-major: their codes for a model of two stages, else themselves.
pub(in crate::acts::study) fn states(generator: &dyn Generator, pictures: Vec<f32>) -> Result<Vec<f32>> {
    let width: usize = generator.spec().sample_shape.iter().product();
    if width == generator.spec().state_width() {
        return Ok(pictures);
    }
    let encoded = |part: &[f32]| host(generator.states_of(rows(part.to_vec(), width, generator.device())));
    Ok(pictures.chunks(16 * width).map(encoded).collect::<Result<Vec<_>>>()?.concat())
}

/// Reads a set of pictures from an IDX file, a folder or a .zip file.
///
/// # Errors
/// Those of [`Dataset::read`].
pub(in crate::acts::study) fn data_set(path: &Path, shape: [usize; 3]) -> Result<Dataset> {
    let zip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
    let kind = if zip || path.is_dir() { "folder" } else { "idx" };
    let (root, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let config = DataConfig { kind: kind.into(), path: name.to_string_lossy().into_owned(), ..DataConfig::default() };
    Dataset::read(&config, root, shape)
}

/// Loads the diffusion model with this name or path.
///
/// # Errors
/// Those of [`Sampler::load`].
pub(in crate::acts::study) fn diffusion(model: &str, device: &Device) -> Result<Sampler> {
    Sampler::load(&find_model(model)?, device)
}
