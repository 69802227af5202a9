//! The exact Jacobian (theory, 6): all d columns by forward-mode tangents, in chunks.

use super::{EstimatorRow, JacobianEstimator};
use crate::error::Result;
use crate::generator::Generator;
use crate::geometry::Spectrum;
use crate::linalg::right_singular;
use crate::nn::Tangents;
use crate::tensors::{host, rows};
use rayon::prelude::*;

pub const ROW: EstimatorRow = EstimatorRow {
    name: "exact",
    about: "all columns of the Jacobian by forward-mode tangents, spectrum in f64; no bias, cost d tangents",
    make: || Box::new(Exact),
};

/// Bytes that one chunk of tangents may take in the widest layer; a few such buffers live at once.
const CHUNK_BYTES: usize = 48 << 20;

struct Exact;

impl JacobianEstimator for Exact {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn spectra(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Spectrum>>> {
        let d = generator.spec().latent_width;
        let jacobians = jacobian_rows(generator, latents)?;
        Ok(jacobians.par_iter().zip(latents.par_chunks(d)).map(|(rows, z)| spectrum(rows, z)).collect())
    }
}

/// For each latent the transposed Jacobian: row j is ∂G/∂z_j, `[d, D]` row-major.
fn jacobian_rows(generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Vec<f32>>> {
    let spec = generator.spec();
    let d = spec.latent_width;
    let n = latents.len() / d;
    let z = rows(latents.to_vec(), d, generator.device());
    let chunk = (CHUNK_BYTES / (4 * n.max(1) * spec.widest)).clamp(1, d);
    let mut jacobians: Vec<Vec<f32>> = vec![Vec::new(); n];
    for first in (0..d).step_by(chunk) {
        let k = chunk.min(d - first);
        let mut directions = vec![0.0f32; k * d];
        (0..k).for_each(|j| directions[j * d + first + j] = 1.0);
        let (_, tangents) = generator.tangents(z.clone(), Tangents::shared(rows(directions, d, generator.device())));
        let cube = host(tangents.expanded(n))?;
        let part = cube.len() / n.max(1);
        for (jacobian, columns) in jacobians.iter_mut().zip(cube.chunks_exact(part.max(1))) {
            jacobian.extend_from_slice(columns);
        }
    }
    Ok(jacobians)
}

fn spectrum(rows: &[f32], z: &[f32]) -> Option<Spectrum> {
    if rows.iter().chain(z).any(|v| !v.is_finite()) {
        return None;
    }
    let d = z.len();
    let found = right_singular(rows, d, rows.len() / d);
    let rotated =
        (0..found.vectors.ncols()).map(|i| found.vectors.column(i).iter().zip(z).map(|(v, z)| v * f64::from(*z)).sum());
    Some(Spectrum {
        rotated_latent: rotated.collect(),
        singular_values: found.singular_values,
        n_directions: d,
        estimator: ROW.name,
        sample_width: rows.len() / d,
        by_qr: found.by_qr,
    })
}
