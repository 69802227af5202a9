//! `study convergence`: every estimator against the exact one, over directions and radius.

use crate::acts::describe::Bias;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::generator::Generator;
use crate::geometry::{DESCRIPTORS, EstimatorSettings, LocalGeometry, Spectrum, estimator_with, model_rank, psi_k};
use crate::progress::Progress;
use crate::reward::spearman;
use serde::Serialize;
use std::time::Instant;

/// One row of the study: one way to order latents against the exact ψ_k.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The map: image or preactivation.
    pub output: String,
    /// Estimator.
    pub estimator: String,
    /// What is compared with the exact ψ_k: psi_k, or a cheap rival.
    pub statistic: String,
    /// P.
    pub directions: usize,
    /// Radius c of a stencil.
    pub radius: Option<f64>,
    /// Rank correlation with the exact ψ_k.
    pub spearman: Option<f64>,
    /// Mean of estimate − exact.
    pub bias: Option<f64>,
    /// Standard deviation of estimate − exact.
    pub sd: Option<f64>,
    /// Mean of the standard errors that the estimator gave.
    pub stderr: Option<f64>,
    /// Seconds per latent, after one call to warm up.
    pub seconds: f64,
    /// Latents without a value.
    pub undefined: usize,
}

/// What to try.
pub struct Trials<'a> {
    /// `[n, d]`.
    pub latents: &'a [f32],
    /// Numbers of directions; those that do not fit an estimator are left out.
    pub directions: &'a [usize],
    /// Radii of the stencil.
    pub radii: &'a [f64],
    /// k of ψ_k; from the exact spectra where absent.
    pub model_rank: Option<usize>,
    /// Seed, memory.
    pub settings: EstimatorSettings,
}

/// What was found of one map.
pub struct Convergence {
    /// One row per way.
    pub trials: Vec<Trial>,
    /// k of ψ_k.
    pub model_rank: usize,
    /// The exact ψ_k of every latent.
    pub exact: Vec<Option<f64>>,
    /// The median numerical rank.
    pub rank: usize,
}

/// Latents per call.
const CALL: usize = 16;

impl Trials<'_> {
    /// Runs them on one generator.
    ///
    /// # Errors
    /// Of the device, or a stop.
    pub fn run(&self, g: &dyn Generator, progress: &Progress, cancel: &Cancel) -> Result<Convergence> {
        let spec = g.spec();
        let (d, width) = (spec.latent_width, spec.sample_shape.iter().product::<usize>());
        let output = if spec.output == crate::generator::Output::Image { "image" } else { "preactivation" };
        let mut plan: Vec<(&str, Option<usize>, Option<f64>)> = vec![("exact", None, None)];
        for (name, most) in [("input-subspace", d), ("output-projection", width)] {
            plan.extend(self.directions.iter().filter(|p| (2..=most).contains(*p)).map(|p| (name, Some(*p), None)));
        }
        let fitting: Vec<usize> = self.directions.iter().copied().filter(|p| (2..=d).contains(p)).collect();
        for radius in self.radii {
            plan.extend(fitting.iter().map(|p| ("stencil", Some(*p), Some(*radius))));
        }
        let bar = progress.start(format!("{} ({output})", spec.id), plan.len() as u64);
        let mut exact: Vec<Option<Spectrum>> = Vec::new();
        let mut truth = Vec::new();
        let mut k = 0;
        let mut trials = Vec::new();
        for (name, directions, radius) in plan {
            cancel.check(|| "nothing was written".into())?;
            let settings = EstimatorSettings {
                directions,
                radius: radius.unwrap_or(self.settings.radius),
                ..self.settings.clone()
            };
            let (spectra, seconds) = self.timed(g, name, &settings, cancel)?;
            if name == "exact" {
                let values: Vec<Vec<f64>> = spectra.iter().flatten().map(|s| s.singular_values.clone()).collect();
                k = self.model_rank.unwrap_or_else(|| model_rank(&values)).max(1);
                truth = spectra.iter().map(|s| s.as_ref().and_then(|s| psi_k(&s.singular_values, k))).collect();
                exact.clone_from(&spectra);
            }
            let row = Row { output, name, radius, seconds, k };
            trials.push(row.trial("psi_k", &spectra, &truth));
            if name == "exact" {
                trials.extend(["ln_frobenius", "sigma_1"].map(|rival| row.trial(rival, &spectra, &truth)));
            }
            bar.advance(1);
        }
        bar.finish();
        let mut ranks: Vec<usize> = exact.iter().flatten().map(Spectrum::rank).collect();
        ranks.sort_unstable();
        Ok(Convergence { trials, model_rank: k, exact: truth, rank: ranks.get(ranks.len() / 2).copied().unwrap_or(0) })
    }

    fn timed(
        &self,
        g: &dyn Generator,
        name: &str,
        settings: &EstimatorSettings,
        cancel: &Cancel,
    ) -> Result<(Vec<Option<Spectrum>>, f64)> {
        let estimator = estimator_with(name, settings)?;
        let d = g.spec().latent_width;
        let calls = || self.latents.chunks(CALL * d);
        // Frames are drawn and memory is taken once, not per latent.
        estimator.spectra(g, &self.latents[..d.min(self.latents.len())])?;
        let begin = Instant::now();
        let mut found = Vec::new();
        for call in calls() {
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
            // Fewer directions than k: ψ over all of them.
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
