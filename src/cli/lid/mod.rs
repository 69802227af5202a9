//! `isoline lid`: local intrinsic dimension.

mod bench;
mod curve;
mod doctor;
mod estimate;

use super::Context;
use crate::data::{DataConfig, Dataset};
use crate::device::Device;
use crate::diffusion::Trace;
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler, find_model};
use crate::noise::{self, Stream};
use crate::run::parse_seeds;
use crate::tensors::{host, rows};
use std::path::{Path, PathBuf};

/// Arguments of `isoline lid`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Dimension at pictures, one line each
    Estimate(estimate::Args),
    /// Dimension over noise levels, and the knee of the curve
    Curve(curve::Args),
    /// Train score networks on manifolds of known dimension and compare every method with the truth
    Bench(bench::Args),
    /// Check a diffusion model: at noised pictures the mean must be the number of pixels
    Doctor(doctor::Args),
}

/// Runs the subcommand.
///
/// # Errors
/// Those of the subcommand.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.command {
        Command::Estimate(args) => estimate::run(args, context),
        Command::Curve(args) => curve::run(args, context),
        Command::Bench(args) => bench::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
    }
}

/// Where pictures come from, and how traces are found; shared by the subcommands.
#[derive(Debug, clap::Args)]
struct Pictures {
    /// Seeds of the model's own pictures, as in 0-7; with --pictures, places in the set
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    seeds: String,
    /// Pictures to measure instead of the model's own: an IDX file or a folder
    #[arg(long, value_name = "PATH")]
    pictures: Option<PathBuf>,
    /// Rademacher probes of a trace; 0 takes the exact trace, one tangent per pixel
    #[arg(long, value_name = "N", default_value_t = 32)]
    probes: usize,
}

impl Pictures {
    fn trace(&self) -> Trace {
        match self.probes {
            0 => Trace::Exact,
            probes => Trace::Hutchinson { probes, seed: 0 },
        }
    }

    fn seeds(&self) -> Result<Vec<u64>> {
        parse_seeds(&self.seeds).map_err(|m| Error::config("--seeds", m))
    }

    /// The pictures' values in the model's range, row-major.
    fn values(&self, generator: &dyn Generator) -> Result<Vec<f32>> {
        let seeds = self.seeds()?;
        let spec = generator.spec();
        match &self.pictures {
            None => {
                let d = spec.latent_width;
                let z: Vec<f32> = seeds.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, d)).collect();
                host(generator.generate(rows(z, d, generator.device())))
            }
            Some(path) => {
                let set = pictures(path, spec.sample_shape)?;
                let count = set.count() as u64;
                if let Some(beyond) = seeds.iter().find(|s| **s >= count) {
                    let message = format!("the set has pictures 0 to {}, found {beyond}", count - 1);
                    return Err(Error::config("--seeds", message));
                }
                Ok(seeds.iter().flat_map(|s| set.values(*s as usize, spec.range)).collect())
            }
        }
    }
}

/// A set of pictures from an IDX file or a folder.
fn pictures(path: &Path, shape: [usize; 3]) -> Result<Dataset> {
    let kind = if path.is_dir() { "folder" } else { "idx" };
    let (root, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let config = DataConfig { kind: kind.into(), path: name.to_string_lossy().into_owned(), labels: None };
    Dataset::read(&config, root, shape)
}

/// The diffusion model of that name.
fn diffusion(model: &str, device: &Device) -> Result<Sampler> {
    Sampler::load(&find_model(model)?, device)
}

/// Refuses a noise level that the model does not know.
fn check_sigma(sampler: &Sampler, sigma: f64) -> Result<()> {
    let [low, high] = sampler.denoiser().range();
    if sigma >= low * 0.999 && sigma <= high * 1.001 {
        return Ok(());
    }
    let message = format!("the model knows noise levels from {low:.6} to {high:.4}, found {sigma}");
    Err(Error::config("--sigma", message))
}
