//! The jobs of a batch with their models in memory: what stands between a config and a run.

use super::keys::BatchConfig;
use super::recipe::Recipe;
use super::tiles::{Engines, GeneratePlan, PlannedJob};
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::find_model;
use crate::run::Plan;
use crate::steer::Engine;
use std::path::PathBuf;

/// Planned jobs, and the engines that make their pictures.
pub struct Jobs {
    /// At least one.
    pub jobs: Vec<PlannedJob>,
    /// Each model with each reward that a job names.
    pub engines: Engines,
    /// Where they compute.
    pub device: (DeviceName, Device),
}

impl Jobs {
    /// Loads the models; `models` holds the folder of each job's model. With `single` a lone job works directly in the run
    /// folder.
    ///
    /// # Errors
    /// When a model cannot be used, or a job asks for what its model cannot do.
    pub fn load(batch: &BatchConfig, models: &[PathBuf], single: bool, device: (DeviceName, Device)) -> Result<Self> {
        let mut engines = Engines::new();
        let mut jobs = Vec::new();
        for (job, model) in batch.jobs.iter().zip(models) {
            let keys = &job.keys;
            let key = (keys.model.clone(), keys.reward.clone());
            if !engines.contains_key(&key) {
                engines.insert(key.clone(), Engine::load(model, keys.reward.as_deref(), &device.1)?);
            }
            jobs.push(PlannedJob {
                name: keys.name.clone(),
                folder: if single && batch.jobs.len() == 1 { ".".into() } else { keys.name.clone() },
                model: keys.model.clone(),
                seeds: keys.seeds.clone(),
                subdirs: keys.subdirs,
                recipe: Recipe::of(keys, &engines[&key], device.0).map_err(|e| job.refuse(e))?,
            });
        }
        let latents = |j: &PlannedJob| j.recipe.latents;
        if jobs.iter().any(|j| latents(j) != latents(&jobs[0])) {
            let message = "the jobs share one table, so all of them keep latents of one width, or none does";
            return Err(Error::config("save_latents", message));
        }
        Ok(Self { jobs, engines, device })
    }

    /// The plan of these jobs.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn plan(&self, csv: bool) -> Result<Plan> {
        Plan::new(super::tiles::ROW.name, &GeneratePlan { csv, jobs: self.jobs.clone() })
    }
}

/// Finds the folders of the jobs' models.
///
/// # Errors
/// [`Error::Input`] for a model that does not exist.
pub fn models(batch: &BatchConfig) -> Result<Vec<PathBuf>> {
    batch.jobs.iter().map(|j| find_model(&j.keys.model)).collect()
}
