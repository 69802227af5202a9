//! A model with its reward: what computes tiles.

use super::denoiser::{Finished, pictures};
use super::{Settings, Steered, closed_loop, latent, scaled};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::Result;
use crate::generator::{self, DEFAULT_MEMORY, Generator, check_memory};
use crate::noise::{self, Stream};
use crate::reward::{Place, Reading, Reward};
use crate::tensors::{host, rows};
use crate::units::{Level, Percentile};
use std::path::Path;
use std::sync::Arc;

/// Generator and reward on one device.
pub struct Engine {
    /// The generator.
    pub generator: Arc<dyn Generator>,
    /// Its reward.
    pub reward: Reward,
}

impl Engine {
    /// Loads the model in `folder` with its own reward, or with the one of that name.
    ///
    /// # Errors
    /// Those of [`generator::load`] and [`Reward::load`].
    pub fn load(folder: &Path, reward: Option<&str>, device: &Device) -> Result<Self> {
        failpoint!("engine.load").map_err(|e| crate::error::Error::io(folder, "load", e))?;
        let generator = generator::load(folder, device)?;
        let reward = Reward::load(folder, reward, &generator, device)?;
        Ok(Self { generator, reward })
    }

    /// Whether a tile of this size fits into the memory that is free.
    ///
    /// # Errors
    /// [`crate::error::Error::Memory`].
    pub fn check_memory(&self, tile: usize) -> Result<()> {
        let spec = self.generator.spec();
        let remedy = "choose a smaller tile (--set tile=N), or a machine with more";
        check_memory(spec, tile, spec.latent_width, DEFAULT_MEMORY, remedy)
    }

    /// Steering settings where none are given.
    pub fn usual_settings(&self) -> Settings {
        let usual = self.generator.spec().usual;
        Settings {
            steps: usual.steps,
            max_angle: usual.max_angle,
            corrections: usual.corrections,
            ..Settings::default()
        }
    }

    /// What the reward predicts, measured at latents: at their pictures, where it is a number of a picture.
    ///
    /// # Errors
    /// Of the quantity and the device.
    pub fn read(&self, latents: &[f32]) -> Result<Vec<Option<Reading>>> {
        let quantity = &self.reward.quantity;
        match quantity.row().place {
            Place::Latent => quantity.read(&*self.generator, latents),
            Place::Picture => {
                let z = rows(latents.to_vec(), self.generator.spec().latent_width, self.generator.device());
                quantity.read(&*self.generator, &host(self.generator.generate(z))?)
            }
        }
    }

    /// The unguided latents of `samples`, row-major.
    pub fn latents(&self, samples: &[u64]) -> Vec<f32> {
        let d = self.generator.spec().latent_width;
        let mut latents: Vec<f32> = samples.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, d)).collect();
        for (latent, sample) in latents.chunks_exact_mut(d).zip(samples) {
            latent[0] = failpoint!("noise", *sample).unwrap_or(latent[0]);
        }
        latents
    }

    /// Steers the samples of one tile to `novelty` each; plain sampling for `None`.
    ///
    /// # Errors
    /// Of the device, or a stop.
    pub fn steer(
        &self,
        method: &str,
        samples: &[u64],
        novelty: &[Option<Percentile>],
        settings: &Settings,
        cancel: &Cancel,
    ) -> Result<Vec<Steered>> {
        let plain = method == "none" || novelty.iter().all(Option::is_none);
        let start = self.latents(samples);
        let d = self.generator.spec().latent_width;
        let latents = match settings.truncation {
            Some(tau) if method == "truncation" => start.chunks_exact(d).flat_map(|z| scaled(z, tau)).collect(),
            _ => start.clone(),
        };
        let method = latent::method(if plain { "none" } else { method })?;
        let target = |n: &Option<Percentile>| self.reward.calibration.level_at(n.unwrap_or(Percentile::MEDIAN));
        let targets: Vec<Level> = novelty.iter().map(target).collect();
        let corrections = if plain { 0 } else { settings.corrections };
        let settings = Settings { corrections, ..settings.clone() };
        let measure = |latents: &[f32]| {
            let mut readings = self.read(latents)?;
            for (reading, sample) in readings.iter_mut().zip(samples) {
                // A Jacobian with a value that is not finite has none.
                *reading = reading.take().filter(|_| failpoint!("jacobian", *sample).is_none());
            }
            Ok(readings)
        };
        let mut steered =
            closed_loop::steer(&*method, samples, &latents, &targets, &self.reward, &settings, &measure, cancel)?;
        // Distance and angle are told from the seed's own noise, whatever was done to it first.
        steered.iter_mut().zip(start.chunks_exact(d)).for_each(|(s, z)| s.start = z.to_vec());
        Ok(steered)
    }

    /// The pictures of steered samples, one call of the tile's shape.
    ///
    /// # Errors
    /// Of the device, or a stop.
    pub fn pictures(&self, steered: Vec<Steered>, preview_every: usize, cancel: &Cancel) -> Result<Vec<Finished>> {
        let flat: Vec<f32> = steered.iter().flat_map(|s| &s.latent).copied().collect();
        let samples: Vec<u64> = steered.iter().map(|s| s.sample).collect();
        let d = self.generator.spec().latent_width;
        let (values, previews) = match self.generator.as_sampler() {
            Some(sampler) => pictures(sampler, &samples, flat, preview_every, cancel)?,
            None => (host(self.generator.generate(rows(flat, d, self.generator.device())))?, Vec::new()),
        };
        let width = values.len() / steered.len().max(1);
        let of = |i: usize, all: &[f32]| all[i * width..(i + 1) * width].to_vec();
        let one = |(i, steered): (usize, Steered)| Finished {
            picture: of(i, &values),
            effective_sizes: Vec::new(),
            previews: previews.iter().map(|(step, all)| (*step, of(i, all))).collect(),
            steered,
        };
        Ok(steered.into_iter().enumerate().map(one).collect())
    }
}
