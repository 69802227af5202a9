//! −ln p of a picture under the probability-flow equation (theory, 30).

use super::{
    Place, Quantity, QuantityRow, Reading, TRACE_CHUNK, held_out_trace, sampler, trace, trace_evaluations, trace_name,
};
use crate::diffusion::{Trace, log_likelihood};
use crate::error::Result;
use crate::generator::{Generator, Spec};
use crate::tensors::rows;

pub const ROW: QuantityRow = QuantityRow {
    name: "likelihood",
    about: "-ln p of the picture by the probability flow; diffusion models, any picture; estimator exact or hutchinson:P",
    symbol: "negative_log_likelihood",
    axis: "-ln p (nats)",
    place: Place::Picture,
    of_spectrum: false,
    has_sigma: false,
    make: |_, name| Ok(Box::new(Likelihood { how: trace(name)? })),
};

/// Noise levels at which the flow is evaluated, evenly spaced in ln σ over the sampler's range.
const LEVELS: usize = 16;

struct Likelihood {
    how: Trace,
}

impl Quantity for Likelihood {
    fn row(&self) -> &'static QuantityRow {
        &ROW
    }

    fn check(&self, generator: &dyn Generator) -> Result<()> {
        sampler(generator)?.posterior_mean("labels.quantity").map(|_| ())
    }

    fn how(&self) -> String {
        trace_name(self.how)
    }

    fn directions(&self, _: &Spec) -> Result<usize> {
        Ok(TRACE_CHUNK)
    }

    fn evaluations(&self, generator: &dyn Generator) -> Result<usize> {
        // Heun's rule takes a trace at both ends of every step between the levels.
        Ok(2 * (LEVELS - 1) * trace_evaluations(self.how, generator))
    }

    fn held_out(&self) -> Result<Option<Box<dyn Quantity>>> {
        Ok(held_out_trace(self.how).map(|how| Box::new(Self { how }) as Box<dyn Quantity>))
    }

    fn read(&self, generator: &dyn Generator, pictures: &[f32]) -> Result<Vec<Option<Reading>>> {
        let sampler = sampler(generator)?;
        let [low, high] = sampler.config().sigma;
        let part = |i: usize| i as f64 / (LEVELS - 1) as f64;
        let levels: Vec<f64> = (0..LEVELS).map(|i| low * (high / low).powf(part(i))).collect();
        let x = rows(pictures.to_vec(), sampler.spec().latent_width, sampler.device());
        let found = log_likelihood(sampler.posterior_mean("labels.quantity")?, &x, &levels, self.how)?;
        Ok(found.iter().map(|e| Some(-e.value).filter(|v| v.is_finite()).map(Reading::Value)).collect())
    }
}
