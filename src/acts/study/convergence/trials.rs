//! Runs every estimator on one map.

use super::MeasuredMap;
use crate::acts::describe::Bias;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::generator::{Generator, Output, Spec};
use crate::geometry::{
    DESCRIPTORS, ESTIMATORS, EstimatorRow, EstimatorSettings, JacobianEstimator, LocalGeometry, Spectrum, Varies,
    estimator_with, model_rank, psi_k,
};
use crate::progress::Progress;
use crate::statistics::spearman;
use crate::units::Latents;
use serde::Serialize;
use std::time::Instant;

/// One row of the study: one way to order latents, compared with the exact ψ_k.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// What the map leads to: image or preactivation.
    pub output: String,
    /// Name of the estimator.
    pub estimator: String,
    /// The statistic compared with the exact ψ_k: psi_k, or a cheap rival.
    pub statistic: String,
    /// P, the number of directions.
    pub directions: usize,
    /// Radius c, if the estimator is a stencil.
    pub radius: Option<f64>,
    /// Rank correlation with the exact ψ_k.
    pub spearman: Option<f64>,
    /// Mean of estimate − exact.
    pub bias: Option<f64>,
    /// Standard deviation of estimate − exact.
    pub sd: Option<f64>,
    /// Mean of the standard errors that the estimator gave.
    pub stderr: Option<f64>,
    /// Seconds per latent, after one call as a warm-up.
    pub seconds: f64,
    /// Number of latents without a value.
    pub undefined: usize,
}

/// What to try.
pub struct Trials<'a> {
    /// The latents, `[n, d]`.
    pub latents: &'a Latents,
    /// Numbers of directions; those that do not fit an estimator are left out.
    pub directions: &'a [usize],
    /// Radii of the stencil.
    pub radii: &'a [f64],
    /// The k of ψ_k; if absent it is found from the exact spectra.
    pub model_rank: Option<usize>,
    /// The other settings, such as seed and memory.
    pub settings: EstimatorSettings,
}

/// Name of an estimator, its directions, its radius.
type Way = (&'static str, Option<usize>, Option<f64>);

/// Statistics that cost less than ψ_k; they are read off the exact spectrum for comparison.
const RIVALS: [&str; 2] = ["ln_frobenius", "sigma_1"];
/// Latents per call.
const CALL: usize = 16;

impl Trials<'_> {
    /// Every combination that fits the generator, as (name, directions, radius), in the order of the table of
    /// estimators. The first of them is the exact one.
    fn ways(&self, spec: &Spec) -> Vec<Way> {
        let of = |row: &EstimatorRow| -> Vec<Way> {
            let fits = |p: &usize| {
                let settings = EstimatorSettings { directions: Some(*p), ..self.settings.clone() };
                *p >= 2 && (row.make)(&settings).directions(spec).is_ok()
            };
            let radii: Vec<Option<f64>> = match row.varies {
                Varies::Nothing => return vec![(row.name, None, None)],
                Varies::Directions => vec![None],
                Varies::Radius => self.radii.iter().copied().map(Some).collect(),
            };
            let fitting: Vec<usize> = self.directions.iter().copied().filter(fits).collect();
            radii.iter().flat_map(|r| fitting.iter().map(|p| (row.name, Some(*p), *r))).collect()
        };
        ESTIMATORS.iter().flat_map(of).collect()
    }

    /// Runs all combinations on one generator.
    ///
    /// # Errors
    /// When the device fails or the run is stopped.
    pub fn run(&self, g: &dyn Generator, progress: &Progress, cancel: &Cancel) -> Result<(MeasuredMap, Vec<Trial>)> {
        let spec = g.spec();
        let output = if spec.output == Output::Image { "image" } else { "preactivation" };
        let ways = self.ways(spec);
        let bar = progress.start(format!("{} ({output})", spec.id), ways.len() as u64);
        let mut map = MeasuredMap { output: output.to_owned(), model_rank: 0, median_rank: 0, exact: Vec::new() };
        let mut trials = Vec::new();
        for (name, directions, radius) in ways {
            cancel.check(|| "nothing was written".into())?;
            let radius_or_usual = radius.unwrap_or(self.settings.radius);
            let settings = EstimatorSettings { directions, radius: radius_or_usual, ..self.settings.clone() };
            let estimator = estimator_with(name, &settings)?;
            let (spectra, seconds) = self.timed(g, &*estimator, cancel)?;
            if estimator.is_exact() {
                let found = || spectra.iter().flatten();
                let values: Vec<Vec<f64>> = found().map(|s| s.singular_values.clone()).collect();
                let k = self.model_rank.unwrap_or_else(|| model_rank(&values)).max(1);
                let psi = |s: &Option<Spectrum>| s.as_ref().and_then(|s| psi_k(&s.singular_values, k));
                let mut ranks: Vec<usize> = found().map(Spectrum::rank).collect();
                ranks.sort_unstable();
                map.model_rank = k;
                map.median_rank = ranks.get(ranks.len() / 2).copied().unwrap_or(0);
                map.exact = spectra.iter().map(psi).collect();
            }
            let row = Row { output, name, radius, seconds, k: map.model_rank };
            trials.push(row.trial("psi_k", &spectra, &map.exact));
            if estimator.is_exact() {
                trials.extend(RIVALS.map(|rival| row.trial(rival, &spectra, &map.exact)));
            }
            bar.advance(1);
        }
        bar.finish();
        Ok((map, trials))
    }

    /// The spectra of all latents, and the mean seconds per latent.
    fn timed(
        &self,
        g: &dyn Generator,
        estimator: &dyn JacobianEstimator,
        cancel: &Cancel,
    ) -> Result<(Vec<Option<Spectrum>>, f64)> {
        // Warm up: frames are drawn and memory is allocated once, not per latent.
        let one = self.latents.width().min(self.latents.values().len());
        estimator.spectra(g, &self.latents.values()[..one])?;
        let begin = Instant::now();
        let mut found = Vec::new();
        for call in self.latents.values().chunks(CALL * self.latents.width()) {
            cancel.check(|| "nothing was written".into())?;
            found.extend(estimator.spectra(g, call)?);
        }
        let seconds = begin.elapsed().as_secs_f64() / found.len().max(1) as f64;
        Ok((found, seconds))
    }
}

struct Row<'a> {
    output: &'a str,
    name: &'a str,
    radius: Option<f64>,
    seconds: f64,
    k: usize,
}

impl Row<'_> {
    fn trial(&self, statistic: &str, spectra: &[Option<Spectrum>], truth: &[Option<f64>]) -> Trial {
        let value = |s: &Spectrum| match DESCRIPTORS.iter().find(|d| d.name == statistic) {
            Some(row) if statistic != "psi_k" => (row.measure)(&LocalGeometry::new(s, &[], self.k)).value(),
            // With fewer directions than k: ψ over all of them.
            _ => psi_k(&s.singular_values, self.k.min(s.singular_values.len())),
        };
        let found: Vec<Option<f64>> = spectra.iter().map(|s| s.as_ref().and_then(value)).collect();
        let pairs: Vec<(f64, f64)> = found.iter().zip(truth).filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let own = statistic == "psi_k";
        let bias = Bias::of(&pairs).filter(|_| own);
        let errors: Vec<f64> = spectra
            .iter()
            .flatten()
            .map(|s| s.psi_stderr(self.k.min(s.singular_values.len())))
            .filter(|e| own && e.is_finite())
            .collect();
        Trial {
            output: self.output.to_owned(),
            estimator: self.name.to_owned(),
            statistic: statistic.to_owned(),
            directions: spectra.iter().flatten().next().map_or(0, |s| s.n_directions),
            radius: self.radius,
            spearman: spearman(&a, &b),
            bias: bias.as_ref().map(|b| b.bias),
            sd: bias.as_ref().map(|b| b.sd),
            stderr: (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64),
            seconds: self.seconds,
            undefined: spectra.len() - pairs.len(),
        }
    }
}
