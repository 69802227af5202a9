//! What all guides have in common: a tile on its way through a guided sampler. If the reward's quantity is one of
//! pictures, the guided picture itself is measured. If it is one of latents, as ψ_k of the sampler is, the picture is
//! first carried back along the flow to the noise it would come from, which is biased.

use super::keys::Denoising;
use super::walk::{Finished, Images, Walk, finished};
use crate::cancel::Cancel;
use crate::diffusion::guidance::{Form, Interval, Recurrent};
use crate::diffusion::solvers::solver;
use crate::diffusion::{Classes, Denoiser, Sampling, State, to_noise};
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler};
use crate::nn::Rows;
use crate::reward::{Place, Reading, Score};
use crate::steer::{Engine, Status, Steered};
use crate::tensors::{host, rows};
use crate::units::{Latents, Level};

/// Number of noise levels on the way back to the noise: enough that its own error is small beside what guidance does.
pub const BACK: usize = 24;

/// The samples of a tile on their way through a guided sampler.
pub struct Task<'a> {
    /// Model, reward and estimator.
    pub engine: &'a Engine,
    /// The model's sampler.
    pub sampler: &'a Sampler,
    /// What is guided: the model's denoiser, pushed towards a class if one is asked for.
    pub inner: &'a dyn Denoiser,
    /// What the recipe asks of the denoising.
    pub asked: &'a Denoising,
    /// Noise levels at which a reward acts.
    pub interval: Interval,
    /// Sample indices.
    pub samples: &'a [u64],
    /// The noise that each sample starts from.
    pub start: &'a Latents,
    /// Checked before every step.
    pub cancel: &'a Cancel,
}

impl Task<'_> {
    /// The class of each of `n` rows.
    pub fn classes(&self, n: usize) -> Option<Vec<usize>> {
        self.asked.condition.class.map(|c| vec![c; n])
    }

    /// Latents as a tensor `[n, d]`.
    pub fn rows(&self, latents: &Latents) -> Rows {
        rows(latents.values().to_vec(), latents.width(), self.sampler.device())
    }

    /// The form of the reward: a push without `aims`, otherwise a set-point for each sample at its aim, in the reward's
    /// own units.
    pub fn form(&self, aims: Option<&[Level]>) -> Form {
        match aims {
            None => Form::Push,
            Some(aims) => {
                let targets = rows(aims.iter().map(|a| a.0 as f32).collect(), 1, self.sampler.device());
                Form::SetPoint { targets, scale: 1.0 }
            }
        }
    }

    /// Takes every sample once through the denoiser `guided` and measures the pictures.
    ///
    /// # Errors
    /// When the denoiser fails or the run is stopped.
    pub fn guided(&self, guided: &dyn Denoiser) -> Result<Vec<Finished>> {
        let images = self.walk(guided, self.rows(self.start))?;
        let steps = self.sampling()?.evaluations() * if self.asked.condition.class.is_some() { 2 } else { 1 };
        let steered = self.measured(&images.pictures, steps)?;
        finished(steered, images)
    }

    /// The pictures of the noise `z`, `[n, d]`, made with the denoiser `guided`.
    ///
    /// # Errors
    /// When the denoiser fails or the run is stopped.
    pub fn walk(&self, guided: &dyn Denoiser, z: Rows) -> Result<Images> {
        let classes = self.classes(self.samples.len());
        let mut denoise = |x: &State, sigma: f64| guided.denoise(x, sigma, classes.as_deref() as Classes);
        let walk = Walk {
            sampler: self.sampler,
            sampling: &self.sampling()?,
            samples: self.samples,
            preview_every: self.asked.preview_every,
            cancel: self.cancel,
        };
        walk.run(z, &mut denoise)
    }

    /// The model's own sampling, each of its steps repeated if the recipe asks for that.
    fn sampling(&self) -> Result<Sampling> {
        let config = self.sampler.config();
        let own = solver(&config.solver, config.solver_settings.clone()).map_err(|e| Error::Bug(e.to_string()))?;
        let sigmas = self.sampler.sampling().sigmas.clone();
        Ok(match self.asked.walk.times() {
            1 => Sampling::new(own, sigmas),
            times => Sampling::new(Box::new(Recurrent { inner: own, times }), sigmas),
        })
    }

    /// Measures guided pictures, `[n, D]`: at the picture if the reward's quantity is one of pictures, else at the
    /// noise it would come from.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measured(&self, pictures: &Rows, steps: usize) -> Result<Vec<Steered>> {
        if self.engine.reward.quantity.row().place == Place::Picture {
            return self.measured_pictures(self.start, pictures, steps);
        }
        let [low, high] = self.sampler.config().sigma;
        let part = |i: usize| i as f64 / (BACK - 1) as f64;
        let levels: Vec<f64> = (0..BACK).map(|i| (low.ln() + (high / low).ln() * part(i)).exp()).collect();
        let noise = host(to_noise(self.sampler.denoiser(), pictures.clone(), &levels)? * (1.0 / high))?;
        self.measured_at(&Latents::new(noise, self.start.width()), steps)
    }

    /// Measures samples at `latents`, through the sampler.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measured_at(&self, latents: &Latents, steps: usize) -> Result<Vec<Steered>> {
        let scores = self.engine.reward.score(latents.values())?;
        Ok(self.steered(latents, self.engine.read(latents)?, scores, steps))
    }

    /// Measures samples at the pictures themselves, `[n, D]`; `latents` is the noise they were made from.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measured_pictures(&self, latents: &Latents, pictures: &Rows, steps: usize) -> Result<Vec<Steered>> {
        let reward = &self.engine.reward;
        // A reward that sees latents cannot score a picture.
        let scores = match reward.card.noised {
            Some(_) => reward.score_pictures(pictures.clone())?,
            None => vec![Score { level: Level(f64::NAN), std: f64::NAN }; self.samples.len()],
        };
        let readings = reward.quantity.read(self.sampler, &host(pictures.clone())?)?;
        Ok(self.steered(latents, readings, scores, steps))
    }

    fn steered(
        &self,
        latents: &Latents,
        readings: Vec<Option<Reading>>,
        scores: Vec<Score>,
        steps: usize,
    ) -> Vec<Steered> {
        let one = |(i, (reading, predicted)): (usize, (Option<Reading>, Score))| {
            let latent = latents.row(i).to_vec();
            let status = match self.engine.level(reading.as_ref()) {
                _ if latent.iter().any(|v| !v.is_finite()) => Status::NonFinite,
                Some(level) if self.engine.reward.calibration.spans(level) => Status::Ok,
                _ => Status::OffManifold,
            };
            let (sample, start) = (self.samples[i], self.start.row(i).to_vec());
            Steered { sample, start, latent, predicted, reading, steps, scored: 0, attempts: 1, status, missed: None }
        };
        readings.into_iter().zip(scores).enumerate().map(one).collect()
    }
}
