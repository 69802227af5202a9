//! ψ_k of the generator's map latent → picture. For a diffusion model that map is its few-step sampler.

use super::{HELD_OUT, Place, Quantity, QuantityRow, Reading, by, estimator, pass};
use crate::error::Result;
use crate::generator::{Generator, Spec};
use crate::geometry::JacobianEstimator;

pub const ROW: QuantityRow = QuantityRow {
    name: "psi",
    about: "psi_k of the map latent -> picture: its change of volume, hence -ln p up to the prior; any generator",
    symbol: "psi_k",
    axis: "psi_k (nats)",
    place: Place::Latent,
    of_spectrum: true,
    has_sigma: false,
    make: |_, name| Ok(Box::new(Psi::of(name, 0)?)),
};

struct Psi {
    estimator: Box<dyn JacobianEstimator>,
    name: String,
    /// Key of the directions.
    seed: u64,
}

impl Psi {
    fn of(name: &str, seed: u64) -> Result<Self> {
        Ok(Self { estimator: estimator(name, seed)?, name: name.to_owned(), seed })
    }
}

impl Quantity for Psi {
    fn row(&self) -> &'static QuantityRow {
        &ROW
    }

    fn check(&self, generator: &dyn Generator) -> Result<()> {
        self.directions(generator.spec()).map(|_| ())
    }

    fn how(&self) -> String {
        by(&self.name, self.seed)
    }

    fn directions(&self, spec: &Spec) -> Result<usize> {
        self.estimator.directions(spec)
    }

    fn evaluations(&self, generator: &dyn Generator) -> Result<usize> {
        Ok(pass(generator) * self.estimator.evaluations(generator.spec())?)
    }

    fn held_out(&self) -> Result<Option<Box<dyn Quantity>>> {
        let other = || Ok(Box::new(Self::of(&self.name, HELD_OUT)?) as Box<dyn Quantity>);
        (!self.estimator.is_exact()).then(other).transpose()
    }

    fn read(&self, generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Reading>>> {
        let spectra = self.estimator.spectra(generator, latents)?;
        Ok(spectra.into_iter().map(|s| s.map(Reading::Spectrum)).collect())
    }
}
