//! What a reward learns and a run is steered to: a number of every sample that grows with its novelty, one file each.

mod denoiser;
mod dimension;
mod likelihood;
mod psi;

use crate::diffusion::{Trace, check_levels};
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{Generator, Sampler, Spec};
use crate::geometry::{Spectrum, psi_k};

/// What was measured of one sample.
#[derive(Clone, Debug)]
pub enum Reading {
    /// A spectrum, whose ψ_k is the number.
    Spectrum(Spectrum),
    /// The number itself.
    Value(f64),
}

impl Reading {
    /// The number, at the model rank `k` where it is a ψ_k; `None` where it is undefined.
    pub fn value(&self, k: usize) -> Option<f64> {
        match self {
            Self::Spectrum(spectrum) => psi_k(&spectrum.singular_values, k),
            Self::Value(value) => Some(*value),
        }
    }

    /// The spectrum, where there is one.
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
    /// At the latent: a guided picture must be carried back to the noise it would come from.
    Latent,
    /// At the picture, whatever it was made from.
    Picture,
}

/// A number of a sample.
pub trait Quantity: Send + Sync {
    /// The row of the table.
    fn row(&self) -> &'static QuantityRow;

    /// Whether it can be measured on this generator.
    ///
    /// # Errors
    /// [`Error::Config`] where the model has no denoiser, or none at that noise level, or too few directions.
    fn check(&self, generator: &dyn Generator) -> Result<()>;

    /// How it is found, for recipes: the estimator of a spectrum, or of a trace.
    fn how(&self) -> String;

    /// Tangents that one sample takes at a time, for estimates of memory.
    ///
    /// # Errors
    /// [`Error::Config`] where the number does not fit the generator.
    fn directions(&self, spec: &Spec) -> Result<usize>;

    /// Readings at `points` (`[n, d]`, row-major): latents or pictures, see [`QuantityRow::place`]. `None` where a value is
    /// not finite. Row i depends on point i alone.
    ///
    /// # Errors
    /// [`Error::Device`], and those of [`check`](Self::check).
    fn read(&self, generator: &dyn Generator, points: &[f32]) -> Result<Vec<Option<Reading>>>;
}

/// One row of the table of quantities.
#[derive(Debug)]
pub struct QuantityRow {
    /// As `labels.quantity`; `:SIGMA` follows where it is of a noise level.
    pub name: &'static str,
    /// One line for `isoline list quantities`.
    pub about: &'static str,
    /// Its name in tables and files.
    pub symbol: &'static str,
    /// Its name with unit, for axes.
    pub axis: &'static str,
    /// Where it is measured.
    pub place: Place,
    /// Whether its readings are spectra.
    pub of_spectrum: bool,
    /// Whether a noise level belongs to it.
    pub has_sigma: bool,
    /// Makes one from the noise level, 0 where there is none, and the estimator's name.
    pub make: fn(f64, &str) -> Result<Box<dyn Quantity>>,
}

/// Every quantity; the first is what a config without the key means.
pub static QUANTITIES: &[QuantityRow] = &[psi::ROW, denoiser::ROW, likelihood::ROW, dimension::ROW];

/// The quantity `name`, as in `psi` or `denoiser-psi:0.3`, by the estimator of that name.
///
/// # Errors
/// [`Error::Config`] with the nearest name, for a noise level that is none, and for the estimator.
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

/// The denoiser that a quantity is measured on.
fn sampler(generator: &dyn Generator) -> Result<&Sampler> {
    generator.as_sampler().ok_or_else(|| {
        let message = format!("\"{}\" is no diffusion model; take the quantity psi", generator.spec().id);
        Error::key("labels.quantity", message)
    })
}

/// Whether the denoiser knows a noise level.
fn check_level(sampler: &Sampler, sigma: f64) -> Result<()> {
    check_levels(sampler.denoiser().range(), [sigma; 2], sigma)
        .map_err(|message| Error::key("labels.quantity", message))
}

/// Tangents per sample where a trace takes this many; the exact one goes by pieces.
const TRACE_CHUNK: usize = 64;

/// A trace's estimator: `exact`, or `hutchinson:P` for P probes that all samples share.
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

/// The name of a trace's estimator.
fn trace_name(how: Trace) -> String {
    match how {
        Trace::Exact => "exact".into(),
        Trace::Hutchinson { probes, .. } => format!("hutchinson:{probes}"),
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
        ] {
            match (quantity(name, estimator), wanted) {
                (Ok(_), None) => {}
                (Err(e), Some(wanted)) if e.to_string().contains(wanted) => {}
                (found, _) => panic!("{name} {estimator}: {:?}", found.err().map(|e| e.to_string())),
            }
        }
    }
}
