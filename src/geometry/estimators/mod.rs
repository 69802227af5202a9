//! Ways to the spectrum of the Jacobian, one file each, behind one trait.

mod exact;
mod input_subspace;
mod output_projection;
mod stencil;

use super::Spectrum;
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{Generator, Spec};

/// Finds the spectrum of ∂G/∂z at each of some latents.
pub trait JacobianEstimator: Send + Sync {
    /// Name in the table.
    fn name(&self) -> &'static str;

    /// Whether every singular value is that of the Jacobian, up to rounding.
    fn is_exact(&self) -> bool {
        false
    }

    /// P on a generator like this.
    ///
    /// # Errors
    /// [`Error::Config`] where the number asked for does not fit it.
    fn directions(&self, spec: &Spec) -> Result<usize>;

    /// One entry per row of `latents` (`[n, d]`, row-major); `None` where a value of the Jacobian is
    /// not finite. Row i depends on latent i alone.
    ///
    /// # Errors
    /// [`Error::Device`] when the device has failed, and those of [`directions`](Self::directions).
    fn spectra(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Spectrum>>>;
}

/// What may be set on an estimator; those that do not apply are ignored, but for a number of directions
/// that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct EstimatorSettings {
    /// P; the estimator's own number where absent.
    pub directions: Option<usize>,
    /// c of a stencil's radius h = c·‖z‖/√d.
    pub radius: f64,
    /// Key of the directions.
    pub seed: u64,
    /// Bytes that one pass through the network may take, roughly.
    pub memory: usize,
    /// Sets of directions that the jackknife leaves out, at most; 0 for no uncertainty by chance.
    pub replicates: usize,
}

impl Default for EstimatorSettings {
    fn default() -> Self {
        Self { directions: None, radius: 0.01, seed: 0, memory: 192 << 20, replicates: 32 }
    }
}

impl EstimatorSettings {
    /// Checks what needs no generator.
    ///
    /// # Errors
    /// [`Error::Config`] naming the flag.
    pub fn check(&self) -> Result<()> {
        if !(self.radius > 0.0 && self.radius <= 10.0) {
            let message = format!("expected a radius from 0 to 10, in units of ‖z‖/√d, found {}", self.radius);
            return Err(Error::key("radius", message));
        }
        if self.directions == Some(0) {
            return Err(Error::key("directions", "expected at least 1, found 0"));
        }
        if self.memory < 1 << 20 {
            return Err(Error::key("memory", "expected at least 1 MiB"));
        }
        Ok(())
    }

    /// h at a latent: c·‖z‖/√d.
    pub fn radius_at(&self, latent: &[f32]) -> f64 {
        let square: f64 = latent.iter().map(|v| f64::from(*v).powi(2)).sum();
        self.radius * (square / latent.len().max(1) as f64).sqrt()
    }

    /// P, or `usual` capped to `most`.
    fn directions_within(&self, usual: usize, most: usize, what: &str) -> Result<usize> {
        let p = self.directions.unwrap_or(usual.min(most));
        // One direction of several has no spread to tell its error from.
        if !(2.min(most)..=most).contains(&p) {
            let message = format!("expected {} to {most}, {what}, found {p}", 2.min(most));
            return Err(Error::key("directions", message));
        }
        Ok(p)
    }
}

/// What changes an estimate, and so is worth trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Varies {
    /// Nothing.
    Nothing,
    /// The number of directions P.
    Directions,
    /// The number of directions P and the radius c.
    Radius,
}

/// One row of the table of estimators.
pub struct EstimatorRow {
    /// As `--estimator NAME`.
    pub name: &'static str,
    /// One line for `isoline list estimators`.
    pub about: &'static str,
    /// What its ψ is an estimate of.
    pub estimates: &'static str,
    /// What it is called in the title of a plot.
    pub label: &'static str,
    /// What changes its estimate.
    pub varies: Varies,
    /// Makes one.
    pub make: fn(&EstimatorSettings) -> Box<dyn JacobianEstimator>,
}

/// Every estimator.
pub static ESTIMATORS: &[EstimatorRow] = &[exact::ROW, input_subspace::ROW, output_projection::ROW, stencil::ROW];

/// The estimator of that name with its usual settings; `name:P` sets the number of directions, as in
/// `input-subspace:16`.
///
/// # Errors
/// [`Error::Config`] with the nearest name, or for a number that is none.
pub fn estimator(name: &str) -> Result<Box<dyn JacobianEstimator>> {
    estimator_with(name, &EstimatorSettings::default())
}

/// The same with these settings.
///
/// # Errors
/// [`Error::Config`] with the nearest name, for a setting, or for two numbers of directions.
pub fn estimator_with(name: &str, settings: &EstimatorSettings) -> Result<Box<dyn JacobianEstimator>> {
    settings.check()?;
    let (row, directions) = estimator_row(name)?;
    let settings = match (directions, settings.directions) {
        (None, _) => settings.clone(),
        (Some(behind), Some(set)) if behind != set => {
            let message = format!("directions says {set}; leave one of the two out");
            return Err(Error::key_found("estimator", name, message));
        }
        (directions, _) => EstimatorSettings { directions, ..settings.clone() },
    };
    Ok((row.make)(&settings))
}

/// The row of a name, and the number of directions behind its colon.
///
/// # Errors
/// [`Error::Config`] with the nearest name, or for a number that is none.
pub fn estimator_row(name: &str) -> Result<(&'static EstimatorRow, Option<usize>)> {
    let refused = |message: String| Error::key_found("estimator", name, message);
    let (bare, directions) = name.split_once(':').map_or((name, None), |(bare, p)| (bare, Some(p)));
    let row = ESTIMATORS.iter().find(|e| e.name == bare).ok_or_else(|| {
        refused(format!("no such estimator{}", did_you_mean(bare, ESTIMATORS.iter().map(|e| e.name))))
    })?;
    let Some(directions) = directions else { return Ok((row, None)) };
    let number = directions.parse().ok().filter(|p| *p > 0).ok_or_else(|| {
        refused(format!("expected a number of directions behind the colon, found \"{}\"", directions.escape_debug()))
    })?;
    Ok((row, Some(number)))
}
