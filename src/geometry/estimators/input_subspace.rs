//! The Jacobian restricted to a random subspace of latent space (theory, 8): A·B by P tangents. At P < d its ψ is not
//! that of A, but it orders latents in much the same way.

use super::{EstimatorRow, EstimatorSettings, JacobianEstimator, Varies};
use crate::error::Result;
use crate::generator::{Generator, Spec};
use crate::geometry::Spectrum;
use crate::geometry::frame::{FrameCache, Use};
use crate::geometry::pushforward::push;
use crate::geometry::sketch::Sketch;
use crate::host::{Directions, grams};
use crate::linalg::{Tridiagonal, eigenvalues_along};
use rayon::prelude::*;

pub const ROW: EstimatorRow = EstimatorRow {
    name: "input-subspace",
    about: "A·B by P tangents, B orthonormal and shared by all samples; P = 32, at most d",
    estimates: "the mean of psi over random P-dimensional subspaces of latent space; psi itself at P = d",
    label: "Input subspace",
    varies: Varies::Directions,
    make: |settings| Box::new(InputSubspace { settings: settings.clone(), frames: FrameCache::default() }),
};

struct InputSubspace {
    settings: EstimatorSettings,
    frames: FrameCache,
}

impl JacobianEstimator for InputSubspace {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn directions(&self, spec: &Spec) -> Result<usize> {
        self.settings.directions_within(32, spec.latent_width, "the latent's width")
    }

    fn spectra(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Spectrum>>> {
        let spec = generator.spec();
        let (p, d) = (self.directions(spec)?, spec.latent_width);
        let frame = self.frames.get(self.settings.seed, Use::Input, p, d);
        if let Some(chain) = generator.host() {
            let sketch = |i: usize| self.sketch(&[], &latents[i * d..(i + 1) * d], p, chain.features());
            let of = |i: usize, gram: Option<Vec<f64>>| Some(sketch(i).problems(&gram?, &frame));
            let problems = grams(chain, latents, Directions::Rows(&frame), self.settings.memory, of);
            // Those of all latents are solved together: eight matrices take little longer than one.
            let counts: Vec<Option<usize>> = problems.iter().map(|p| p.as_ref().map(Vec::len)).collect();
            let all: Vec<Tridiagonal> = problems.into_iter().flatten().flatten().collect();
            let mut solved = eigenvalues_along(&all).into_iter();
            let spectrum = |(i, count): (usize, Option<usize>)| {
                count.map(|count| sketch(i).of_solved(solved.by_ref().take(count).collect()))
            };
            return Ok(counts.into_iter().enumerate().map(spectrum).collect());
        }
        let products = push(generator, latents, &frame, self.settings.memory)?;
        let of = |(products, latent): (&Vec<f32>, &[f32])| {
            self.sketch(products, latent, p, products.len() / p).of_inputs(&frame)
        };
        Ok(products.par_iter().zip(latents.par_chunks(d)).map(of).collect())
    }
}

impl InputSubspace {
    fn sketch<'a>(&self, products: &'a [f32], latent: &'a [f32], directions: usize, sample_width: usize) -> Sketch<'a> {
        let (estimator, replicates) = (ROW.name, self.settings.replicates);
        Sketch { estimator, products, directions, latent, sample_width, h: None, error: 0.0, replicates }
    }
}
