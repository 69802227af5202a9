//! A model with its reward: what computes tiles.

use super::denoising::{Guide, guide};
use super::guided::{Finished, pictures};
use super::recipe::Recipe;
use super::record::SampleRow;
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::Result;
use crate::generator::{self, Generator, Spec};
use crate::geometry::{DESCRIPTORS, LocalGeometry};
use crate::noise::{self, Stream};
use crate::reward::{Place, Reading, Reward};
use crate::steering::{self, Settings, Status, Steered, scaled};
use crate::tensors::{host, rows};
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

    /// Whether it is the model, reward and calibration of `recipe`.
    ///
    /// # Errors
    /// What is another one, for a message.
    pub fn check(&self, recipe: &Recipe) -> Result<(), String> {
        for (what, wanted, found) in [
            ("model", recipe.model_sha256.as_str(), self.generator.model_sha256()),
            ("reward", &recipe.reward_sha256, self.reward.sha256.as_str()),
        ] {
            if wanted != found {
                return Err(format!("another {what} (SHA-256 {wanted:.12}, here {found:.12})"));
            }
        }
        Ok(())
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

    /// Steering settings where none are given. A step through a sampler costs as much as many of a one-shot generator, so
    /// there are fewer and they may be longer; and its reward knows less, so there are more corrections.
    pub fn usual_settings(&self) -> Settings {
        match self.generator.as_sampler() {
            Some(_) => Settings { steps: 12, max_angle: 0.2, corrections: 4, ..Settings::default() },
            None => Settings::default(),
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
        novelty: &[Option<f64>],
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
        let method = steering::method(if plain { "none" } else { method })?;
        let targets: Vec<f64> = novelty.iter().map(|n| self.reward.calibration.level_at(n.unwrap_or(50.0))).collect();
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
            steering::steer(&*method, samples, &latents, &targets, &self.reward, &settings, &measure, cancel)?;
        // Distance and angle are told from the seed's own noise, whatever was done to it first.
        steered.iter_mut().zip(start.chunks_exact(d)).for_each(|(s, z)| s.start = z.to_vec());
        Ok(steered)
    }

    /// Makes the samples of one tile by `recipe`: steered or guided, measured, with their pictures.
    ///
    /// # Errors
    /// Of the device, or a stop; [`crate::error::Error::Config`] where the model cannot do it.
    pub fn make(&self, recipe: &Recipe, samples: &[u64], cancel: &Cancel) -> Result<Vec<Finished>> {
        let how = recipe.denoising.as_ref();
        let guide = guide(&recipe.method).map_or(Guide::Plain, |g| g.guide);
        let mut finished = match how {
            Some(how) if how.is_guided(guide) => {
                self.guide(guide, how, samples, recipe.novelty, recipe.settings.corrections, cancel)?
            }
            _ => {
                let novelty = vec![recipe.novelty; samples.len()];
                let steered = self.steer(&recipe.method, samples, &novelty, &recipe.settings, cancel)?;
                self.pictures(steered, how.map_or(0, |h| h.preview_every), cancel)?
            }
        };
        for f in &mut finished {
            f.picture[0] = failpoint!("generator", f.steered.sample).unwrap_or(f.picture[0]);
        }
        Ok(finished)
    }

    /// The pictures of steered samples, one call of the tile's shape.
    fn pictures(&self, steered: Vec<Steered>, preview_every: usize, cancel: &Cancel) -> Result<Vec<Finished>> {
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

    /// The row of a steered sample, without its picture.
    pub fn row(&self, steered: &Steered, novelty: Option<f64>) -> SampleRow {
        let table = &self.reward.calibration;
        let k = self.reward.card.model_rank;
        let of_map = self.reward.quantity.row().place == Place::Latent;
        // Descriptors are those of the map latent → picture, or none.
        let measured = |name: &str| {
            let spectrum = steered.reading.as_ref().filter(|_| of_map)?.spectrum()?;
            let geometry = LocalGeometry::new(spectrum, &steered.latent, k);
            DESCRIPTORS.iter().find(|d| d.name == name).and_then(|d| (d.measure)(&geometry).value())
        };
        let value = steered.reading.as_ref().and_then(|r| r.value(k));
        let reached = value.map(|v| table.novelty_of(v));
        let finite = steered.status != Status::NonFinite;
        let predicted = (finite && steered.predicted.is_finite()).then(|| table.psi_at_level(steered.predicted.level));
        SampleRow {
            seed: steered.sample,
            file: None,
            sha256: None,
            novelty_asked: novelty,
            novelty_predicted: predicted.map(|p| table.novelty_of(p).percentile),
            psi_predicted: predicted.filter(|_| of_map),
            novelty_reached: reached.map(|n| n.percentile),
            beyond: reached.map(|n| n.beyond),
            psi_k: measured("psi_k"),
            measured: value.filter(|_| !of_map),
            psi: measured("psi"),
            nu: measured("nu"),
            rank: measured("rank"),
            log_likelihood: measured("log_likelihood"),
            distance: if finite { steering::distance(&steered.start, &steered.latent) } else { 0.0 },
            angle: if finite { steering::angle_between(&steered.start, &steered.latent).to_degrees() } else { 0.0 },
            steps: steered.steps,
            latent: Vec::new(),
            effective_sizes: Vec::new(),
            status: steered.status,
        }
    }
}

/// Bytes of one pass through the network where nobody sets them.
pub const DEFAULT_MEMORY: u64 = 192 << 20;

/// Whether a tile of `tile` samples, with the products of their Jacobians and `directions` directions, fits into the memory
/// that is free. Counted are these, pictures, a few layers' activations and the passes of `memory` bytes that the estimator
/// makes; weights are in memory by then. `remedy` says how to need less.
///
/// # Errors
/// [`crate::error::Error::Memory`].
pub fn check_memory(spec: &Spec, tile: usize, directions: usize, memory: u64, remedy: &str) -> Result<()> {
    let (n, d, p) = (tile as u64, spec.latent_width as u64, directions as u64);
    let sample = spec.sample_shape.iter().map(|s| *s as u64).product::<u64>();
    // Bytes: f32 products of every sample; two threads' f64 copies of one; picture and its encoding; four layers at once;
    // 64 MiB for what allocators keep.
    let jacobians = n * p * sample * 4 + 2 * p * sample * 8;
    let activations = n * (sample * 8 + 4 * spec.widest as u64 * 4) + memory + (64 << 20);
    let what = format!("a tile of {tile} samples of {} (latent {d}, sample {sample})", spec.id);
    crate::memory::require(&what, jacobians + activations, remedy)
}
