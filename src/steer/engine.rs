//! A model together with its reward: this is what computes a tile.

use super::closed_loop::Avoid;
use super::denoiser::{Finished, pictures, sampler_of};
use super::guard::{Action, Guard};
use super::held_out::Alignment;
use super::latent::{Unsteered, method};
use super::{Settings, Steered, Steering, latent_trial};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::Result;
use crate::generator::{self, DEFAULT_MEMORY, Generator, Spec, Usual, check_memory};
use crate::reward::{Place, Reading, Reward};
use crate::tensors::{host, rows};
use crate::units::{Latents, Level, Percentile};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The samples of a tile, and where each of them starts.
pub struct Starts<'a> {
    /// Sample indices.
    pub samples: &'a [u64],
    /// The noise of each, `[samples.len(), latent width]`.
    pub noise: Latents,
}

/// Generator and reward on one device.
pub struct Engine {
    /// The generator.
    pub generator: Arc<dyn Generator>,
    /// Its reward.
    pub reward: Reward,
    /// How measurements that steering never sees lie beside its own; found when the first is made.
    pub(super) alignment: OnceLock<Alignment>,
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
        Ok(Self { generator, reward, alignment: OnceLock::new() })
    }

    /// Whether a tile of this size fits into free memory.
    ///
    /// # Errors
    /// [`crate::error::Error::Memory`].
    pub fn check_memory(&self, tile: usize) -> Result<()> {
        let spec = self.generator.spec();
        let remedy = "choose a smaller tile, or a machine with more";
        check_memory(spec, tile, spec.latent_width, DEFAULT_MEMORY, remedy)
    }

    /// The steering settings to use where the user gives none.
    pub fn usual_settings(&self) -> Settings {
        usual_settings(self.generator.spec())
    }

    /// Measures the reward's quantity at latents. A quantity of pictures is measured at the pictures these latents
    /// make.
    ///
    /// # Errors
    /// When the quantity cannot be measured or the device fails.
    pub fn read(&self, latents: &Latents) -> Result<Vec<Option<Reading>>> {
        let quantity = &self.reward.quantity;
        match quantity.row().place {
            Place::Latent => quantity.read(&*self.generator, latents.values()),
            Place::Picture => {
                let z = rows(latents.values().to_vec(), latents.width(), self.generator.device());
                quantity.read(&*self.generator, &host(self.generator.states(z))?)
            }
        }
    }

    /// The level of a reading, or `None` where the reading has no usable value.
    pub fn level(&self, reading: Option<&Reading>) -> Option<Level> {
        Some(self.reward.calibration.level_of(reading?.value(self.reward.card.model_rank)?))
    }

    /// The unguided latents of `samples`: the noise of their seeds.
    pub fn latents(&self, samples: &[u64]) -> Latents {
        seed_noise(samples, self.generator.spec().latent_width)
    }

    /// `samples`, each at the noise of its seed.
    pub fn starts<'a>(&self, samples: &'a [u64]) -> Starts<'a> {
        Starts { samples, noise: self.latents(samples) }
    }

    /// Steers the samples of one tile from the noise of their seeds, see [`steer_from`](Self::steer_from).
    ///
    /// # Errors
    /// Those of [`steer_from`](Self::steer_from).
    pub fn steer(
        &self,
        method_name: &str,
        samples: &[u64],
        novelty: &[Option<Percentile>],
        settings: &Settings,
        cancel: &Cancel,
    ) -> Result<Vec<Steered>> {
        self.steer_from(method_name, &self.starts(samples), novelty, settings, cancel)
    }

    /// Steers the samples of one tile, each to its own entry of `novelty`; `None` means plain sampling.
    ///
    /// # Errors
    /// [`crate::error::Error::Key`] for an unknown method; when the device fails or the run is stopped.
    pub fn steer_from(
        &self,
        method_name: &str,
        starts: &Starts,
        novelty: &[Option<Percentile>],
        settings: &Settings,
        cancel: &Cancel,
    ) -> Result<Vec<Steered>> {
        self.steer_guarded(method_name, starts, novelty, settings, None, cancel)
    }

    /// The same under a guard. One that acts on the way looks at every place that is measured, if the samples are steered;
    /// where a sample ends is judged by whoever makes its picture, unless it was here.
    ///
    /// # Errors
    /// Those of [`steer_from`](Self::steer_from); [`crate::error::Error::Key`] for a guard on a model without a denoiser.
    pub fn steer_guarded(
        &self,
        method_name: &str,
        starts: &Starts,
        novelty: &[Option<Percentile>],
        settings: &Settings,
        guard: Option<&Guard>,
        cancel: &Cancel,
    ) -> Result<Vec<Steered>> {
        let method = method(method_name)?;
        let Starts { samples, noise } = starts;
        let starts = noise.rows().flat_map(|z| method.start(z, settings)).collect();
        let steers = method.moves() && novelty.iter().any(Option::is_some);
        let method: &dyn Steering = if steers { &*method } else { &Unsteered };
        let target = |n: &Option<Percentile>| self.reward.calibration.level_at(n.unwrap_or(Percentile::MEDIAN));
        let targets: Vec<Level> = novelty.iter().map(target).collect();
        let corrections = if steers { settings.corrections } else { 0 };
        let settings = Settings { corrections, ..settings.clone() };
        let measure = |samples: &[u64], latents: &Latents| {
            let mut readings = self.read(latents)?;
            for (reading, sample) in readings.iter_mut().zip(samples) {
                // A Jacobian with a non-finite value gives no reading.
                *reading = reading.take().filter(|_| failpoint!("jacobian", *sample).is_none());
            }
            Ok(readings)
        };
        let starts = Latents::new(starts, noise.width());
        let watch = guard.filter(|g| steers && g.action.acts_on_the_way()).map(|guard| {
            let avoid = if guard.action == Action::Stop { Avoid::Stop } else { Avoid::GoAround };
            let look = move |latents: &Latents| {
                let z = rows(latents.values().to_vec(), latents.width(), self.generator.device());
                guard.watch(sampler_of(&*self.generator)?, &host(self.generator.states(z))?)
            };
            (avoid, look)
        });
        let watch = watch.as_ref().map(|(avoid, look)| (*avoid, look as _));
        let mut steered =
            latent_trial::steer(method, samples, &starts, &targets, &self.reward, &settings, &measure, watch, cancel)?;
        // Distance and angle are reported from the sample's own noise, wherever the method started.
        for ((s, z), asked) in steered.iter_mut().zip(noise.rows()).zip(novelty) {
            s.start = z.to_vec();
            // Nothing is missed where nothing was moved.
            self.judge(s, asked.filter(|_| steers), settings.tolerance);
        }
        Ok(steered)
    }

    /// Compares what was measured of a sample with what was asked for.
    pub(super) fn judge(&self, steered: &mut Steered, asked: Option<Percentile>, tolerance: f64) {
        let value = steered.reading.as_ref().and_then(|r| r.value(self.reward.card.model_rank));
        let reached = value.map(|v| self.reward.calibration.novelty_of(v).percentile.percent());
        steered.judge(reached, asked, tolerance);
    }

    /// Whether the device should see tiles of one shape. Elsewhere, on the processor, a sample is the same whatever is
    /// computed beside it, and only the samples that are wanted are computed.
    pub fn needs_whole_tiles(&self) -> bool {
        !self.reward.is_row_by_row()
    }

    /// The pictures of steered samples, made in one network call of the tile's shape.
    ///
    /// # Errors
    /// When the device fails or the run is stopped.
    pub fn pictures(&self, steered: Vec<Steered>, preview_every: usize, cancel: &Cancel) -> Result<Vec<Finished>> {
        pictures(&*self.generator, steered, preview_every, cancel)
    }
}

/// The steering settings to use on a model where the user gives none.
pub fn usual_settings(spec: &Spec) -> Settings {
    let Usual { steps, max_angle, corrections, .. } = *spec.usual;
    Settings { steps, max_angle, corrections, ..Settings::default() }
}

/// The noise of seeds, `[n, width]`: where every sample starts.
pub fn seed_noise(samples: &[u64], width: usize) -> Latents {
    let mut latents = Latents::of_seeds(samples, width);
    for (latent, sample) in latents.rows_mut().zip(samples) {
        latent[0] = failpoint!("noise", *sample).unwrap_or(latent[0]);
    }
    latents
}
