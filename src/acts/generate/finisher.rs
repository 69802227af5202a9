//! The denoiser of another model, which takes the noise out of finished pictures at once (theory, 36): for a model that has none of its
//! own, such as a GAN that learnt noised pictures.

use crate::device::Device;
use crate::diffusion::{Denoiser, State};
use crate::error::{Error, Result};
use crate::generator::{Generator, Spec, find_model, load};
use crate::steer::Finished;
use crate::steer::denoiser::sampler_of;
use crate::tensors::{host, rows};
use std::sync::Arc;

/// A model whose denoiser finishes the pictures of others.
pub struct Finisher {
    model: Arc<dyn Generator>,
}

impl Finisher {
    /// Loads the diffusion model called `name`.
    ///
    /// # Errors
    /// Those of loading it; [`Error::Key`] for a model that does not denoise pictures.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        let model = load(&find_model(name)?, device)?;
        let bad = |what: &str| {
            Err(Error::key("denoiser", format!("expected a diffusion model of pictures, \"{name}\" {what}")))
        };
        match sampler_of(&*model).ok() {
            None => return bad("has no denoiser"),
            Some(sampler) if sampler.has_codes() => return bad("denoises codes and no pictures"),
            Some(_) => {}
        }
        Ok(Self { model })
    }

    /// SHA-256 over its card and weights.
    pub fn sha256(&self) -> &str {
        self.model.model_sha256()
    }

    /// Checks that it knows pictures of the model `of` at noise level `sigma`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self, of: &Spec, sigma: f64) -> Result<()> {
        let own = self.model.spec();
        if own.sample_shape != of.sample_shape {
            let message = format!(
                "\"{}\" denoises pictures of the shape {:?}, those of \"{}\" have {:?}",
                own.id, own.sample_shape, of.id, of.sample_shape
            );
            return Err(Error::key("denoiser", message));
        }
        let sampler = sampler_of(&*self.model)?;
        sampler.check_level(sigma).map_err(|_| {
            let [low, high] = sampler.denoiser().range();
            let message =
                format!("expected a noise level from {low} to {high}, which \"{}\" knows, found {sigma}", own.id);
            Error::key("denoise_sigma", message)
        })
    }

    /// Takes noise of level `sigma`, in units of its own values, out of pictures with the values of black and white `range`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn apply(&self, finished: &mut [Finished], range: [f32; 2], sigma: f64) -> Result<()> {
        let spec = self.model.spec();
        let width = spec.state_width();
        let scale = (spec.range[1] - spec.range[0]) / (range[1] - range[0]);
        let values = finished.iter().flat_map(|f| &f.picture).map(|v| (v - range[0]) * scale + spec.range[0]).collect();
        let noisy = State::plain(rows(values, width, self.model.device()));
        let clean = host(sampler_of(&*self.model)?.denoiser().denoise(&noisy, sigma, None)?.value)?;
        for (f, clean) in finished.iter_mut().zip(clean.chunks_exact(width)) {
            f.picture = clean.iter().map(|v| (v - spec.range[0]) / scale + range[0]).collect();
        }
        Ok(())
    }
}
