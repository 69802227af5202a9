//! `lid estimate`: the dimension at pictures, one number each.

use super::{Pictures, check_sigma, diffusion, grid, pictures};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::lid::{Cloud, METHODS, knee};
use crate::diffusion::{Estimate, flipd};
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{self, Generator, Sampler, find_model};
use crate::geometry::{Spectrum, estimator, spectral_dimension};
use crate::render::page::row;
use crate::tensors::rows;
use crate::units::Latents;
use serde::Serialize;
use std::path::PathBuf;

/// Dimensions that are asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Estimates {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The pictures.
    #[command(flatten)]
    pub pictures: Pictures,
    /// flipd (diffusion models), jacobian (any generator: the dimension of its local linear map), or one of isoline list
    /// lid-methods
    #[arg(long, value_name = "NAME", default_value = "flipd")]
    pub method: String,
    /// Noise level of flipd and scale of jacobian, or auto: each picture's own knee over a grid
    #[arg(long, value_name = "S", default_value = "0.1")]
    pub sigma: String,
    /// Points for the methods without a model: an IDX file or a folder; the first --count of them
    #[arg(long, value_name = "PATH")]
    pub reference: Option<PathBuf>,
    /// Pictures of --reference that are used
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub count: usize,
    /// Setting of a method without a model: neighbours, or delta of cfdm
    #[arg(long, value_name = "X")]
    pub setting: Option<f64>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct EstimatesReport {
    /// The model as the user named it.
    pub model: String,
    /// Name of the method.
    pub method: String,
    /// One entry per picture.
    pub samples: Vec<SampleDimension>,
}

/// The dimension at one picture.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SampleDimension {
    /// Seed, or index in the set.
    pub seed: u64,
    /// The dimension; NaN if it is not defined.
    pub dimension: f64,
    /// Standard error from the probes; 0 for a method that uses no random probes.
    pub stderr: f64,
}

impl Estimates {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        self.pictures.seeds().map(drop)
    }

    /// Measures the dimensions.
    ///
    /// # Errors
    /// Those of the model, the pictures and the device, or a stop.
    pub fn run(&self, device: &Device, cancel: &Cancel) -> Result<EstimatesReport> {
        let seeds = self.pictures.seeds()?;
        let found = match self.method.as_str() {
            "flipd" => self.by_flipd(&diffusion(&self.model, device)?, cancel)?,
            "jacobian" => self.by_jacobian(&*generator::load(&find_model(&self.model)?, device)?)?,
            _ => self.by_points(&*generator::load(&find_model(&self.model)?, device)?)?,
        };
        let samples = seeds.into_iter().zip(found);
        let sample = |(seed, e): (u64, Estimate)| SampleDimension { seed, dimension: e.value, stderr: e.stderr };
        Ok(EstimatesReport {
            model: self.model.clone(),
            method: self.method.clone(),
            samples: samples.map(sample).collect(),
        })
    }

    /// The noise level asked for; `None` means that each picture gets its own.
    fn sigma(&self) -> Result<Option<f64>> {
        if self.sigma == "auto" {
            return Ok(None);
        }
        let number = self.sigma.parse().ok().filter(|s: &f64| *s > 0.0 && s.is_finite());
        let message = || format!("expected a number above 0 or auto, found {}", self.sigma.escape_debug());
        number.map(Some).ok_or_else(|| Error::key("sigma", message()))
    }

    fn by_flipd(&self, sampler: &Sampler, cancel: &Cancel) -> Result<Vec<Estimate>> {
        let x = rows(self.pictures.values(sampler)?, sampler.spec().latent_width, sampler.device());
        let at = |sigma: f64| -> Result<Vec<Estimate>> {
            check_sigma(sampler, sigma)?;
            cancel.check(|| "nothing was written".into())?;
            let found = flipd(sampler.denoiser(), &x, sigma, self.pictures.trace())?;
            Ok(found.into_iter().map(|f| f.dimension()).collect())
        };
        if let Some(sigma) = self.sigma()? {
            return at(sigma);
        }
        let [low, high] = sampler.config().sigma;
        let grid = grid(low, high.min(10.0), 24);
        let curves = grid.iter().map(|s| at(*s)).collect::<Result<Vec<_>>>()?;
        let logs: Vec<f64> = grid.iter().map(|s| s.ln()).collect();
        let own = |i: usize| {
            let curve: Vec<f64> = curves.iter().map(|c| c[i].value).collect();
            // A curve without a knee is read at its lowest noise level. Its dimension there is the ambient one, or
            // meaningless.
            let at = knee(&logs, &curve).and_then(|k| logs.iter().position(|l| *l == k)).unwrap_or(0);
            curves[at][i]
        };
        Ok((0..curves[0].len()).map(own).collect())
    }

    fn by_jacobian(&self, generator: &dyn Generator) -> Result<Vec<Estimate>> {
        if self.pictures.pictures.is_some() {
            return Err(Error::key("pictures", "jacobian is measured at latents; give seeds"));
        }
        let Some(scale) = self.sigma()? else {
            return Err(Error::key("sigma", "jacobian needs a number; its curve has no noise"));
        };
        let z = Latents::of_seeds(&self.pictures.seeds()?, generator.spec().latent_width);
        let spectra = estimator("exact")?.spectra(generator, z.values())?;
        let dimension = |s: &Spectrum| spectral_dimension(&s.singular_values, &s.rotated_latent, scale);
        Ok(spectra.iter().map(|s| Estimate { value: s.as_ref().map_or(f64::NAN, dimension), stderr: 0.0 }).collect())
    }

    fn by_points(&self, generator: &dyn Generator) -> Result<Vec<Estimate>> {
        let Some(row) = METHODS.iter().find(|m| m.name == self.method) else {
            let known: Vec<&str> = ["flipd", "jacobian"].into_iter().chain(METHODS.iter().map(|m| m.name)).collect();
            let near = did_you_mean(&self.method, known);
            return Err(Error::key("method", format!("no such method \"{}\"{near}", self.method.escape_debug())));
        };
        let Some(path) = &self.reference else {
            return Err(Error::key("reference", format!("missing; {} measures among other pictures", self.method)));
        };
        let spec = generator.spec();
        let set = pictures(path, spec.sample_shape)?;
        let width = spec.sample_shape.iter().product();
        let take = |i: usize| set.values(i, spec.range).map(f64::from).collect::<Vec<_>>();
        let points = Cloud { values: (0..set.count().min(self.count)).flat_map(take).collect(), width };
        let setting = self.setting.unwrap_or(row.setting.1[0]);
        let most = points.len().saturating_sub(1);
        if row.setting.0 == "k" && !(2.0..=most as f64).contains(&setting) {
            return Err(Error::key("setting", format!("expected 2 to {most} neighbours, found {setting}")));
        }
        let queries = Cloud { values: self.pictures.values(generator)?.into_iter().map(f64::from).collect(), width };
        let found = (row.estimate)(&points, &queries, setting);
        Ok(found.into_iter().map(|value| Estimate { value, stderr: 0.0 }).collect())
    }
}

impl EstimatesReport {
    /// The printed table, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let line = |s: &SampleDimension| {
            row([&s.seed.to_string(), &format!("{:.3}", s.dimension), &format!("{:.3}", s.stderr)])
        };
        [row(["seed", "dimension", "stderr"])].into_iter().chain(self.samples.iter().map(line)).collect()
    }
}
