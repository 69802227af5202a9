//! The exact Jacobian (theory, 6): all d columns by forward-mode tangents, in parts that fit into memory. Every other
//! estimator is tested against it. On the processor it runs in host memory instead of tensors, if the generator has a
//! host form ([`crate::host`]).

use super::{EstimatorRow, EstimatorSettings, JacobianEstimator, Varies};
use crate::error::{Error, Result};
use crate::generator::{Generator, Spec};
use crate::geometry::Spectrum;
use crate::geometry::pushforward::push;
use crate::host::HostGraph;
use crate::host::{Directions, grams};
use crate::linalg::{Tridiagonal, eigenvalues_along, gram_of_rows};
use rayon::prelude::*;

pub const ROW: EstimatorRow = EstimatorRow {
    name: "exact",
    about: "all columns of the Jacobian by forward-mode tangents, spectrum in f64; cost d tangents",
    estimates: "psi of the Jacobian itself; its error is rounding, within a linear piece",
    label: "Exact",
    varies: Varies::Nothing,
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
            Some(p) if p != spec.latent_width => Err(Error::key(
                "directions",
                format!(
                    "exact takes all {} directions, found {p}; leave directions out or choose another estimator",
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
        let each = jacobians.par_iter().zip(latents.par_chunks(d));
        let reduced = each.map(|(rows, z)| reduced(all_finite(&[rows, z]).then(|| gram_of_rows(rows, d)), z)).collect();
        let width = jacobians.first().map_or(0, |rows| rows.len() / d);
        Ok(spectra(reduced, width))
    }
}

/// Spectra from Gram matrices in f64. Squaring the condition number loses nothing here. It moves an eigenvalue by about
/// d·eps(f64)·λ₁, and so σ_i by d·eps(f64)·σ₁²/(2σ_i); but the Jacobian itself, rounded to f32, has already moved every
/// σ_i by about eps(f32)·σ₁, which is more for every σ_i above d·1e-9·σ₁.
fn on_host(chain: &HostGraph, latents: &[f32], memory: usize) -> Vec<Option<Spectrum>> {
    let d = chain.width();
    let one = |i: usize, gram| reduced(gram, &latents[i * d..(i + 1) * d]);
    spectra(grams(chain, latents, Directions::Units, memory, one), chain.features())
}

fn all_finite(values: &[&[f32]]) -> bool {
    values.iter().all(|v| v.iter().all(|v| v.is_finite()))
}

/// The Gram matrix AᵀA (`[d, d]`) and the latent `z` (`[d]`), reduced to tridiagonal form.
fn reduced(gram: Option<Vec<f64>>, z: &[f32]) -> Option<Tridiagonal> {
    Some(Tridiagonal::of(gram?, z.iter().map(|v| f64::from(*v)).collect()))
}

/// The spectrum of each matrix. Solving them all together is quicker than one by one.
fn spectra(reduced: Vec<Option<Tridiagonal>>, sample_width: usize) -> Vec<Option<Spectrum>> {
    let finite: Vec<bool> = reduced.iter().map(Option::is_some).collect();
    let mut solved = eigenvalues_along(&reduced.into_iter().flatten().collect::<Vec<_>>()).into_iter();
    let spectrum = |(eigenvalues, rotated): (Vec<f64>, Vec<f64>)| {
        let singular_values = eigenvalues.iter().map(|v| v.max(0.0).sqrt()).collect();
        Spectrum::whole(singular_values, rotated, sample_width, ROW.name)
    };
    finite.into_iter().map(|finite| if finite { solved.next().map(spectrum) } else { None }).collect()
}
