//! `trajectory`: the local geometry of a diffusion model's denoiser along the way from noise to picture.

use super::{Provenance, Report, seeds, write_page, write_table, write_text};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::{Sampling, State, solvers::solver};
use crate::error::{Error, Result};
use crate::generator::{AtSigma, Generator, Sampler, find_model};
use crate::geometry::{DESCRIPTORS, Descriptor, LocalGeometry, ShownIn, Spectrum, estimator, model_rank};
use crate::progress::Progress;
use crate::render::page::{Page, row};
use crate::render::plot;
use crate::table::{Column, Table, Values};
use crate::tensors::{host, rows};
use crate::units::Latents;
use serde::Serialize;
use std::path::Path;

/// A path that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct DenoiserPath {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Seeds, as in 0-63,99
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub seeds: String,
    /// Noise levels [default: those of the model's sampler]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub sigma: Vec<f64>,
    /// How the spectrum is found; see isoline list estimators
    #[arg(long, value_name = "NAME", default_value = "exact")]
    pub estimator: String,
    /// Class of all samples, for a model with classes
    #[arg(long, value_name = "N")]
    pub class: Option<usize>,
}

/// Descriptors of the map x_σ → x₀, taken at the states x_σ that the sampler itself passes through.
#[derive(Clone, Debug, Serialize)]
pub struct DenoiserPathReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// Name of the estimator of the spectra.
    pub estimator: String,
    /// Names of a point's values.
    pub descriptors: Vec<&'static str>,
    /// One point per seed and level: seed by seed, each from noise to picture.
    pub points: Vec<PathPoint>,
}

/// A state on the way.
#[derive(Clone, Debug, Serialize)]
pub struct PathPoint {
    /// Seed.
    pub seed: u64,
    /// The noise level σ.
    pub sigma: f64,
    /// The k of ψ_k. It counts the directions that are strong in all states of one level, so each level has its own.
    pub k: usize,
    /// Values in the order of [`DenoiserPathReport::descriptors`].
    pub values: Vec<Option<f64>>,
}

/// One noise level for all seeds: σ, the states there, their spectra and their model rank.
struct NoiseLevel {
    sigma: f64,
    states: Latents,
    spectra: Vec<Option<Spectrum>>,
    k: usize,
}

impl DenoiserPath {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        seeds("seeds", &self.seeds).map(drop)
    }

    /// Measures the path.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model and the estimator, or a stop.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<DenoiserPathReport> {
        let seeds = seeds("seeds", &self.seeds)?;
        let sampler = Sampler::load(&find_model(&self.model)?, device)?.with_class(self.class)?;
        let wanted = self.levels(&sampler)?;
        let start = Latents::of_seeds(&seeds, sampler.spec().latent_width);
        let bar = progress.start("measuring", wanted.len() as u64);
        let estimator = estimator(&self.estimator)?;
        let mut levels = Vec::new();
        for sigma in wanted {
            cancel.check(|| "nothing was written".into())?;
            let states = state_at(&sampler, &start, sigma)?;
            let spectra = estimator.spectra(&AtSigma::new(&sampler, sigma)?, states.values())?;
            let found: Vec<Vec<f64>> = spectra.iter().flatten().map(|s| s.singular_values.clone()).collect();
            levels.push(NoiseLevel { sigma, states, spectra, k: model_rank(&found) });
            bar.advance(1);
        }
        bar.finish();
        let point = |i: usize, level: &NoiseLevel| PathPoint {
            seed: seeds[i],
            sigma: level.sigma,
            k: level.k,
            values: level.values(i),
        };
        Ok(DenoiserPathReport {
            model: sampler.spec().id.clone(),
            model_sha256: sampler.model_sha256().to_owned(),
            estimator: estimator.name().to_owned(),
            descriptors: descriptors().map(|d| d.name).collect(),
            points: (0..seeds.len()).flat_map(|i| levels.iter().map(move |level| point(i, level))).collect(),
        })
    }

    /// The noise levels to measure at, from noise to picture.
    fn levels(&self, sampler: &Sampler) -> Result<Vec<f64>> {
        let nodes = &sampler.sampling().sigmas;
        let mut wanted = if self.sigma.is_empty() { nodes[..nodes.len() - 1].to_vec() } else { self.sigma.clone() };
        wanted.sort_by(|a, b| b.total_cmp(a));
        match wanted.iter().find(|s| !(**s > 0.0 && **s <= nodes[0])) {
            None => Ok(wanted),
            Some(beyond) => {
                let message = format!("expected levels above 0 and up to the sampler's {}, found {beyond}", nodes[0]);
                Err(Error::key("sigma", message))
            }
        }
    }
}

impl NoiseLevel {
    fn values(&self, i: usize) -> Vec<Option<f64>> {
        let Some(spectrum) = &self.spectra[i] else { return descriptors().map(|_| None).collect() };
        let geometry = LocalGeometry::new(spectrum, self.states.row(i), self.k);
        descriptors().map(|d| (d.measure)(&geometry).value()).collect()
    }
}

/// The likelihood of a prior draw means nothing at a noised picture, so that descriptor is left out.
fn descriptors() -> impl Iterator<Item = &'static Descriptor> {
    DESCRIPTORS.iter().filter(|d| d.name != "log_likelihood")
}

/// The states that the sampler reaches at σ: it goes through its own levels above σ, then to σ.
fn state_at(sampler: &Sampler, z: &Latents, sigma: f64) -> Result<Latents> {
    let config = sampler.config();
    let solver = solver(&config.solver, config.solver_settings.clone()).map_err(|e| Error::Bug(e.to_string()))?;
    // A level that equals a node up to rounding counts as that node.
    let nodes = &sampler.sampling().sigmas;
    let mut sigmas: Vec<f64> = nodes.iter().copied().filter(|s| *s > sigma * (1.0 + 1e-9)).collect();
    sigmas.push(sigma);
    let start = State::plain(rows(z.values().to_vec(), z.width(), sampler.device()));
    let states = match sigmas.len() {
        1 => start.value * nodes[0],
        _ => {
            let way = Sampling::new(solver, sigmas);
            sampler.sample(start, &vec![0; z.len()], &way, &mut |_, _| Ok(()))?.value
        }
    };
    Ok(Latents::new(host(states)?, z.width()))
}

impl DenoiserPathReport {
    /// A table with one row per point.
    ///
    /// # Errors
    /// When the columns do not make a valid table.
    pub fn table(&self) -> Result<Table> {
        let points = || self.points.iter();
        let mut columns = vec![
            Column::new("seed", Values::U64(points().map(|p| Some(p.seed)).collect())),
            Column::new("sigma", Values::F64(points().map(|p| Some(p.sigma)).collect())),
            Column::new("k", Values::I64(points().map(|p| i64::try_from(p.k).ok()).collect())),
        ];
        let names = self.descriptors.iter().copied().enumerate();
        columns.extend(names.map(|(i, name)| Column::new(name, Values::F64(points().map(|p| p.values[i]).collect()))));
        Table::new(columns)
    }

    /// The descriptors that are printed and drawn, each with its place among a point's values; not those that nothing here
    /// measures.
    fn shown(&self) -> impl Iterator<Item = (usize, &'static Descriptor)> {
        let all = descriptors().enumerate().filter(|(_, d)| d.shown.contains(&ShownIn::Path));
        all.filter(|(i, _)| self.points.iter().any(|p| p.values[*i].is_some()))
    }

    /// Lines of one descriptor over σ, one for each of the first seven seeds.
    fn plot(&self, at: usize, descriptor: &Descriptor) -> Result<String> {
        let mut seeds: Vec<u64> = self.points.iter().map(|p| p.seed).collect();
        seeds.dedup();
        let names: Vec<String> = seeds.iter().take(7).map(|seed| format!("seed {seed}")).collect();
        let line = |seed: &u64| {
            let own = self.points.iter().filter(|p| p.seed == *seed);
            own.filter_map(|p| Some((p.sigma, p.values[at]?))).collect::<Vec<_>>()
        };
        let lines: Vec<(&str, Vec<(f64, f64)>)> =
            names.iter().zip(&seeds).map(|(name, seed)| (name.as_str(), line(seed))).collect();
        let title = format!("{} of the denoiser, from noise (right) to picture", descriptor.label);
        plot::lines(&title, "sigma", descriptor.label, &lines, true)
    }
}

impl Report for DenoiserPathReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let number = |v: Option<f64>| match v {
            None => "-".to_owned(),
            Some(v) if v == 0.0 || (1e-3..1e6).contains(&v.abs()) => format!("{v:.4}"),
            Some(v) => format!("{v:.4e}"),
        };
        let line = |p: &PathPoint| {
            let first = row([&p.seed.to_string(), &format!("{:.4}", p.sigma), &p.k.to_string()]);
            first.into_iter().chain(self.shown().map(|(i, _)| number(p.values[i]))).collect()
        };
        let names = self.shown().map(|(_, d)| d.name.to_owned());
        let head = row(["seed", "sigma", "k"]).into_iter().chain(names).collect();
        [head].into_iter().chain(self.points.iter().map(line)).collect()
    }

    /// Writes `trajectory.parquet` and `trajectory.csv` with every descriptor, a plot for each that is shown, `report.html`
    /// and `study.json`.
    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        let metadata =
            [("model", self.model.as_str()), ("model_sha256", &self.model_sha256), ("estimator", &self.estimator)];
        write_table(folder, "trajectory", &self.table()?, &metadata)?;
        let mut page = Page::new(&format!("From noise to picture in {}", self.model));
        let text = format!(
            "The local geometry of the denoiser's map x_sigma -> x_0 by {}, at the states that the sampler passes through. Each \
             noise level has a k of its own: the directions that are strong in all states of that level.",
            self.estimator
        );
        page.section("Descriptors over noise levels", &text);
        for (at, descriptor) in self.shown() {
            let svg = self.plot(at, descriptor)?;
            write_text(folder, &format!("{}.svg", descriptor.name), &svg)?;
            page.plot(&svg);
        }
        page.section("Every state", "From noise to picture, seed by seed; trajectory.csv has all descriptors.");
        page.table(&self.rows());
        write_page(folder, page, self, provenance)
    }
}
