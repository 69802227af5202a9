//! `lid estimate`: the dimension at pictures, one number each.

use super::{Pictures, check_sigma, diffusion, grid, pictures};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::lid::{Cloud, Local, METHODS, MethodRow, knee};
use crate::diffusion::{Estimate, flipd};
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{self, Card, Generator, Sampler, find_model};
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
#[derive(Clone, Debug, Serialize)]
pub struct SampleDimension {
    /// Seed, or index in the set.
    pub seed: u64,
    /// The dimension; NaN if it is not defined.
    pub dimension: f64,
    /// Standard error from the probes; 0 for a method that uses no random probes.
    pub stderr: f64,
    /// Why there is no dimension, where there is none.
    pub note: Option<String>,
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
        let row = self.row()?;
        let load = || generator::load(&find_model(&self.model)?, device);
        let found: Vec<Local<Estimate>> = match (self.method.as_str(), row) {
            (_, Some(row)) => self.by_points(row, &*load()?)?,
            ("jacobian", _) => self.by_jacobian(&*load()?)?,
            _ => self.by_flipd(&diffusion(&self.model, device)?, cancel)?.into_iter().map(Ok).collect(),
        };
        let samples = seeds.into_iter().zip(found);
        let sample = |(seed, found): (u64, Local<Estimate>)| match found {
            Ok(e) => SampleDimension { seed, dimension: e.value, stderr: e.stderr, note: None },
            Err(why) => SampleDimension { seed, dimension: f64::NAN, stderr: f64::NAN, note: Some(why) },
        };
        Ok(EstimatesReport {
            model: self.model.clone(),
            method: self.method.clone(),
            samples: samples.map(sample).collect(),
        })
    }

    /// The method's row, unless it is one of the two that measure the model itself.
    fn row(&self) -> Result<Option<&'static MethodRow>> {
        let card = Card::read(&find_model(&self.model)?.join("card.toml"))?;
        let own = ["flipd", "jacobian"].into_iter().filter(|m| *m != "flipd" || card.raw.denoiser.is_some());
        let known: Vec<&str> = own.chain(METHODS.iter().map(|m| m.name)).collect();
        let found = METHODS.iter().find(|m| m.name == self.method);
        if found.is_none() && !known.contains(&self.method.as_str()) {
            let near = did_you_mean(&self.method, known.iter().copied());
            let (name, id) = (self.method.escape_debug(), &card.raw.id);
            let message = match self.method.as_str() {
                "flipd" => format!("flipd needs a diffusion model; {id} has {}", known.join(", ")),
                _ if near.contains("known") => format!("no such method \"{name}\"; {id} has {}", known.join(", ")),
                _ => format!("no such method \"{name}\"{near} {id} has {}", known.join(", ")),
            };
            return Err(Error::key("method", message));
        }
        Ok(found)
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

    fn by_jacobian(&self, generator: &dyn Generator) -> Result<Vec<Local<Estimate>>> {
        if self.pictures.pictures.is_some() {
            return Err(Error::key("pictures", "jacobian is measured at latents; give seeds"));
        }
        let Some(scale) = self.sigma()? else {
            return Err(Error::key("sigma", "jacobian needs a number; its curve has no noise"));
        };
        let z = Latents::of_seeds(&self.pictures.seeds()?, generator.spec().latent_width);
        let spectra = estimator("exact")?.spectra(generator, z.values())?;
        let dimension = |s: &Spectrum| spectral_dimension(&s.singular_values, &s.rotated_latent, scale);
        let found = spectra.iter().map(|s| match s {
            Some(spectrum) => Ok(Estimate { value: dimension(spectrum), stderr: 0.0 }),
            None => Err("its Jacobian is not finite".into()),
        });
        Ok(found.collect())
    }

    fn by_points(&self, row: &MethodRow, generator: &dyn Generator) -> Result<Vec<Local<Estimate>>> {
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
        let is_k = row.setting.0 == "k";
        if is_k && most < 2 {
            let message = format!("{} pictures, expected at least 3 for a neighbourhood", points.len());
            return Err(Error::key("reference", message));
        }
        if is_k && (!(2.0..=most as f64).contains(&setting) || setting.fract() != 0.0) {
            return Err(Error::key("setting", format!("expected 2 to {most} neighbours, found {setting}")));
        }
        if !(is_k || setting > 0.0 && setting.is_finite()) {
            return Err(Error::key("setting", format!("expected a {} above 0, found {setting}", row.setting.0)));
        }
        let queries = Cloud { values: self.pictures.values(generator)?.into_iter().map(f64::from).collect(), width };
        let found = (row.estimate)(&points, &queries, setting);
        Ok(found.into_iter().map(|found| found.map(|value| Estimate { value, stderr: 0.0 })).collect())
    }
}

impl EstimatesReport {
    /// The printed table, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let line = |s: &SampleDimension| match &s.note {
            Some(why) => row([&s.seed.to_string(), "-", "", why]),
            None => row([&s.seed.to_string(), &format!("{:.3}", s.dimension), &format!("{:.3}", s.stderr)]),
        };
        [row(["seed", "dimension", "stderr"])].into_iter().chain(self.samples.iter().map(line)).collect()
    }
}
