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
use crate::diffusion::{Trace, check_levels};
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
    fn trace(&self) -> Trace {
        match self.probes {
            0 => Trace::Exact,
            probes => Trace::Hutchinson { probes, seed: 0 },
        }
    }

    fn seeds(&self) -> Result<Vec<u64>> {
        seeds("seeds", &self.seeds)
    }

    /// The pictures' values in the model's range, `[n × D]` row-major; for a model of two stages those of their codes.
    fn values(&self, generator: &dyn Generator) -> Result<Vec<f32>> {
        let seeds = self.seeds()?;
        let spec = generator.spec();
        let Some(path) = &self.pictures else {
            let z = Latents::of_seeds(&seeds, spec.latent_width);
            return host(generator.states(rows(z.into_values(), spec.latent_width, generator.device())));
        };
        let set = pictures(path, spec.sample_shape)?;
        let count = set.count() as u64;
        if let Some(beyond) = seeds.iter().find(|s| **s >= count) {
            return Err(Error::key("seeds", format!("the set has pictures 0 to {}, found {beyond}", count - 1)));
        }
        states(generator, seeds.iter().flat_map(|s| set.values(*s as usize, spec.range)).collect())
    }
}

/// The states of pictures, both `[n × ·]` row-major: their codes for a model of two stages, else themselves.
fn states(generator: &dyn Generator, pictures: Vec<f32>) -> Result<Vec<f32>> {
    let width: usize = generator.spec().sample_shape.iter().product();
    if width == generator.spec().state_width() {
        return Ok(pictures);
    }
    let encoded = |part: &[f32]| host(generator.states_of(rows(part.to_vec(), width, generator.device())));
    Ok(pictures.chunks(16 * width).map(encoded).collect::<Result<Vec<_>>>()?.concat())
}

/// Reads a set of pictures from an IDX file, a folder or a .zip file.
fn pictures(path: &Path, shape: [usize; 3]) -> Result<Dataset> {
    let zip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
    let kind = if zip || path.is_dir() { "folder" } else { "idx" };
    let (root, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let config = DataConfig { kind: kind.into(), path: name.to_string_lossy().into_owned(), ..DataConfig::default() };
    Dataset::read(&config, root, shape)
}

/// Loads the diffusion model with this name or path.
fn diffusion(model: &str, device: &Device) -> Result<Sampler> {
    Sampler::load(&find_model(model)?, device)
}

/// Refuses a noise level outside the range that the model knows.
fn check_sigma(sampler: &Sampler, sigma: f64) -> Result<()> {
    check_levels(sampler.denoiser().range(), [sigma; 2], sigma).map_err(|message| Error::key("sigma", message))
}

/// `points` noise levels, evenly spaced in ln σ; `points` must be at least 2.
fn grid(low: f64, high: f64, points: usize) -> Vec<f64> {
    let part = |i: usize| i as f64 / (points - 1) as f64;
    (0..points).map(|i| (low.ln() + (high / low).ln() * part(i)).exp()).collect()
}
