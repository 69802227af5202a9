//! Central differences over a cross-polytope (theory, 9): 2P evaluations and no derivative. On a piecewise-linear
//! network it averages the Jacobian over the pieces it reaches. So it is smooth in z where A is not, and it is never
//! exact.

use super::{EstimatorRow, EstimatorSettings, JacobianEstimator, Varies};
use crate::error::Result;
use crate::generator::{Generator, Spec};
use crate::geometry::Spectrum;
use crate::geometry::frame::{FrameCache, Use};
use crate::geometry::pushforward::rows_within;
use crate::geometry::sketch::Sketch;
use crate::tensors::{host, rows};
use rayon::prelude::*;

pub const ROW: EstimatorRow = EstimatorRow {
    name: "stencil",
    about: "(G(z + h v) − G(z − h v)) / 2h over P directions, h = radius·‖z‖/√d; no derivative; P = 32, at most d",
    estimates: "psi of the mean Jacobian over the stencil, on a random P-dimensional subspace; smooth in z",
    label: "Stencil",
    varies: Varies::Radius,
    make: |settings| Box::new(Stencil { settings: settings.clone(), frames: FrameCache::default() }),
};

/// Relative error of one evaluation of a network in f32: 4 eps, which is what rounding errors leave when they add up
/// like a random walk.
const VALUE_ERROR: f64 = 4.0 * f32::EPSILON as f64;

struct Stencil {
    settings: EstimatorSettings,
    frames: FrameCache,
}

impl JacobianEstimator for Stencil {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn directions(&self, spec: &Spec) -> Result<usize> {
        self.settings.directions_within(32, spec.latent_width, "the latent's width")
    }

    /// No derivative: two evaluations for each direction.
    fn evaluations(&self, spec: &Spec) -> Result<usize> {
        Ok(2 * self.directions(spec)?)
    }

    fn spectra(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Spectrum>>> {
        let spec = generator.spec();
        let (p, d) = (self.directions(spec)?, spec.latent_width);
        let frame = self.frames.get(self.settings.seed, Use::Input, p, d);
        let found = differences(generator, latents, &frame, &self.settings)?;
        let of = |(found, latent): (&Differences, &[f32])| {
            let sketch = Sketch {
                estimator: ROW.name,
                products: &found.columns,
                directions: p,
                latent,
                sample_width: found.columns.len() / p,
                h: Some(found.h),
                error: found.error,
                replicates: self.settings.replicates,
            };
            sketch.of_inputs(&frame)
        };
        Ok(found.par_iter().zip(latents.par_chunks(d)).map(of).collect())
    }
}

/// The difference quotients at one latent.
struct Differences {
    /// Radius of the stencil.
    h: f64,
    /// (G(z + h v_p) − G(z − h v_p)) / 2h for each p, `[P, D]`.
    columns: Vec<f32>,
    /// Norm of their rounding error: that of 2P values with the relative error [`VALUE_ERROR`], divided by 2h.
    error: f64,
}

/// The difference quotients at each of `latents` (`[n, d]`) along the directions `frame` (`[P, d]`).
fn differences(
    g: &dyn Generator,
    latents: &[f32],
    frame: &[f32],
    settings: &EstimatorSettings,
) -> Result<Vec<Differences>> {
    let spec = g.spec();
    let d = spec.latent_width;
    let mut found: Vec<Differences> = latents
        .chunks_exact(d)
        .map(|z| Differences { h: settings.radius_at(z), columns: Vec::new(), error: 0.0 })
        .collect();
    let at_once = (rows_within(settings.memory, spec.widest) / 2).max(1);
    let p = frame.len() / d;
    let chunk = at_once.min(p);
    let samples = (at_once / chunk).max(1);
    for (latents, found) in latents.chunks(samples * d).zip(found.chunks_mut(samples)) {
        for part in frame.chunks(chunk * d) {
            let side = |sign: f32| {
                let vertices =
                    latents.chunks_exact(d).zip(&*found).flat_map(|(z, f)| vertices(z, part, sign * f.h as f32));
                g.measured(rows(vertices.collect(), d, g.device()))
            };
            let (plus, minus) = (side(1.0), side(-1.0));
            let squares = host((plus.clone() * plus.clone()).sum_dim(1))?;
            let values = host(plus - minus)?;
            let k = part.len() / d;
            let width = values.len() / (k * found.len());
            let each = values.chunks_exact(k * width).zip(squares.chunks_exact(k));
            for (f, (values, squares)) in found.iter_mut().zip(each) {
                f.columns.extend(values.iter().map(|v| (f64::from(*v) / (2.0 * f.h)) as f32));
                let sum: f64 = squares.iter().map(|v| 2.0 * f64::from(*v)).sum();
                f.error = f.error.hypot(VALUE_ERROR * sum.sqrt() / (2.0 * f.h));
            }
        }
    }
    Ok(found)
}

/// z + s·v for each direction v of `part` (`[k, d]`), `[k, d]` row-major.
fn vertices(z: &[f32], part: &[f32], s: f32) -> Vec<f32> {
    part.chunks_exact(z.len()).flat_map(|v| z.iter().zip(v).map(move |(z, v)| z + s * v)).collect()
}
