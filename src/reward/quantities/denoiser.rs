//! ψ_k of the denoiser at a noise level σ, taken as a map x_σ → x₀, around a picture.

use super::{HELD_OUT, Place, Quantity, QuantityRow, Reading, by, check_level, estimator, sampler};
use crate::error::Result;
use crate::generator::{AtSigma, Generator, Spec};
use crate::geometry::JacobianEstimator;
use crate::noise::{self, Stream};

pub const ROW: QuantityRow = QuantityRow {
    name: "denoiser-psi",
    about: "psi_k of the denoiser at a noise level, at the picture with that much noise; diffusion models, any picture",
    symbol: "denoiser_psi_k",
    axis: "psi_k of the denoiser (nats)",
    place: Place::Picture,
    of_spectrum: true,
    has_sigma: true,
    make: |sigma, name| Ok(Box::new(DenoiserPsi::of(sigma, name, 0)?)),
};

struct DenoiserPsi {
    sigma: f64,
    estimator: Box<dyn JacobianEstimator>,
    name: String,
    /// Key of the directions.
    seed: u64,
}

impl DenoiserPsi {
    fn of(sigma: f64, name: &str, seed: u64) -> Result<Self> {
        Ok(Self { sigma, estimator: estimator(name, seed)?, name: name.to_owned(), seed })
    }
}

impl Quantity for DenoiserPsi {
    fn row(&self) -> &'static QuantityRow {
        &ROW
    }

    fn check(&self, generator: &dyn Generator) -> Result<()> {
        check_level(sampler(generator)?, self.sigma)?;
        self.directions(generator.spec()).map(|_| ())
    }

    fn how(&self) -> String {
        format!("{} at {}", by(&self.name, self.seed), self.sigma)
    }

    fn directions(&self, spec: &Spec) -> Result<usize> {
        self.estimator.directions(spec)
    }

    fn evaluations(&self, generator: &dyn Generator) -> Result<usize> {
        self.estimator.evaluations(generator.spec())
    }

    /// The draw of noise belongs to what is measured, so it stays.
    fn held_out(&self) -> Result<Option<Box<dyn Quantity>>> {
        let other = || Ok(Box::new(Self::of(self.sigma, &self.name, HELD_OUT)?) as Box<dyn Quantity>);
        (!self.estimator.is_exact()).then(other).transpose()
    }

    fn read(&self, generator: &dyn Generator, pictures: &[f32]) -> Result<Vec<Option<Reading>>> {
        self.check(generator)?;
        let map = AtSigma::new(sampler(generator)?, self.sigma)?;
        // All pictures get the same draw of noise, so that two readings differ only by their pictures.
        let width = generator.spec().state_width();
        let noise = noise::normals(0, 0, Stream::Probe, 6, width);
        let noised = pictures.iter().zip(noise.iter().cycle()).map(|(x, e)| x + self.sigma as f32 * e);
        let spectra = self.estimator.spectra(&map, &noised.collect::<Vec<f32>>())?;
        Ok(spectra.into_iter().map(|s| s.map(Reading::Spectrum)).collect())
    }
}
