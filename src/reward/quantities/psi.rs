//! ψ_k of the generator's map latent → picture. For a diffusion model that map is its few-step sampler.

use super::{Place, Quantity, QuantityRow, Reading};
use crate::error::Result;
use crate::generator::{Generator, Spec};
use crate::geometry::{JacobianEstimator, estimator};

pub const ROW: QuantityRow = QuantityRow {
    name: "psi",
    about: "psi_k of the map latent -> picture: its change of volume, hence -ln p up to the prior; any generator",
    symbol: "psi_k",
    axis: "psi_k (nats)",
    place: Place::Latent,
    of_spectrum: true,
    has_sigma: false,
    make: |_, name| Ok(Box::new(Psi { estimator: estimator(name)?, name: name.to_owned() })),
};

struct Psi {
    estimator: Box<dyn JacobianEstimator>,
    name: String,
}

impl Quantity for Psi {
    fn row(&self) -> &'static QuantityRow {
        &ROW
    }

    fn check(&self, generator: &dyn Generator) -> Result<()> {
        self.directions(generator.spec()).map(|_| ())
    }

    fn how(&self) -> String {
        self.name.clone()
    }

    fn directions(&self, spec: &Spec) -> Result<usize> {
        self.estimator.directions(spec)
    }

    fn read(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Reading>>> {
        let spectra = self.estimator.spectra(generator, latents)?;
        Ok(spectra.into_iter().map(|s| s.map(Reading::Spectrum)).collect())
    }
}
