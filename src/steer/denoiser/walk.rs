//! From noise to pictures: a sampler run that can be stopped and previewed.

use super::keys::EndKeys;
use crate::cancel::Cancel;
use crate::diffusion::{Denoiser, Sampling, State, sampling_noise};
use crate::error::Result;
use crate::generator::{Generator, Sampler, spoilt};
use crate::nn::Rows;
use crate::steer::Steered;
use crate::tensors::{host, rows};

/// A sample with its picture.
pub struct Finished {
    /// What was asked, predicted and measured.
    pub steered: Steered,
    /// The picture's values, `[D]`.
    pub picture: Vec<f32>,
    /// The state that it was decoded from, for a model of two stages; without one it is the state.
    pub code: Option<Vec<f32>>,
    /// Its percentile by directions that steering never used, where that was measured.
    pub remeasured: Option<f64>,
    /// Effective sizes of its particles, one for each weighing; empty without particles.
    pub effective_sizes: Vec<f64>,
    /// Denoised estimates on the way: (step, values of this sample).
    pub previews: Vec<(usize, Vec<f32>)>,
}

impl Finished {
    /// What a quantity of pictures is measured on.
    pub fn state(&self) -> &[f32] {
        self.code.as_deref().unwrap_or(&self.picture)
    }
}

/// The states of a tile at the end of its walk: the pictures, or the codes that a model of two stages decodes.
pub struct Images {
    /// Their values, `[n, state width]`.
    pub states: Rows,
    /// How often the denoiser was called for them; 0 where there is none.
    pub calls: usize,
    /// Denoised estimates on the way: (step, states of all samples).
    pub previews: Vec<(usize, Rows)>,
}

/// A sampler run that can be stopped and previewed; tests can also spoil its values.
pub struct Walk<'a> {
    /// The model.
    pub sampler: &'a Sampler,
    /// Solver and noise levels.
    pub sampling: &'a Sampling,
    /// Keys of the noise.
    pub samples: &'a [u64],
    /// What is done about the noise that is left.
    pub end: &'a EndKeys,
    /// Steps between previews; 0 for none.
    pub preview_every: usize,
    /// Checked before every step.
    pub cancel: &'a Cancel,
}

impl Walk<'_> {
    /// The states at the end of noise `z`, `[n, d]`; `denoise` answers at (state, σ).
    ///
    /// # Errors
    /// When the denoiser fails or the run is stopped.
    pub fn run(&self, z: Rows, denoise: &mut dyn FnMut(&State, f64) -> Result<State>) -> Result<Images> {
        let step = std::cell::Cell::new(None);
        let (mut previews, mut calls) = (Vec::new(), 0);
        let mut denoise = |x: &State, sigma: f64| {
            calls += 1;
            let answer = spoilt(denoise(x, sigma)?, self.samples);
            // The first answer of a step that is due.
            if let Some(step) = step.take() {
                previews.push((step, answer.value.clone()));
            }
            Ok(answer)
        };
        let mut before = |i: usize, _: &State| {
            step.set(Some(i).filter(|i| self.preview_every > 0 && i % self.preview_every == 0));
            self.cancel.check(|| "finished tiles are kept".into())
        };
        let width = self.sampler.spec().latent_width;
        let mut noise = |step, draw| sampling_noise(self.samples, step, draw, width, self.sampler.device());
        let start = State::plain(z * self.sampling.sigmas[0]);
        let mut states = self.sampling.run(start, &mut denoise, &mut noise, &mut before)?.value;
        if let Some(sigma) = self.end.stops_at().filter(|_| self.end.takes_away()) {
            states = denoise(&State::plain(states), sigma)?.value;
        }
        Ok(Images { states, calls, previews })
    }
}

/// Samples with their pictures and previews.
///
/// # Errors
/// When the device fails.
pub fn finished(generator: &dyn Generator, steered: Vec<Steered>, images: Images) -> Result<Vec<Finished>> {
    let values = host(generator.pictures_of(images.states.clone()))?;
    let decoded = generator.as_sampler().is_some_and(Sampler::has_codes);
    let codes = decoded.then(|| host(images.states)).transpose()?;
    let preview = |(step, states)| Ok((step, host(generator.pictures_of(states))?));
    let previews = images.previews.into_iter().map(preview).collect::<Result<Vec<(usize, Vec<f32>)>>>()?;
    let count = steered.len().max(1);
    let of = |i: usize, all: &[f32]| all[i * (all.len() / count)..(i + 1) * (all.len() / count)].to_vec();
    let one = |(i, steered): (usize, Steered)| Finished {
        picture: of(i, &values),
        code: codes.as_ref().map(|codes| of(i, codes)),
        previews: previews.iter().map(|(step, all)| (*step, of(i, all))).collect(),
        effective_sizes: Vec::new(),
        remeasured: None,
        steered,
    };
    Ok(steered.into_iter().enumerate().map(one).collect())
}

/// The pictures of steered samples, made in one call of the tile's shape. A diffusion model makes them with its own
/// sampler, with a preview every `preview_every` steps.
///
/// # Errors
/// When the device fails or the run is stopped.
pub fn pictures(
    generator: &dyn Generator,
    steered: Vec<Steered>,
    preview_every: usize,
    cancel: &Cancel,
) -> Result<Vec<Finished>> {
    let latents = steered.iter().flat_map(|s| &s.latent).copied().collect();
    let samples: Vec<u64> = steered.iter().map(|s| s.sample).collect();
    let images = images(generator, &samples, latents, preview_every, cancel)?;
    finished(generator, steered, images)
}

/// The states that the generator reaches from latents `[n, d]` by itself.
///
/// # Errors
/// When the device fails or the run is stopped.
pub fn images(
    generator: &dyn Generator,
    samples: &[u64],
    latents: Vec<f32>,
    preview_every: usize,
    cancel: &Cancel,
) -> Result<Images> {
    let z = rows(latents, generator.spec().latent_width, generator.device());
    let Some(sampler) = generator.as_sampler() else {
        return Ok(Images { states: generator.generate(z), calls: 0, previews: Vec::new() });
    };
    let end = &EndKeys::default();
    let walk = Walk { sampler, sampling: sampler.sampling(), samples, end, preview_every, cancel };
    walk.run(z, &mut |x: &State, sigma: f64| sampler.denoiser().denoise(x, sigma, None))
}
