//! The exact Jacobian (theory, 6): all d columns by forward-mode tangents, in chunks.

use super::{EstimatorRow, EstimatorSettings, JacobianEstimator};
use crate::error::{Error, Result};
use crate::generator::{Generator, Spec};
use crate::geometry::Spectrum;
use crate::geometry::pushforward::push;
use crate::linalg::right_singular;
use rayon::prelude::*;

pub const ROW: EstimatorRow = EstimatorRow {
    name: "exact",
    about: "all columns of the Jacobian by forward-mode tangents, spectrum in f64; cost d tangents",
    estimates: "psi of the Jacobian itself; its error is rounding, within a linear piece",
    make: |settings| Box::new(Exact { settings: settings.clone() }),
};

struct Exact {
    settings: EstimatorSettings,
}

impl JacobianEstimator for Exact {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn directions(&self, spec: &Spec) -> Result<usize> {
        match self.settings.directions {
            Some(p) if p != spec.latent_width => Err(Error::config(
                "--directions",
                format!(
                    "exact takes all {} directions, found {p}; leave it out or choose another --estimator",
                    spec.latent_width
                ),
            )),
            _ => Ok(spec.latent_width),
        }
    }

    fn spectra(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Spectrum>>> {
        let d = self.directions(generator.spec())?;
        let mut identity = vec![0.0f32; d * d];
        (0..d).for_each(|j| identity[j * d + j] = 1.0);
        let jacobians = push(generator, latents, &identity, self.settings.memory)?;
        Ok(jacobians.par_iter().zip(latents.par_chunks(d)).map(|(rows, z)| spectrum(rows, z)).collect())
    }
}

/// From the transposed Jacobian: row j is ∂G/∂z_j.
fn spectrum(rows: &[f32], z: &[f32]) -> Option<Spectrum> {
    if rows.iter().chain(z).any(|v| !v.is_finite()) {
        return None;
    }
    let width = rows.len() / z.len();
    Some(Spectrum::exact(right_singular(rows, z.len(), width), z, width, ROW.name))
}
