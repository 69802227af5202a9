//! What all guides have in common: a tile on its way through a guided sampler. If the reward's quantity is one of
//! pictures, the guided picture itself is measured. If it is one of latents, as ψ_k of the sampler is, the picture is
//! first carried back along the flow to the noise it would come from. That is so far off that the closed loop alone uses
//! it, and nothing is reported.

use super::keys::Denoising;
use super::walk::{Finished, Images, Walk, finished};
use crate::cancel::Cancel;
use crate::diffusion::guidance::{Form, Interval, Recurrent};
use crate::diffusion::solvers::solver;
use crate::diffusion::{Classes, Denoiser, Sampling, State};
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler};
use crate::nn::Rows;
use crate::reward::{Place, Reading, Score};
use crate::steer::{Engine, Status, Steered};
use crate::tensors::{host, rows};
use crate::units::{Latents, Level};

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
        let steps = images.calls * if self.asked.condition.class.is_some() { 2 } else { 1 };
        let steered = self.measured(self.start, &images.states, steps)?;
        finished(self.sampler, steered, images)
    }

    /// The states at the end of the noise `z`, `[n, d]`, reached with the denoiser `guided`.
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
            end: &self.asked.end,
            preview_every: self.asked.preview_every,
            cancel: self.cancel,
        };
        walk.run(z, &mut denoise)
    }

    fn sampling(&self) -> Result<Sampling> {
        sampling(self.sampler, self.asked)
    }

    /// Measures guided states, `[n, D]`, reached from the noise `latents`: at the state if the reward's quantity is one
    /// of pictures, else at the noise it would come from. What the way back gives is too far off to be shown, but the
    /// closed loop has nothing better.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measured(&self, latents: &Latents, states: &Rows, steps: usize) -> Result<Vec<Steered>> {
        if self.engine.reward.quantity.row().place == Place::Picture {
            return self.measured_pictures(latents, states, steps);
        }
        let noise = host(self.sampler.noise_of(states.clone())?)?;
        let readings = self.engine.read(&Latents::new(noise, self.start.width()))?;
        let mut steered = self.steered(latents, readings, self.scores(states)?, steps);
        steered.iter_mut().for_each(|s| s.by_way_back = true);
        Ok(steered)
    }

    /// Measures samples at `latents`, through the sampler.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measured_at(&self, latents: &Latents, steps: usize) -> Result<Vec<Steered>> {
        let scores = self.engine.reward.score(latents.values())?;
        Ok(self.steered(latents, self.engine.read(latents)?, scores, steps))
    }

    /// Measures samples at the states themselves, `[n, D]`; `latents` is the noise they were made from.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measured_pictures(&self, latents: &Latents, states: &Rows, steps: usize) -> Result<Vec<Steered>> {
        let readings = self.engine.reward.quantity.read(self.sampler, &host(states.clone())?)?;
        Ok(self.steered(latents, readings, self.scores(states)?, steps))
    }

    /// What the reward says of states; nothing if it sees latents, since it cannot score a picture.
    fn scores(&self, states: &Rows) -> Result<Vec<Score>> {
        let reward = &self.engine.reward;
        match reward.card.noised {
            Some(_) => reward.score_pictures(states.clone()),
            None => Ok(vec![Score { level: Level(f64::NAN), std: f64::NAN }; self.samples.len()]),
        }
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
            Steered {
                sample,
                start,
                latent,
                predicted,
                reading,
                steps,
                scored: 0,
                attempts: 1,
                status,
                missed: None,
                by_way_back: false,
                watched: None,
            }
        };
        readings.into_iter().zip(scores).enumerate().map(one).collect()
    }
}

/// The model's own sampling, each of its steps repeated and its end at a noise level if the recipe asks for that.
///
/// # Errors
/// [`Error::Bug`].
pub fn sampling(sampler: &Sampler, asked: &Denoising) -> Result<Sampling> {
    let config = sampler.config();
    let own = solver(&config.solver, config.solver_settings.clone()).map_err(|e| Error::Bug(e.to_string()))?;
    let mut sigmas = sampler.sampling().sigmas.clone();
    if let Some(last) = asked.end.stops_at() {
        sigmas.retain(|s| *s > last);
        sigmas.push(last);
    }
    Ok(match asked.walk.times() {
        1 => Sampling::new(own, sigmas),
        times => Sampling::new(Box::new(Recurrent { inner: own, times }), sigmas),
    })
}
