//! Pictures of a model that has no reward yet: its own sampling, towards a class if one is asked for. Nothing is
//! measured, since there is nothing yet that says what would be typical.

use super::keys::Denoising;
use super::task::sampling;
use super::walk::{Finished, Walk, finished, pictures};
use crate::cancel::Cancel;
use crate::diffusion::guidance::{ClassifierFree, Interval};
use crate::diffusion::{Classes, Denoiser, State};
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler};
use crate::reward::Score;
use crate::steer::{Missed, Starts, Status, Steered};
use crate::tensors::rows;
use crate::units::Level;

/// The sampler of a diffusion model.
///
/// # Errors
/// [`Error::Key`] for any other model.
pub fn sampler_of(generator: &dyn Generator) -> Result<&Sampler> {
    generator.as_sampler().ok_or_else(|| {
        let (id, has) = (&generator.spec().id, crate::steer::methods_of(false).join(", "));
        Error::key("method", format!("\"{id}\" is no diffusion model and has no denoiser to guide; it has: {has}"))
    })
}

/// Whether the model knows the class and the noise level that are asked for.
///
/// # Errors
/// [`Error::Key`] if it does not.
pub fn check_asked(sampler: &Sampler, asked: &Denoising) -> Result<()> {
    let high = sampler.sampling().sigmas[0];
    if let Some(sigma) = asked.end.stops_at().filter(|s| *s >= high || sampler.check_level(*s).is_err()) {
        let low = sampler.denoiser().range()[0];
        let message =
            format!("expected a noise level from {low} to below {high}, where the sampler begins, found {sigma}");
        return Err(Error::key("denoise_sigma", message));
    }
    let Some(class) = asked.condition.class else { return Ok(()) };
    crate::diffusion::condition_rows(&[0.0], Some(&[class]), sampler.denoiser().classes(), sampler.device()).map(drop)
}

/// The pictures of samples, made without a reward: the bytes are those that plain sampling has with one.
///
/// # Errors
/// [`Error::Key`] for a class that the model does not know; when the device fails or the run is stopped.
pub fn plain(
    generator: &dyn Generator,
    asked: Option<&Denoising>,
    starts: &Starts,
    cancel: &Cancel,
) -> Result<Vec<Finished>> {
    let Starts { samples, noise } = starts;
    let one = |(sample, z): (&u64, &[f32])| Steered {
        sample: *sample,
        start: z.to_vec(),
        latent: z.to_vec(),
        predicted: Score { level: Level(f64::NAN), std: f64::NAN },
        reading: None,
        steps: 0,
        scored: 0,
        attempts: 1,
        status: if z.iter().all(|v| v.is_finite()) { Status::Unmeasured } else { Status::NonFinite },
        missed: Some(Missed::NoReward),
        by_way_back: false,
        watched: None,
    };
    let mut steered: Vec<Steered> = samples.iter().zip(noise.rows()).map(one).collect();
    let Some(asked) = asked.filter(|a| a.is_guided(None)) else {
        return pictures(generator, steered, asked.map_or(0, |a| a.preview_every), cancel);
    };
    let sampler = sampler_of(generator)?;
    check_asked(sampler, asked)?;
    let sampling = sampling(sampler, asked)?;
    let free = ClassifierFree { inner: sampler.denoiser(), scale: asked.condition.scale(), interval: Interval::ALL };
    let inner: &dyn Denoiser = if asked.condition.class.is_some() { &free } else { sampler.denoiser() };
    let classes = asked.condition.class.map(|c| vec![c; samples.len()]);
    let (end, preview_every) = (&asked.end, asked.preview_every);
    let walk = Walk { sampler, sampling: &sampling, samples, end, preview_every, cancel };
    let mut denoise = |x: &State, sigma: f64| inner.denoise(x, sigma, classes.as_deref() as Classes);
    let images =
        walk.run(rows(noise.values().to_vec(), sampler.spec().latent_width, sampler.device()), &mut denoise)?;
    let calls = images.calls * if asked.condition.class.is_some() { 2 } else { 1 };
    steered.iter_mut().for_each(|s| s.steps = calls);
    finished(generator, steered, images)
}
