//! The Jacobian seen through a random projection of sample space (theory, 7): W·A by P reverse passes. With P ≥ d
//! its ψ has no bias, and a standard error in closed form.

use super::{EstimatorRow, EstimatorSettings, JacobianEstimator, Varies};
use crate::error::{Error, Result};
use crate::generator::{Generator, Spec};
use crate::geometry::Spectrum;
use crate::geometry::frame::{FrameCache, Use};
use crate::geometry::pushforward::rows_within;
use crate::geometry::sketch::Sketch;
use crate::tensors::{host, rows};
use burn::tensor::Tensor;
use rayon::prelude::*;

pub const ROW: EstimatorRow = EstimatorRow {
    name: "output-projection",
    about: "W·A by P reverse passes, W orthonormal and shared by all samples; P = 128, at most the sample's width",
    estimates: "psi without bias at P >= d and full rank; else the mean of psi over random P-dimensional subspaces",
    label: "Output projection",
    varies: Varies::Directions,
    make: |settings| Box::new(OutputProjection { settings: settings.clone(), frames: FrameCache::default() }),
};

struct OutputProjection {
    settings: EstimatorSettings,
    frames: FrameCache,
}

impl JacobianEstimator for OutputProjection {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn directions(&self, spec: &Spec) -> Result<usize> {
        self.settings.directions_within(128, spec.sample_shape.iter().product(), "the sample's width")
    }

    fn spectra(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Spectrum>>> {
        let spec = generator.spec();
        let p = self.directions(spec)?;
        let width = spec.sample_shape.iter().product();
        let w = self.frames.get(self.settings.seed, Use::Output, p, width);
        let products = pull(generator, latents, &w, p, self.settings.memory)?;
        let of = |(products, latent): (&Vec<f32>, &[f32])| {
            let sketch = Sketch {
                estimator: ROW.name,
                products,
                directions: p,
                latent,
                sample_width: width,
                h: None,
                error: 0.0,
                replicates: self.settings.replicates,
            };
            sketch.of_outputs()
        };
        Ok(products.par_iter().zip(latents.par_chunks(spec.latent_width)).map(of).collect())
    }
}

/// For each of `latents` (`[n, d]`) the rows w_p·A, `[P, d]`, which are the gradients of ⟨w_p, G(z)⟩; `w` is `[P, D]`.
/// One backward pass over the repeated latent computes as many rows as `memory` bytes allow.
fn pull(generator: &dyn Generator, latents: &[f32], w: &[f32], p: usize, memory: usize) -> Result<Vec<Vec<f32>>> {
    let spec = generator.spec();
    let (d, width) = (spec.latent_width, w.len() / p);
    let n = latents.len() / d;
    // A backward pass keeps every activation and makes a gradient of the same size for each of them.
    let at_once = rows_within(memory, spec.activations.div_ceil(2));
    let chunk = at_once.min(p);
    let samples = (at_once / chunk).clamp(1, n.max(1));
    let mut products: Vec<Vec<f32>> = vec![Vec::new(); n];
    for (latents, products) in latents.chunks(samples * d).zip(products.chunks_mut(samples)) {
        for part in w.chunks(chunk * width) {
            let (k, n) = (part.len() / width, products.len());
            let repeated: Vec<f32> = latents.chunks_exact(d).flat_map(|z| z.repeat(k)).collect();
            let z = rows(repeated, d, generator.device()).autodiff().require_grad();
            let y = generator.measured(z.clone()).reshape([n, k, width]);
            let weights: Tensor<3> = rows(part.to_vec(), width, generator.device()).reshape([1, k, width]);
            let gradients = (y * weights).sum().backward();
            let gradient = z
                .grad(&gradients)
                .ok_or_else(|| Error::Bug("the generator's output does not depend on the latent".into()))?;
            let values = host(gradient)?;
            products.iter_mut().zip(values.chunks_exact(k * d)).for_each(|(p, v)| p.extend_from_slice(v));
        }
    }
    Ok(products)
}
