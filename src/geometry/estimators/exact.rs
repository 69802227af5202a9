//! The exact Jacobian (theory, 6): all d columns by forward-mode tangents, in chunks.

use super::{EstimatorRow, EstimatorSettings, JacobianEstimator};
use crate::error::{Error, Result};
use crate::generator::{Generator, Spec};
use crate::geometry::Spectrum;
use crate::geometry::gram::{Directions, grams};
use crate::geometry::pushforward::push;
use crate::linalg::{eigenvalues_along, right_singular};
use crate::nn::host::HostChain;
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
        if let Some(chain) = generator.host() {
            return Ok(on_host(chain, latents, self.settings.memory));
        }
        let mut identity = vec![0.0f32; d * d];
        (0..d).for_each(|j| identity[j * d + j] = 1.0);
        let jacobians = push(generator, latents, &identity, self.settings.memory)?;
        Ok(jacobians.par_iter().zip(latents.par_chunks(d)).map(|(rows, z)| spectrum(rows, z)).collect())
    }
}

/// Through Gram matrices in f64: their eigenvalues are off by some d·eps(f64)·λ₁, so σ_i by d·eps(f64)·σ₁²/σ_i.
/// The Jacobian itself is rounded to f32, which moves every σ_i by some eps(f32)·σ₁: the larger of the two for
/// every σ_i above d·1e-9·σ₁. So nothing is lost by the square of the condition number here.
fn on_host(chain: &HostChain, latents: &[f32], memory: usize) -> Vec<Option<Spectrum>> {
    let d = chain.width();
    grams(chain, latents, Directions::Units, memory, |i, gram| {
        let z = &latents[i * d..(i + 1) * d];
        let (eigenvalues, rotated) = eigenvalues_along(&gram?, &z.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        let singular_values = eigenvalues.iter().map(|v| v.max(0.0).sqrt()).collect();
        Some(Spectrum::whole(singular_values, rotated, chain.features(), ROW.name, false))
    })
}

/// From the transposed Jacobian: row j is ∂G/∂z_j.
fn spectrum(rows: &[f32], z: &[f32]) -> Option<Spectrum> {
    if rows.iter().chain(z).any(|v| !v.is_finite()) {
        return None;
    }
    let width = rows.len() / z.len();
    Some(Spectrum::exact(right_singular(rows, z.len(), width), z, width, ROW.name))
}
