//! ψ_k of the denoiser at a noise level σ, taken as a map x_σ → x₀, around a picture.

use super::{Place, Quantity, QuantityRow, Reading, check_level, sampler};
use crate::error::Result;
use crate::generator::{AtSigma, Generator, Spec};
use crate::geometry::{JacobianEstimator, estimator};
use crate::noise::{self, Stream};

pub const ROW: QuantityRow = QuantityRow {
    name: "denoiser-psi",
    about: "psi_k of the denoiser at a noise level, at the picture with that much noise; diffusion models, any picture",
    symbol: "denoiser_psi_k",
    axis: "psi_k of the denoiser (nats)",
    place: Place::Picture,
    of_spectrum: true,
    has_sigma: true,
    make: |sigma, name| Ok(Box::new(DenoiserPsi { sigma, estimator: estimator(name)?, name: name.to_owned() })),
};

struct DenoiserPsi {
    sigma: f64,
    estimator: Box<dyn JacobianEstimator>,
    name: String,
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
        format!("{} at {}", self.name, self.sigma)
    }

    fn directions(&self, spec: &Spec) -> Result<usize> {
        self.estimator.directions(spec)
    }

    fn read(&self, generator: &dyn Generator, pictures: &[f32]) -> Result<Vec<Option<Reading>>> {
        self.check(generator)?;
        let map = AtSigma::new(sampler(generator)?, self.sigma)?;
        // All pictures get the same draw of noise, so that two readings differ only by their pictures.
        let width = generator.spec().sample_shape.iter().product();
        let noise = noise::normals(0, 0, Stream::Probe, 6, width);
        let noised = pictures.iter().zip(noise.iter().cycle()).map(|(x, e)| x + self.sigma as f32 * e);
        let spectra = self.estimator.spectra(&map, &noised.collect::<Vec<f32>>())?;
        Ok(spectra.into_iter().map(|s| s.map(Reading::Spectrum)).collect())
    }
}
