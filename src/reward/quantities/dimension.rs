//! Local intrinsic dimension of a picture at a noise level (theory, 29).

use super::{
    Place, Quantity, QuantityRow, Reading, TRACE_CHUNK, check_level, held_out_trace, sampler, trace, trace_evaluations,
    trace_name,
};
use crate::diffusion::{Trace, flipd};
use crate::error::Result;
use crate::generator::{Generator, Spec};
use crate::tensors::rows;

pub const ROW: QuantityRow = QuantityRow {
    name: "dimension",
    about: "FLIPD of the picture at a noise level; diffusion models, any picture; estimator exact or hutchinson:P",
    symbol: "dimension",
    axis: "intrinsic dimension",
    place: Place::Picture,
    of_spectrum: false,
    has_sigma: true,
    make: |sigma, name| Ok(Box::new(Dimension { sigma, how: trace(name)? })),
};

struct Dimension {
    sigma: f64,
    how: Trace,
}

impl Quantity for Dimension {
    fn row(&self) -> &'static QuantityRow {
        &ROW
    }

    fn check(&self, generator: &dyn Generator) -> Result<()> {
        let sampler = sampler(generator)?;
        sampler.posterior_mean("labels.quantity")?;
        check_level(sampler, self.sigma)
    }

    fn how(&self) -> String {
        format!("{} at {}", trace_name(self.how), self.sigma)
    }

    fn directions(&self, _: &Spec) -> Result<usize> {
        Ok(TRACE_CHUNK)
    }

    fn evaluations(&self, generator: &dyn Generator) -> Result<usize> {
        Ok(trace_evaluations(self.how, generator))
    }

    fn held_out(&self) -> Result<Option<Box<dyn Quantity>>> {
        Ok(held_out_trace(self.how).map(|how| Box::new(Self { sigma: self.sigma, how }) as Box<dyn Quantity>))
    }

    fn read(&self, generator: &dyn Generator, pictures: &[f32]) -> Result<Vec<Option<Reading>>> {
        self.check(generator)?;
        let sampler = sampler(generator)?;
        let x = rows(pictures.to_vec(), sampler.spec().latent_width, sampler.device());
        let found = flipd(sampler.posterior_mean("labels.quantity")?, &x, self.sigma, self.how)?;
        let value = |v: f64| Some(v).filter(|v| v.is_finite()).map(Reading::Value);
        Ok(found.into_iter().map(|f| value(f.dimension().value)).collect())
    }
}
