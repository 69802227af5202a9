//! `diagnose`: what may be concluded from a model's densities, and what may not (Loaiza-Ganem et al. 2024; theory, 33).
//!
//! Pictures lie on a set of fewer dimensions d than they have values D, and have no density among all D values: with noise of level σ
//! it is ln p_σ(x) = −(D − d)·ln σ + a constant, and grows without bound as σ falls. The slope of ln p_σ over ln σ is therefore
//! −(D − d), and the score of a noised picture has ‖s‖²/D near (D − d)/D/σ². A generator with d latents has a density on its own
//! surface instead, ln N(z) − ψ, which exists where no singular value vanishes.

use super::dimension::Pictures;
use super::{Provenance, Report, write_page, write_table, write_text};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::{Fault, densities, flipd, log_grid, score_norms, slope};
use crate::error::{Error, Result};
use crate::generator::{self, Generator, Sampler, find_model};
use crate::geometry::{Spectrum, estimator};
use crate::noise::{Stream, normals};
use crate::progress::Progress;
use crate::render::page::{Page, row};
use crate::render::plot;
use crate::statistics::quantile;
use crate::steer::denoiser::sampler_of;
use crate::table::{Column, Table, Values};
use crate::tensors::{host, rows};
use crate::units::Latents;
use serde::Serialize;
use std::path::Path;

/// A diagnosis that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Diagnose {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The pictures.
    #[command(flatten)]
    pub pictures: Pictures,
    /// Least noise level of a diffusion model's density
    #[arg(long, value_name = "S", default_value_t = 0.05)]
    pub low: f64,
    /// Greatest one; the slope is taken between them
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    pub high: f64,
}

/// Noise levels between the two.
const LEVELS: usize = 5;
/// Steps of a likelihood per unit of ln σ.
const STEPS: f64 = 3.0;
/// Powers of σ below which the squared score grows without bound, and above which it stays bounded.
const UNBOUNDED: f64 = -1.5;
const BOUNDED: f64 = -0.5;
/// Singular values below this share of the largest count as vanished.
const VANISHED: f64 = 1e-6;
/// Root mean square error of a picture, in values from 0 to 1, above which its code does not stand for it.
const GATE: f64 = 0.05;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct DiagnoseReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// D, the number of values of a picture.
    pub pixels: usize,
    /// The number of values that the density is of: those of a code, for a model of two stages.
    pub width: usize,
    /// Number of pictures.
    pub pictures: usize,
    /// The map latent → picture, where it was measured.
    pub map: Option<MapFound>,
    /// The density of a diffusion model.
    pub density: Option<DensityFound>,
    /// Root mean square errors of decoding the pictures' codes, in values from 0 to 1, for a model of two stages.
    pub reconstruction: Option<Vec<f64>>,
}

/// The map of a generator at its seeds.
#[derive(Clone, Debug, Serialize)]
pub struct MapFound {
    /// Number of latents of a sample.
    pub latents: usize,
    /// Directions that were measured.
    pub directions: usize,
    /// 1 %, 50 % and 99 % quantiles of ψ over the samples.
    pub psi: [f64; 3],
    /// The least singular value over the largest, at each sample.
    pub least: Vec<f64>,
}

/// The density of a diffusion model at its noise levels.
#[derive(Clone, Debug, Serialize)]
pub struct DensityFound {
    /// The levels.
    pub levels: Vec<DensityLevel>,
    /// The slope of ln p over ln σ, at each picture.
    pub slopes: Vec<f64>,
}

/// The density at one noise level, means over the pictures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DensityLevel {
    /// The noise level.
    pub sigma: f64,
    /// ln p in nats.
    pub log_density: f64,
    /// FLIPD.
    pub flipd: f64,
    /// Pictures whose FLIPD shows that the network is no denoiser.
    pub faults: usize,
    /// Pictures whose FLIPD is above the number of values, which is no dimension either.
    pub above: usize,
    /// ‖score‖²/D at noised pictures.
    pub score: f64,
}

impl DensityFound {
    /// The power of σ with which the squared score grows: −2 where pictures have fewer dimensions than values (33), 0 where it stays
    /// bounded.
    pub fn power(&self) -> f64 {
        let (sigma, logs): (Vec<f64>, Vec<f64>) = self.levels.iter().map(|l| (l.sigma, l.score.ln())).unzip();
        slope(&sigma, &logs)
    }

    /// d = D + slope, with the 95 % interval of its mean over the pictures.
    pub fn dimension(&self, width: usize) -> (f64, Option<f64>) {
        let n = self.slopes.len() as f64;
        let mean = self.slopes.iter().sum::<f64>() / n;
        let variance = self.slopes.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (width as f64 + mean, (n > 1.0).then(|| 1.96 * (variance / n).sqrt()))
    }
}

impl Diagnose {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        if !(self.low > 0.0 && self.low < self.high && self.high.is_finite()) {
            let message = format!(
                "expected noise levels above 0 of which the second is greater, found {} and {}",
                self.low, self.high
            );
            return Err(Error::key("low", message));
        }
        self.pictures.seeds().map(drop)
    }

    /// Measures the model.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model, the pictures and the device, or a stop.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<DiagnoseReport> {
        self.check()?;
        let folder = find_model(&self.model)?;
        let generator = generator::load(&folder, device)?;
        let (generator, sampler) = (&*generator, sampler_of(&*generator).ok());
        let spec = generator.spec();
        let chosen = self.pictures.chosen(generator)?;
        let (states, pixels) = chosen.both(&chosen.seeds)?;
        let stop = || cancel.check(|| "nothing was written".into());
        let map = if self.pictures.pictures.is_none() { Some(self.map(generator, &chosen.seeds)?) } else { None };
        stop()?;
        let density = match sampler {
            Some(sampler) => Some(self.density(sampler, (&chosen.seeds, &states), progress, cancel)?),
            None => None,
        };
        let (width, count) = (spec.state_width(), chosen.seeds.len());
        let values: usize = spec.sample_shape.iter().product();
        let reconstruction = match width != values {
            true => {
                let codes = generator.states_of(rows(pixels.clone(), values, generator.device()));
                let back = host(generator.pictures_of(codes))?;
                let scale = f64::from(spec.range[1] - spec.range[0]);
                let error = |(a, b): (&[f32], &[f32])| {
                    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
                    (sum / values as f64).sqrt() / scale
                };
                Some(back.chunks_exact(values).zip(pixels.chunks_exact(values)).map(error).collect())
            }
            false => None,
        };
        Ok(DiagnoseReport {
            model: spec.id.clone(),
            model_sha256: generator.model_sha256().to_owned(),
            pixels: values,
            width,
            pictures: count,
            map,
            density,
            reconstruction,
        })
    }

    fn map(&self, generator: &dyn Generator, seeds: &[u64]) -> Result<MapFound> {
        let width = generator.spec().latent_width;
        let estimator = estimator(generator.spec().usual.estimator)?;
        let latents = Latents::of_seeds(seeds, width);
        let found = estimator.spectra(generator, latents.values())?;
        let total = found.len();
        let spectra: Vec<Spectrum> = found.into_iter().flatten().collect();
        if spectra.len() < total {
            return Err(Error::SamplesNotFinite { count: total - spectra.len(), total });
        }
        let mut psi: Vec<f64> =
            spectra.iter().map(|s| s.singular_values.iter().filter(|v| **v > 0.0).map(|v| v.ln()).sum()).collect();
        psi.sort_by(f64::total_cmp);
        let at = |q: f64| quantile(&psi, q).unwrap_or(f64::NAN);
        let least = |s: &Spectrum| {
            let first = s.singular_values.first().copied().unwrap_or(0.0);
            s.singular_values.last().copied().unwrap_or(0.0) / first.max(f64::MIN_POSITIVE)
        };
        Ok(MapFound {
            latents: width,
            directions: estimator.directions(generator.spec())?,
            psi: [at(0.01), at(0.5), at(0.99)],
            least: spectra.iter().map(least).collect(),
        })
    }

    fn density(
        &self,
        sampler: &Sampler,
        (seeds, states): (&[u64], &[f32]),
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<DensityFound> {
        let (width, device) = (sampler.spec().state_width(), sampler.device());
        let n = seeds.len();
        let levels = log_grid(self.low, self.high, LEVELS);
        levels.iter().try_for_each(|s| sampler.check_level(*s))?;
        let [_, high] = sampler.config().sigma;
        let denoiser = sampler.posterior_mean("model")?;
        let x = rows(states.to_vec(), width, device);
        let noise: Vec<f32> = seeds.iter().flat_map(|s| normals(0, *s, Stream::Probe, 80, width)).collect();
        let noise = rows(noise, width, device);
        let bar = progress.start("measuring the density", LEVELS as u64);
        let (mut found, mut logs) = (Vec::new(), vec![Vec::<f64>::new(); n]);
        for sigma in &levels {
            cancel.check(|| "nothing was written".into())?;
            let own = densities(denoiser, &x, &[*sigma], (high, STEPS), self.pictures.trace())?;
            logs.iter_mut().zip(&own).for_each(|(all, l)| all.extend(l));
            let dimensions = flipd(denoiser, &x, *sigma, self.pictures.trace())?;
            let scores = score_norms(denoiser, &x, noise.clone(), *sigma)?;
            let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n as f64;
            let count = |of: &dyn Fn(Fault) -> bool| {
                dimensions.iter().filter_map(|f| f.fault(width)).filter(|f| of(*f)).count()
            };
            found.push(DensityLevel {
                sigma: *sigma,
                log_density: mean(&mut own.iter().flatten().copied()),
                flipd: mean(&mut dimensions.iter().map(|f| f.dimension().value)),
                faults: count(&|fault| fault != Fault::AboveAmbient),
                above: count(&|fault| fault == Fault::AboveAmbient),
                score: mean(&mut scores.into_iter()),
            });
            bar.advance(1);
        }
        bar.finish();
        let count = logs.iter().filter(|l| !l.iter().all(|v| v.is_finite())).count();
        if count > 0 {
            return Err(Error::SamplesNotFinite { count, total: n });
        }
        Ok(DensityFound { slopes: logs.iter().map(|l| slope(&levels, l)).collect(), levels: found })
    }
}

impl DiagnoseReport {
    /// What follows, a sentence each.
    pub fn conclusions(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(map) = &self.map {
            let vanished = map.least.iter().filter(|l| **l <= VANISHED || l.is_nan()).count();
            all.push(match (map.directions < map.latents, vanished) {
                (true, _) => format!(
                    "Only {} of {} directions were measured, which is good for comparing samples. Whether a singular value vanishes, and \
                     so whether the density on the model's surface exists, is not known.",
                    map.directions, map.latents
                ),
                (false, 0) => "The map latent → picture stretches every direction at every sample, so the model's own density on its \
                               surface, ln N(z) − ψ, exists and may be compared from sample to sample."
                    .to_owned(),
                (false, n) => format!(
                    "At {n} of {} samples the map flattens some direction: ψ is −∞ there, and the density on the model's surface does \
                     not exist. Compare ψ_k, over the k directions that it does stretch.",
                    map.least.len()
                ),
            });
        }
        if let Some(density) = &self.density {
            let (d, half) = density.dimension(self.width);
            let within = half.map_or(String::new(), |h| format!(" ± {h:.1}"));
            let (low, high) = (density.levels[0], density.levels[LEVELS - 1]);
            let what = if self.width == self.pixels { "values of a picture" } else { "values of a code" };
            all.push(format!(
                "From sigma {:.3} to {:.3} the density grows as if pictures had {d:.1}{within} of {} {what}. Without noise there is no \
                 density: quote no likelihood without its sigma, and compare only likelihoods of one sigma.",
                low.sigma, high.sigma, self.width
            ));
            let power = density.power();
            all.push(format!(
                "The squared score per value is {:.1} times as large at sigma {:.3} as at {:.3}, growing as sigma to the power {power:.1}{}.",
                low.score / high.score,
                low.sigma,
                high.sigma,
                match power {
                    p if p < UNBOUNDED => ", where −2 is growth without bound: sampling and likelihoods are unstable as noise is taken away",
                    p if p > BOUNDED => ": it stays bounded",
                    _ => ": slower than without bound, which is −2, but not bounded from here",
                }
            ));
            let sum = |of: fn(&DensityLevel) -> usize| density.levels.iter().map(of).sum::<usize>();
            let (faults, above) = (sum(|l| l.faults), sum(|l| l.above));
            if above > 0 {
                all.push(format!(
                    "{above} of {} values of FLIPD lie above {}, the number of {what}. That is no dimension, but no fault of the network \
                     either: the density of noised data dips there, as between two clumps of data.",
                    LEVELS * self.pictures,
                    self.width
                ));
            }
            if faults > 0 {
                all.push(format!(
                    "{faults} of {} values of FLIPD are no dimension: the network is no denoiser there, and what it says of likelihoods at \
                     these levels is not to be trusted either.",
                    LEVELS * self.pictures
                ));
            }
        }
        if let Some(errors) = &self.reconstruction {
            let beyond = errors.iter().filter(|e| **e > GATE || e.is_nan()).count();
            let worst = errors.iter().copied().fold(0.0, f64::max);
            all.push(match beyond {
                0 => format!(
                    "The decoder returns every picture (greatest error {worst:.3} of the range), so what is said of its code may be said \
                     of it."
                ),
                n => format!(
                    "{n} of {} pictures do not come back from their codes (greatest error {worst:.3} of the range, {GATE} is granted): \
                     nothing that is said of a code may be said of them.",
                    errors.len()
                ),
            });
        }
        all
    }
}

impl Report for DiagnoseReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let mut all = vec![row(["measured", "value"])];
        let mut put = |name: &str, value: String| all.push(row([name, &value]));
        if let Some(map) = &self.map {
            let [low, middle, high] = map.psi;
            put("directions measured", format!("{} of {}", map.directions, map.latents));
            let psi =
                if map.directions < map.latents { format!("ψ over {}", map.directions) } else { "ψ".to_owned() };
            put(&format!("{psi} at 1 %, 50 %, 99 % of the samples"), format!("{low:.2}, {middle:.2}, {high:.2}"));
            let least = map.least.iter().copied().fold(f64::INFINITY, f64::min);
            put("least singular value over the largest", format!("{least:.1e}"));
        }
        for l in self.density.iter().flat_map(|d| &d.levels) {
            let faults = match l.faults + l.above {
                0 => String::new(),
                n => format!(" ({n} no dimension)"),
            };
            put(
                &format!("at sigma {:.3}", l.sigma),
                format!("ln p {:.1}, FLIPD {:.1}{faults}, ‖score‖²/D {:.3}", l.log_density, l.flipd, l.score),
            );
        }
        if let Some(density) = &self.density {
            let (d, half) = density.dimension(self.width);
            let within = half.map_or(String::new(), |h| format!(" ± {h:.1}"));
            put("dimension from the slope of ln p", format!("{d:.1}{within} of {}", self.width));
        }
        if let Some(errors) = &self.reconstruction {
            let worst = errors.iter().copied().fold(0.0, f64::max);
            put("greatest error of decoding a code", format!("{worst:.4} of the range"));
        }
        all
    }

    /// Writes `density.csv`, `density.parquet`, `density.svg`, `report.html` and `study.json`.
    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        crate::store::create_dir(folder)?;
        let mut page = Page::new(&format!("What may be concluded from the densities of {}", self.model));
        page.section("In words", &self.conclusions().join(" "));
        if let Some(density) = &self.density {
            let column = |of: fn(&DensityLevel) -> f64| {
                Values::F64(density.levels.iter().map(|l| Some(of(l)).filter(|v| v.is_finite())).collect())
            };
            let table = Table::new(vec![
                Column::new("sigma", column(|l| l.sigma)),
                Column::new("log_density", column(|l| l.log_density)),
                Column::new("dimension", column(|l| l.flipd)),
                Column::new("score", column(|l| l.score)),
            ])?;
            let metadata = [("model", self.model.as_str()), ("model_sha256", &self.model_sha256)];
            write_table(folder, "density", &table, &metadata)?;
            let line = density.levels.iter().map(|l| (l.sigma.ln(), l.log_density)).collect();
            let svg =
                plot::lines("The density grows as noise is taken away", "ln σ", "ln p", &[("mean", line)], false)?;
            write_text(folder, "density.svg", &svg)?;
            page.plot(&svg);
        }
        page.section("Measured", "");
        page.table(&self.rows());
        write_page(folder, page, self, provenance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of the score depends on how it grows, not on how far apart the levels are.
    #[test]
    fn the_power_of_the_score_decides_what_is_said() {
        let report = |power: f64, [low, high]: [f64; 2]| {
            let level = |sigma: f64| DensityLevel {
                sigma,
                log_density: -8.0 * sigma.ln(),
                flipd: 2.0,
                faults: 0,
                above: 0,
                score: sigma.powf(power),
            };
            let levels = log_grid(low, high, LEVELS).into_iter().map(level).collect();
            let density = Some(DensityFound { levels, slopes: vec![-8.0; 3] });
            let (model, model_sha256) = ("m".to_owned(), "0".to_owned());
            let whole = DiagnoseReport {
                model,
                model_sha256,
                pixels: 10,
                width: 10,
                pictures: 3,
                map: None,
                density,
                reconstruction: None,
            };
            whole.conclusions().join("\n")
        };
        for levels in [[0.05, 0.5], [0.2, 0.3]] {
            for (power, words) in
                [(-2.0, "sampling and likelihoods are unstable"), (0.0, "it stays bounded"), (-1.0, "slower than")]
            {
                let said = report(power, levels);
                assert!(
                    said.contains(words) && said.contains("2.0 ± 0.0 of 10 values of a picture"),
                    "{power}: {said}"
                );
            }
        }
    }
}
