//! Estimators of the spectrum of the Jacobian A = ∂G/∂z, one file each (theory, 6 to 9). To add one, write its file and
//! put its row into [`ESTIMATORS`].
//!
//! | name | measures | cost per latent |
//! |---|---|---|
//! | `exact` | A | d tangents |
//! | `input-subspace` | A·B, B of P orthonormal columns | P tangents |
//! | `output-projection` | W·A, W of P orthonormal rows | P reverse passes |
//! | `stencil` | central differences along P directions | 2P evaluations |

mod exact;
mod input_subspace;
mod output_projection;
mod stencil;

use super::Spectrum;
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{Generator, Spec};

/// A way to compute the spectrum of ∂G/∂z at each of a list of latents.
pub trait JacobianEstimator: Send + Sync {
    /// Its name in [`ESTIMATORS`].
    fn name(&self) -> &'static str;

    /// Whether its singular values are those of the Jacobian itself, up to rounding. False for every estimator that
    /// samples directions.
    fn is_exact(&self) -> bool {
        false
    }

    /// P, the number of directions it takes on a generator of this kind.
    ///
    /// # Errors
    /// [`Error::Key`] when the number that was set does not fit the generator.
    fn directions(&self, spec: &Spec) -> Result<usize>;

    /// Evaluations of the generator for one spectrum: one at the latent, and one for each tangent or adjoint.
    ///
    /// # Errors
    /// Those of [`directions`](Self::directions).
    fn evaluations(&self, spec: &Spec) -> Result<usize> {
        Ok(1 + self.directions(spec)?)
    }

    /// The spectrum at each of `latents` (`[n, d]` row-major), n entries; `None` where the latent or a value of the
    /// Jacobian is not finite. Entry i depends on latent i alone.
    ///
    /// # Errors
    /// [`Error::Device`] when the device has failed, and those of [`directions`](Self::directions).
    fn spectra(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Spectrum>>>;
}

/// Settings of an estimator. One that does not use a setting ignores it, except for a number of directions that does
/// not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct EstimatorSettings {
    /// The number of directions P; the estimator's own default if absent.
    pub directions: Option<usize>,
    /// The factor c in the radius h = c·‖z‖/√d of a stencil.
    pub radius: f64,
    /// Seed of the directions, see [`crate::geometry::frame()`].
    pub seed: u64,
    /// Rough number of bytes that one pass through the network may take. It decides how the work is divided, not what
    /// is measured.
    pub memory: usize,
    /// Upper bound on the number of sets of directions that the jackknife leaves out in turn. Below 2 there is no
    /// jackknife, and so no standard error for the choice of directions.
    pub replicates: usize,
}

impl Default for EstimatorSettings {
    fn default() -> Self {
        Self { directions: None, radius: 0.01, seed: 0, memory: 192 << 20, replicates: 32 }
    }
}

impl EstimatorSettings {
    /// Checks the settings as far as possible without a generator.
    ///
    /// # Errors
    /// [`Error::Key`] for the first setting out of range.
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

    /// The radius h = c·‖z‖/√d at one latent (`[d]`): c times the root mean square of its values.
    pub fn radius_at(&self, latent: &[f32]) -> f64 {
        let square: f64 = latent.iter().map(|v| f64::from(*v).powi(2)).sum();
        self.radius * (square / latent.len().max(1) as f64).sqrt()
    }

    /// P as set, or `usual` capped at `most`; `what` tells the reader of the message what `most` is.
    fn directions_within(&self, usual: usize, most: usize, what: &str) -> Result<usize> {
        let p = self.directions.unwrap_or(usual.min(most));
        // A single direction out of several has no spread from which its error could be judged.
        if !(2.min(most)..=most).contains(&p) {
            let message = format!("expected {} to {most}, {what}, found {p}", 2.min(most));
            return Err(Error::key("directions", message));
        }
        Ok(p)
    }
}

/// Which settings change the result of an estimator, and so are worth varying in a study.
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
    /// Its name, as in `--estimator NAME`.
    pub name: &'static str,
    /// One line for `isoline list estimators`.
    pub about: &'static str,
    /// What its ψ is an estimate of, for people.
    pub estimates: &'static str,
    /// What it is called in the title of a plot.
    pub label: &'static str,
    /// Which settings change its estimate.
    pub varies: Varies,
    /// Builds the estimator with these settings, which have been checked.
    pub make: fn(&EstimatorSettings) -> Box<dyn JacobianEstimator>,
}

/// Every estimator, in the order of `isoline list estimators`.
pub static ESTIMATORS: &[EstimatorRow] = &[exact::ROW, input_subspace::ROW, output_projection::ROW, stencil::ROW];

/// The estimator called `name` with default settings. `name:P` sets the number of directions, as in
/// `input-subspace:16`.
///
/// # Errors
/// [`Error::Key`] for an unknown name, with the nearest one, or for something after the colon that is not a number.
pub fn estimator(name: &str) -> Result<Box<dyn JacobianEstimator>> {
    estimator_with(name, &EstimatorSettings::default())
}

/// The estimator called `name` with the given settings; `name:P` works as in [`estimator`].
///
/// # Errors
/// [`Error::Key`] for an unknown name, for a setting out of range, or when name and settings disagree on P.
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

/// The row of the table for a name, and the number of directions after the name's colon, if any.
///
/// # Errors
/// [`Error::Key`] for an unknown name, with the nearest one, or for something after the colon that is not a number.
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
