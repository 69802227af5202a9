//! The two numbers of a picture by which the guard and `isoline ood` judge it.

use crate::diffusion::{Denoiser, Trace, flipd, log_likelihood};
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler};
use crate::nn::Rows;
use crate::tensors::rows;
use serde::{Deserialize, Serialize};

/// How the numbers are measured. Two sets can be compared only where these are the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Measures {
    /// Noise level of the dimension, and of the density: the likelihood is that of pictures with this much noise
    #[arg(long, value_name = "S", default_value_t = 0.1)]
    pub sigma: f64,
    /// Steps of the likelihood from there to the model's largest noise level
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub steps: usize,
    /// Random probes of ±1 for each trace; 0 computes it exactly
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub probes: usize,
}

/// Likelihood and dimension of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// ln p in nats, of the picture with noise σ, every term included.
    pub log_likelihood: f64,
    /// Local dimension by FLIPD at σ.
    pub dimension: f64,
}

impl Pair {
    /// Whether both are numbers.
    pub fn is_finite(self) -> bool {
        self.log_likelihood.is_finite() && self.dimension.is_finite()
    }
}

impl Measures {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        match () {
            () if !(self.sigma > 0.0 && self.sigma.is_finite()) => {
                Err(Error::key("sigma", format!("expected a number above 0, found {}", self.sigma)))
            }
            () if !(2..=1000).contains(&self.steps) => {
                Err(Error::key("steps", format!("expected 2 to 1000, found {}", self.steps)))
            }
            () if self.probes == 1 => Err(Error::key("probes", "expected 0 or at least 2, found 1")),
            () if self.probes > crate::limits::STEPS => {
                Err(Error::key("probes", format!("expected at most {}, found {}", crate::limits::STEPS, self.probes)))
            }
            () => Ok(()),
        }
    }

    fn trace(&self) -> Trace {
        match self.probes {
            0 => Trace::Exact,
            probes => Trace::Hutchinson { probes, seed: 0 },
        }
    }

    /// Measures states of `sampler`, `[n × width]` row-major.
    ///
    /// # Errors
    /// [`Error::Key`] for a noise level that the model does not know; errors of the device.
    pub fn pairs(&self, sampler: &Sampler, states: &[f32]) -> Result<Vec<Pair>> {
        sampler.check_level(self.sigma)?;
        let [_, high] = sampler.config().sigma;
        let x = rows(states.to_vec(), sampler.spec().state_width(), sampler.device());
        self.of(sampler.posterior_mean("model")?, &x, high)
    }

    /// Measures rows of `x`, `[n, D]`, by any denoiser; at noise level `high` its data are noise alone.
    ///
    /// # Errors
    /// Those of the denoiser and the device.
    pub fn of(&self, denoiser: &dyn Denoiser, x: &Rows, high: f64) -> Result<Vec<Pair>> {
        let n = self.steps as f64;
        let levels: Vec<f64> =
            (0..=self.steps).map(|i| (self.sigma.ln() + (high / self.sigma).ln() * i as f64 / n).exp()).collect();
        let likelihoods = log_likelihood(denoiser, x, &levels, self.trace())?;
        let dimensions = flipd(denoiser, x, self.sigma, self.trace())?;
        let pair = |(l, d): (crate::diffusion::Estimate, crate::diffusion::Flipd)| Pair {
            log_likelihood: l.value,
            dimension: d.dimension().value,
        };
        Ok(likelihoods.into_iter().zip(dimensions).map(pair).collect())
    }
}
