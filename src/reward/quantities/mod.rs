//! The quantities a reward can learn and a run can be steered to, one file each: a number per sample that grows with
//! its novelty.

mod denoiser;
mod dimension;
mod likelihood;
mod psi;
mod rarity;

use crate::diffusion::{Trace, check_levels};
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{Generator, Sampler, Spec};
use crate::geometry::{EstimatorSettings, JacobianEstimator, Spectrum, estimator_with, psi_k};

/// What was measured of one sample.
#[derive(Clone, Debug)]
pub enum Reading {
    /// A spectrum; the number is its ψ_k.
    Spectrum(Spectrum),
    /// The number itself.
    Value(f64),
}

impl Reading {
    /// The number. For a spectrum that is ψ_k at the model rank `k`; `None` where it is undefined.
    pub fn value(&self, k: usize) -> Option<f64> {
        match self {
            Self::Spectrum(spectrum) => psi_k(&spectrum.singular_values, k),
            Self::Value(value) => Some(*value),
        }
    }

    /// The spectrum, if this reading is one.
    pub fn spectrum(&self) -> Option<&Spectrum> {
        match self {
            Self::Spectrum(spectrum) => Some(spectrum),
            Self::Value(_) => None,
        }
    }
}

/// Where a quantity is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the latent. A guided picture must first be carried back to the noise it would have come from.
    Latent,
    /// At the picture, no matter how it was made.
    Picture,
}

/// A number that can be measured for every sample.
pub trait Quantity: Send + Sync {
    /// Its row in [`QUANTITIES`].
    fn row(&self) -> &'static QuantityRow;

    /// Checks that it can be measured on this generator.
    ///
    /// # Errors
    /// [`Error::Config`] where the model has no denoiser, its denoiser does not cover the noise level, or there are too
    /// few directions.
    fn check(&self, generator: &dyn Generator) -> Result<()>;

    /// How it is measured, for recipes: the estimator of the spectrum or of the trace, and the noise level if there is
    /// one.
    fn how(&self) -> String;

    /// How many tangents one sample needs at a time, for memory estimates.
    ///
    /// # Errors
    /// [`Error::Config`] where the estimator's number of directions does not fit the generator.
    fn directions(&self, spec: &Spec) -> Result<usize>;

    /// Network evaluations of one reading: one at the point, and one for each tangent through it. A pass through a
    /// sampler counts as many as it has denoiser calls.
    ///
    /// # Errors
    /// Those of [`directions`](Self::directions).
    fn evaluations(&self, generator: &dyn Generator) -> Result<usize>;

    /// The same quantity by other directions, the [`HELD_OUT`] ones, which neither labels nor steering ever use. `None`
    /// where it is exact: then no directions are drawn, and there is nothing to hold out.
    ///
    /// # Errors
    /// [`Error::Bug`].
    fn held_out(&self) -> Result<Option<Box<dyn Quantity>>>;

    /// Readings at `points` (`[n, width]`, row-major), which are latents or pictures depending on
    /// [`QuantityRow::place`]. `None` where a value is not finite. Reading i depends on point i alone.
    ///
    /// # Errors
    /// [`Error::Device`], and those of [`check`](Self::check).
    fn read(&self, generator: &dyn Generator, points: &[f32]) -> Result<Vec<Option<Reading>>>;
}

/// Key of the directions that are held out: labels and steering always take those of key 0.
pub const HELD_OUT: u64 = 1;

/// The estimator called `name` with directions of this key.
fn estimator(name: &str, seed: u64) -> Result<Box<dyn JacobianEstimator>> {
    estimator_with(name, &EstimatorSettings { seed, ..EstimatorSettings::default() })
}

/// What an estimator with directions of this key is called.
fn by(name: &str, seed: u64) -> String {
    if seed == 0 { name.to_owned() } else { format!("{name} of frame {seed}") }
}

/// Network evaluations of one pass latent → picture.
fn pass(generator: &dyn Generator) -> usize {
    generator.as_sampler().map_or(1, |s| s.sampling().evaluations())
}

/// One row of the table of quantities.
#[derive(Debug)]
pub struct QuantityRow {
    /// As written in `labels.quantity`; if it belongs to a noise level, `:SIGMA` follows.
    pub name: &'static str,
    /// One line for the output of `isoline list quantities`.
    pub about: &'static str,
    /// Its name in tables and files, and of its tensor in `calibration.safetensors`.
    pub symbol: &'static str,
    /// Its name with unit, as a plot's axis label.
    pub axis: &'static str,
    /// Where it is measured.
    pub place: Place,
    /// Whether its readings are spectra.
    pub of_spectrum: bool,
    /// Whether it is measured at a noise level, given after the name.
    pub has_sigma: bool,
    /// Builds one from the noise level (0 if it has none) and the estimator's name.
    pub make: fn(f64, &str) -> Result<Box<dyn Quantity>>,
}

/// Every quantity. The first is the default of a config that does not name one.
pub static QUANTITIES: &[QuantityRow] = &[psi::ROW, denoiser::ROW, likelihood::ROW, dimension::ROW, rarity::ROW];

/// The quantity called `name`, such as `psi` or `denoiser-psi:0.3`, measured by the estimator called `estimator`.
///
/// # Errors
/// [`Error::Config`] for an unknown name (with the nearest one), a bad noise level, or a bad estimator.
pub fn quantity(name: &str, estimator: &str) -> Result<Box<dyn Quantity>> {
    let (bare, sigma) = name.split_once(':').map_or((name, None), |(bare, sigma)| (bare, Some(sigma)));
    let bad = |message: String| Error::key_found("labels.quantity", name, message);
    let Some(row) = QUANTITIES.iter().find(|q| q.name == bare) else {
        let near = did_you_mean(bare, QUANTITIES.iter().map(|q| q.name));
        return Err(bad(format!("no such quantity{near}")));
    };
    let sigma = match (row.has_sigma, sigma) {
        (false, None) => 0.0,
        (false, Some(_)) => {
            return Err(bad(format!("\"{bare}\" has no noise level; leave out what follows the colon")));
        }
        (true, sigma) => {
            let number = sigma.and_then(|s| s.parse().ok()).filter(|s: &f64| s.is_finite() && *s > 0.0);
            let message = || format!("expected a noise level above 0 behind a colon, as in {bare}:0.3");
            number.ok_or_else(|| bad(message()))?
        }
    };
    (row.make)(sigma, estimator)
}

/// The diffusion sampler whose denoiser is measured.
fn sampler(generator: &dyn Generator) -> Result<&Sampler> {
    generator.as_sampler().ok_or_else(|| {
        let message = format!("\"{}\" is no diffusion model; take the quantity psi", generator.spec().id);
        Error::key("labels.quantity", message)
    })
}

/// Checks that the denoiser covers a noise level.
fn check_level(sampler: &Sampler, sigma: f64) -> Result<()> {
    check_levels(sampler.denoiser().range(), [sigma; 2], sigma)
        .map_err(|message| Error::key("labels.quantity", message))
}

/// Tangents per sample taken at a time for a trace. The exact trace is computed in pieces of this size.
const TRACE_CHUNK: usize = 64;

/// Parses a trace's estimator: `exact`, or `hutchinson:P` for P probes that all samples share.
fn trace(name: &str) -> Result<Trace> {
    let probes = name.strip_prefix("hutchinson:").and_then(|p| p.parse().ok()).filter(|p| (2..=4096).contains(p));
    match (name, probes) {
        ("exact", _) => Ok(Trace::Exact),
        (_, Some(probes)) => Ok(Trace::Hutchinson { probes, seed: 0 }),
        _ => {
            let message = "expected exact, or hutchinson:P with 2 to 4096 probes, as in hutchinson:8";
            Err(Error::key_found("labels.estimator", name, message))
        }
    }
}

/// The name of a trace's estimator; with probes of key 0 as [`trace`] reads it.
fn trace_name(how: Trace) -> String {
    match how {
        Trace::Exact => "exact".into(),
        Trace::Hutchinson { probes, seed } => by(&format!("hutchinson:{probes}"), seed),
    }
}

/// The same trace by probes that are held out; `None` for the exact one.
fn held_out_trace(how: Trace) -> Option<Trace> {
    match how {
        Trace::Exact => None,
        Trace::Hutchinson { probes, .. } => Some(Trace::Hutchinson { probes, seed: HELD_OUT }),
    }
}

/// Evaluations of one trace: one at the picture, and one for each tangent.
fn trace_evaluations(how: Trace, generator: &dyn Generator) -> usize {
    match how {
        Trace::Exact => 1 + generator.spec().state_width(),
        Trace::Hutchinson { probes, .. } => 1 + probes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_need() {
        for (name, estimator, wanted) in [
            ("psi", "exact", None),
            ("denoiser-psi:0.3", "input-subspace:16", None),
            ("likelihood", "hutchinson:4", None),
            ("dimension:0.1", "exact", None),
            ("psi:0.3", "exact", Some("has no noise level")),
            ("denoiser-psi", "exact", Some("behind a colon")),
            ("denoiser-psi:-1", "exact", Some("above 0")),
            ("dimension:nan", "exact", Some("above 0")),
            ("dimenson:0.1", "exact", Some("did you mean \"dimension\"")),
            ("likelihood", "input-subspace:16", Some("hutchinson:P")),
            ("likelihood", "hutchinson:1", Some("2 to 4096")),
            ("psi", "hutchinson:8", Some("no such estimator")),
            ("rarity", "peeps-attributes", None),
            ("rarity:1", "peeps-attributes", Some("has no noise level")),
            ("rarity", "peeps-atributes", Some("did you mean \"peeps-attributes\"")),
        ] {
            match (quantity(name, estimator), wanted) {
                (Ok(_), None) => {}
                (Err(e), Some(wanted)) if e.to_string().contains(wanted) => {}
                (found, _) => panic!("{name} {estimator}: {:?}", found.err().map(|e| e.to_string())),
            }
        }
    }
}
