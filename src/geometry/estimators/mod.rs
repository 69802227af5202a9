//! Ways to the spectrum of the Jacobian, one file each, behind one trait.

mod exact;

use super::Spectrum;
use crate::error::{Result, did_you_mean};
use crate::generator::Generator;

/// Finds the spectrum of ∂G/∂z at each of some latents.
pub trait JacobianEstimator: Send + Sync {
    /// Name in the table.
    fn name(&self) -> &'static str;

    /// One entry per row of `latents` (`[n, d]`, row-major); `None` where a value of the Jacobian is
    /// not finite. Row i depends on latent i alone.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] when the device has failed.
    fn spectra(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Spectrum>>>;
}

/// One row of the table of estimators.
pub struct EstimatorRow {
    /// As `--estimator NAME`.
    pub name: &'static str,
    /// One line for `isoline list estimators`.
    pub about: &'static str,
    /// Makes one.
    pub make: fn() -> Box<dyn JacobianEstimator>,
}

/// Every estimator.
pub static ESTIMATORS: &[EstimatorRow] = &[exact::ROW];

/// The estimator of that name.
///
/// # Errors
/// [`crate::error::Error::Config`] with the nearest name.
pub fn estimator(name: &str) -> Result<Box<dyn JacobianEstimator>> {
    match ESTIMATORS.iter().find(|e| e.name == name) {
        Some(row) => Ok((row.make)()),
        None => {
            let known: Vec<&str> = ESTIMATORS.iter().map(|e| e.name).collect();
            Err(crate::error::Error::config(
                format!("--estimator {name}"),
                format!("no such estimator{}", did_you_mean(name, known)),
            ))
        }
    }
}
