//! `lid estimate`: the dimension at pictures, one number each.

use super::{Pictures, data_set, diffusion};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::lid::{Cloud, Local, METHODS, MethodRow, knee};
use crate::diffusion::{Flipd, flipd, log_grid};
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{self, Card, Generator, Sampler, find_model};
use crate::geometry::{Spectrum, estimator, spectral_dimension};
use crate::render::page::{number, row};
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
    /// The noise level or scale at which it was measured; `None` for a method without one, or where none could be chosen.
    pub sigma: Option<f64>,
    /// The dimension, where there is one.
    pub dimension: Option<f64>,
    /// Its standard error from the probes; 0 for an exact trace; `None` where it is not known.
    pub stderr: Option<f64>,
    /// What has to be known about these numbers: why one is missing, or cannot be a dimension.
    pub note: Option<String>,
}

/// A dimension at some picture, before it is known which.
type Found = SampleDimension;

impl SampleDimension {
    fn at(sigma: f64, found: Flipd, ambient: usize) -> Found {
        let estimate = found.dimension();
        let finite = Some(estimate.value).filter(|v| v.is_finite());
        Self {
            seed: 0,
            sigma: Some(sigma),
            dimension: finite,
            stderr: finite.map(|_| estimate.stderr).filter(|e| e.is_finite()),
            note: found.fault(ambient).map(|f| f.to_string()),
        }
    }

    /// A dimension without probes; `note` says why there is no standard error.
    fn of(sigma: Option<f64>, found: Local<f64>, stderr: Option<f64>, note: Option<&str>) -> Found {
        let (dimension, note) = match found {
            Ok(value) if value.is_finite() => (Some(value), note.map(str::to_owned)),
            Ok(_) => (None, Some("not defined".to_owned())),
            Err(why) => (None, Some(why)),
        };
        Self { seed: 0, sigma, dimension, stderr: stderr.filter(|_| dimension.is_some()), note }
    }
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
        let found = match (self.method.as_str(), row) {
            (_, Some(row)) => self.by_points(row, &*load()?)?,
            ("jacobian", _) => self.by_jacobian(&*load()?)?,
            _ => self.by_flipd(&diffusion(&self.model, device)?, cancel)?,
        };
        let samples = seeds.into_iter().zip(found);
        let sample = |(seed, found): (u64, Found)| SampleDimension { seed, ..found };
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

    fn by_flipd(&self, sampler: &Sampler, cancel: &Cancel) -> Result<Vec<Found>> {
        let ambient = sampler.spec().latent_width;
        let x = rows(self.pictures.values(sampler)?, ambient, sampler.device());
        let at = |sigma: f64| -> Result<Vec<Flipd>> {
            sampler.check_level(sigma)?;
            cancel.check(|| "nothing was written".into())?;
            flipd(sampler.posterior_mean("model")?, &x, sigma, self.pictures.trace())
        };
        if let Some(sigma) = self.sigma()? {
            return Ok(at(sigma)?.into_iter().map(|f| Found::at(sigma, f, ambient)).collect());
        }
        let [low, high] = sampler.config().sigma;
        let grid = log_grid(low, high.min(10.0), 24);
        let curves = grid.iter().map(|s| at(*s)).collect::<Result<Vec<_>>>()?;
        let logs: Vec<f64> = grid.iter().map(|s| s.ln()).collect();
        let own = |i: usize| {
            let curve: Vec<f64> = curves.iter().map(|c| c[i].dimension().value).collect();
            match knee(&logs, &curve, ambient as f64) {
                Some(at) => Found::at(grid[at], curves[at][i], ambient),
                None => {
                    let [from, to] = [grid[0], grid[grid.len() - 1]];
                    let note = format!(
                        "no plateau from sigma {from:.3} to {to:.3}, so that no level could be chosen; give one"
                    );
                    Found { seed: 0, sigma: None, dimension: None, stderr: None, note: Some(note) }
                }
            }
        };
        Ok((0..curves[0].len()).map(own).collect())
    }

    fn by_jacobian(&self, generator: &dyn Generator) -> Result<Vec<Found>> {
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
            Some(spectrum) => Found::of(Some(scale), Ok(dimension(spectrum)), Some(0.0), None),
            None => Found::of(Some(scale), Err("its Jacobian is not finite".into()), None, None),
        });
        Ok(found.collect())
    }

    fn by_points(&self, row: &MethodRow, generator: &dyn Generator) -> Result<Vec<Found>> {
        let Some(path) = &self.reference else {
            return Err(Error::key("reference", format!("missing; {} measures among other pictures", self.method)));
        };
        let spec = generator.spec();
        let set = data_set(path, spec.sample_shape)?;
        let width = spec.state_width();
        let values = (0..set.count().min(self.count)).flat_map(|i| set.values(i, spec.range)).collect();
        let values = super::states(generator, values)?;
        let points = Cloud { values: values.into_iter().map(f64::from).collect(), width };
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
        Ok(found.into_iter().map(|found| Found::of(None, found, None, Some(LONE))).collect())
    }
}

/// Why a method of neighbours has no standard error.
const LONE: &str = "stderr unknown: one query";

impl EstimatesReport {
    /// The printed table, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let line = |s: &SampleDimension| {
            let sigma = s.sigma.map_or("-".to_owned(), |v| format!("{v:.4}"));
            let stderr = s.stderr.map_or(String::new(), |v| format!("{v:.3}"));
            let note = s.note.as_deref().unwrap_or("");
            row([&s.seed.to_string(), &sigma, &number(s.dimension, 3), &stderr, note])
        };
        let head = row(["seed", "sigma", "dimension", "stderr", "note"]);
        [head].into_iter().chain(self.samples.iter().map(line)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::Estimate;

    #[test]
    fn a_number_that_is_no_dimension_says_so_beside_it() {
        let at = |trace: f64, residual: f64| {
            Found::at(0.1, Flipd { trace: Estimate { value: trace, stderr: 0.5 }, residual }, 784)
        };
        let samples = vec![
            at(20.0, 5.0),
            at(-121.0, 20.0),
            at(-33.0, 58.0),
            at(700.0, 100.0),
            at(f64::INFINITY, 0.0),
            Found::of(None, Ok(2.0), None, Some(LONE)),
            Found::of(Some(0.1), Err("its Jacobian is not finite".into()), Some(0.0), None),
        ];
        let report = EstimatesReport { model: "m".into(), method: "flipd".into(), samples };
        let rows = report.rows();
        let cell = |i: usize, column: usize| rows[i + 1][column].as_str();
        assert_eq!([cell(0, 2), cell(0, 3), cell(0, 4)], ["25.000", "0.500", ""]);
        assert_eq!([cell(1, 2), cell(1, 4)], ["-101.000", "below 0, which is no dimension"]);
        assert!(cell(2, 4).starts_with("trace below 0") && cell(3, 4) == "above the number of pixels");
        assert_eq!([cell(4, 2), cell(4, 3), cell(4, 4)], ["-", "", "not finite"]);
        assert_eq!([cell(5, 1), cell(5, 3), cell(5, 4)], ["-", "", "stderr unknown: one query"]);
        assert_eq!([cell(6, 2), cell(6, 3), cell(6, 4)], ["-", "", "its Jacobian is not finite"]);
        let text = serde_json::to_string(&report).unwrap();
        assert!(
            text.contains("\"stderr\":null,\"note\":\"stderr unknown: one query\"") && !text.contains("NaN"),
            "{text}"
        );
    }
}
