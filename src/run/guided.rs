//! Guidance during denoising (theory, 24 and 26) on a diffusion model, measured like any steered sample: the picture is
//! carried back along the flow to the noise it would come from, and ψ_k is measured there.

use super::engine::Engine;
use crate::cancel::Cancel;
use crate::diffusion::guidance::{DensityScaled, Form, Forward, Interval, Minority, Normalisation};
use crate::diffusion::{Denoiser, State, sampling_noise, to_noise};
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler, spoilt};
use crate::geometry::psi_k;
use crate::steering::{Status, Steered};
use crate::tensors::{host, rows};

/// A way to guide, with its one strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guide {
    /// The reward on noised pictures, set-point form, normalised; the strength is the share of |D − x| at most.
    Reward,
    /// Density guidance; the strength is its quantile.
    Density,
    /// The minority score, push form, normalised; negative strengths go down.
    Minority,
}

/// Levels of the way back to the noise: enough that its own error is small beside what guidance does.
const BACK: usize = 24;

impl Engine {
    /// Guides the samples of one tile to ψ* by `guide` at `strength`.
    ///
    /// # Errors
    /// [`Error::Config`] where the model is no diffusion model or its reward sees latents only; of the device, or a stop.
    pub fn guide(
        &self,
        guide: Guide,
        strength: f64,
        samples: &[u64],
        target: f64,
        cancel: &Cancel,
    ) -> Result<Vec<Steered>> {
        let Some(sampler) = self.generator.as_sampler() else {
            return Err(Error::config("guidance", "only a diffusion model has a denoiser to guide"));
        };
        let d = sampler.spec().latent_width;
        let start = self.latents(samples);
        let z = rows(start.clone(), d, sampler.device());
        let noise = sampling_noise(samples, 0, 3, d, sampler.device());
        let potential = Minority { inner: sampler.denoiser(), scale: 0.9, noise };
        let form = match guide {
            Guide::Reward => {
                let targets = rows(vec![target as f32; samples.len()], 1, sampler.device());
                Form::SetPoint { targets, scale: self.reward.calibration.std() }
            }
            _ => Form::Push,
        };
        let interval = match guide {
            Guide::Density => Interval::ALL,
            _ => self.guided_levels(sampler)?,
        };
        let forward = Forward {
            inner: sampler.denoiser(),
            potential: if guide == Guide::Reward { &self.reward } else { &potential },
            form,
            strength,
            normalisation: Normalisation::Ratio,
            interval,
        };
        let density = DensityScaled { inner: sampler.denoiser(), quantile: strength, interval };
        let guided: &dyn Denoiser = if guide == Guide::Density { &density } else { &forward };
        let picture = sampled(sampler, guided, samples, &z, cancel)?;
        self.measured_back(sampler, samples, &start, picture)
    }

    /// The levels at which the reward is worth something (13); all of the sampler's where it does not see noise.
    fn guided_levels(&self, sampler: &Sampler) -> Result<Interval> {
        let Some(noised) = &self.reward.card.noised else {
            return Err(Error::config("reward", "it sees latents, not noised pictures; train one with [noised]"));
        };
        let worth: Vec<f64> = sampler.sampling().sigmas.iter().copied().filter(|s| noised.guides(*s)).collect();
        let low = worth.iter().copied().fold(f64::INFINITY, f64::min);
        let high = worth.iter().copied().fold(0.0, f64::max);
        Ok(Interval { low, high })
    }

    /// The noise that a picture would come from, and ψ_k there.
    fn measured_back(
        &self,
        sampler: &Sampler,
        samples: &[u64],
        start: &[f32],
        picture: crate::nn::Rows,
    ) -> Result<Vec<Steered>> {
        let [low, high] = sampler.config().sigma;
        let part = |i: usize| i as f64 / (BACK - 1) as f64;
        let levels: Vec<f64> = (0..BACK).map(|i| (low.ln() + (high / low).ln() * part(i)).exp()).collect();
        let latents = host(to_noise(sampler.denoiser(), picture, &levels)? * (1.0 / high))?;
        let d = sampler.spec().latent_width;
        let spectra = self.spectra(&latents)?;
        let scores = self.reward.score(&latents)?;
        let each = samples.iter().zip(spectra).zip(scores).zip(latents.chunks_exact(d)).zip(start.chunks_exact(d));
        Ok(each
            .map(|((((sample, spectrum), predicted), latent), start)| {
                let psi = spectrum.as_ref().and_then(|s| psi_k(&s.singular_values, self.reward.card.model_rank));
                let status = match psi {
                    _ if latent.iter().any(|v| !v.is_finite()) => Status::NonFinite,
                    Some(p) if self.reward.calibration.novelty_of(p).beyond == 0.0 => Status::Ok,
                    _ => Status::OffManifold,
                };
                let steps = sampler.sampling().evaluations();
                Steered {
                    sample: *sample,
                    start: start.to_vec(),
                    latent: latent.to_vec(),
                    predicted,
                    spectrum,
                    steps,
                    status,
                }
            })
            .collect())
    }
}

/// The guided sampler's pictures.
fn sampled(
    sampler: &Sampler,
    guided: &dyn Denoiser,
    samples: &[u64],
    z: &crate::nn::Rows,
    cancel: &Cancel,
) -> Result<crate::nn::Rows> {
    let sampling = sampler.sampling();
    let mut denoise = |x: &State, sigma: f64| guided.denoise(x, sigma, None).map(|out| spoilt(out, samples));
    let mut noise =
        |step: u32, draw: u32| sampling_noise(&[], step, draw, sampler.spec().latent_width, sampler.device());
    let mut before = |_: usize, _: &State| cancel.check(|| "finished tiles are kept".into());
    let start = State::plain(z.clone() * sampling.sigmas[0]);
    Ok(sampling.run(start, &mut denoise, &mut noise, &mut before)?.value)
}
