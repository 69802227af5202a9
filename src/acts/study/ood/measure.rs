//! The two numbers of a picture.

use crate::acts::study::dimension::{Pictures, check_sigma};
use crate::cancel::Cancel;
use crate::diffusion::{Trace, flipd, log_likelihood};
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler};
use crate::progress::Progress;
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

/// Pictures that are measured together.
const TOGETHER: usize = 16;

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
        check_sigma(sampler, self.sigma)?;
        let [_, high] = sampler.config().sigma;
        let n = self.steps as f64;
        let levels: Vec<f64> =
            (0..=self.steps).map(|i| (self.sigma.ln() + (high / self.sigma).ln() * i as f64 / n).exp()).collect();
        let denoiser = sampler.posterior_mean("model")?;
        let x = rows(states.to_vec(), sampler.spec().state_width(), sampler.device());
        let likelihoods = log_likelihood(denoiser, &x, &levels, self.trace())?;
        let dimensions = flipd(denoiser, &x, self.sigma, self.trace())?;
        let pair = |(l, d): (crate::diffusion::Estimate, crate::diffusion::Flipd)| Pair {
            log_likelihood: l.value,
            dimension: d.dimension().value,
        };
        Ok(likelihoods.into_iter().zip(dimensions).map(pair).collect())
    }

    /// Measures the pictures that were chosen.
    ///
    /// # Errors
    /// As for [`pairs`](Self::pairs); errors of the pictures; a stop.
    pub fn over(
        &self,
        sampler: &Sampler,
        pictures: &Pictures,
        label: &str,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<(Vec<u64>, Vec<Pair>)> {
        let chosen = pictures.chosen(sampler)?;
        let bar = progress.start(format!("measuring {label}"), chosen.seeds.len() as u64);
        let mut found = Vec::with_capacity(chosen.seeds.len());
        for part in chosen.seeds.chunks(TOGETHER) {
            cancel.check(|| "nothing was written".into())?;
            found.extend(self.pairs(sampler, &chosen.states(part)?)?);
            bar.advance(part.len() as u64);
        }
        bar.finish();
        Ok((chosen.seeds, found))
    }
}
