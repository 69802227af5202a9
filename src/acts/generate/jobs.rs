//! The jobs of a batch with their models in memory: what stands between a config and a run.

use super::keys::{BatchConfig, JobKeys};
use super::make::check;
use super::origin::Origin;
use super::planned::{GeneratePlan, PlannedJob};
use super::recipe::{PictureRecipe, Recipe};
use super::scale::Scale;
use super::subject::Subject;
use super::subjects::{Subjects, subject};
use super::tiles::Classifiers;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::generator::{Classifier, find_model};
use crate::run::Plan;
use crate::store;
use std::path::{Path, PathBuf};

/// Planned jobs, and the models that make their pictures.
pub struct Jobs {
    /// At least one.
    pub jobs: Vec<PlannedJob>,
    /// Each model with each reward that a job names.
    pub subjects: Subjects,
    /// Each classifier that a job names.
    pub classifiers: Classifiers,
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
        let mut subjects = Subjects::new();
        let mut classifiers = Classifiers::new();
        let mut jobs: Vec<PlannedJob> = Vec::new();
        for (job, model) in batch.jobs.iter().zip(models) {
            let keys = &job.keys;
            let same = |k: &JobKeys| (&k.model, &k.reward) == (&keys.model, &keys.reward);
            let needs = batch.jobs.iter().any(|j| same(&j.keys) && j.keys.needs_reward());
            let loaded = subjects.keys().find(|k| (&k.0, &k.1) == (&keys.model, &keys.reward)).cloned();
            let key = match loaded {
                Some(key) => key,
                None => {
                    let subject = Subject::load(model, keys.reward.as_deref(), needs, &device.1)?;
                    let key = (keys.model.clone(), keys.reward.clone(), subject.engine().is_some());
                    subjects.insert(key.clone(), subject);
                    key
                }
            };
            if let Some(name) = keys.classifier.as_ref().filter(|name| !classifiers.contains_key(*name)) {
                classifiers.insert(name.clone(), Classifier::load(&find_model(name)?, &device.1)?);
            }
            let classifier = keys.classifier.as_ref().map(|name| &classifiers[name]);
            jobs.push(PlannedJob {
                name: keys.name.clone(),
                folder: if single && batch.jobs.len() == 1 { ".".into() } else { keys.name.clone() },
                model: keys.model.clone(),
                seeds: keys.seeds.clone(),
                classifier: keys.classifier.clone(),
                subdirs: keys.subdirs,
                large: keys.scale == Some(Scale::Auto),
                sort: keys.sort,
                sweep: keys.sweep == Some(true),
                from: None,
                recipe: Recipe::of(keys, &subjects[&key], classifier, device.0).map_err(|e| job.refuse(e))?,
            });
            // What a variation is made around may need another reward: found out before the first tile.
            let made_by: Vec<Recipe> = jobs.last().map(|j| j.chain()).unwrap_or_default();
            for recipe in made_by {
                subject(&mut subjects, &keys.model, &recipe, &device.1)?;
            }
        }
        let latents = |j: &PlannedJob| j.recipe.latents;
        if jobs.iter().any(|j| latents(j) != latents(&jobs[0])) {
            let message = "the jobs share one table, so all of them keep latents of one width, or none does";
            return Err(Error::config("save_latents", message));
        }
        Ok(Self { jobs, subjects, classifiers, device })
    }

    /// The job that makes `picture` again by its own recipe, with the model in `folder`.
    ///
    /// # Errors
    /// [`Error::Input`] if the picture was made with another model or reward, and those of loading them.
    pub fn again(
        picture: &Path,
        own: &PictureRecipe,
        model: String,
        folder: &Path,
        device: (DeviceName, Device),
    ) -> Result<Self> {
        let recipe = own.recipe.clone();
        let subject = Subject::of_recipe(&recipe, folder, &device.1)?;
        check(&subject, &recipe).map_err(|m| Error::input(picture, format!("was made with {m}; give that model")))?;
        let seeds = own.seed.to_string().try_into().map_err(Error::Bug)?;
        let job = PlannedJob::plain("again", ".", &model, seeds, recipe);
        let key = (model, job.recipe.reward.clone(), subject.engine().is_some());
        let subjects = Subjects::from([(key, subject)]);
        Ok(Self { jobs: vec![job], subjects, classifiers: Classifiers::new(), device })
    }

    /// Records that the keys of these jobs were at first those of the picture `own`, and what differs. What the picture is
    /// a variation of stays, unless a job varies something else.
    ///
    /// # Errors
    /// [`Error::Key`] for the variation of a sample of another model.
    pub fn begin_with(&mut self, own: &PictureRecipe, batch: &BatchConfig) -> Result<()> {
        for (job, asked) in self.jobs.iter_mut().zip(&batch.jobs) {
            if let (None, Some(vary)) = (&job.recipe.vary, own.recipe.vary.as_ref().filter(|v| v.of.is_some())) {
                if own.recipe.model_sha256 != job.recipe.model_sha256 {
                    let message =
                        "the picture is a variation of a latent of its own model; another model has none like it";
                    return Err(Error::key("from", message));
                }
                job.recipe.vary = Some(vary.clone());
            }
            // No key says what the limits of a guard were.
            if asked.keys.guard.guard.is_none() && own.recipe.model_sha256 == job.recipe.model_sha256 {
                job.recipe.guard.clone_from(&own.recipe.guard);
            }
            job.recipe.check_guard()?;
            job.from = Some(Origin::of(own, &job.recipe)?);
        }
        Ok(())
    }

    /// These jobs added to those that a run folder already holds, so that nothing made there is lost: more seeds of a
    /// job that is there, or further jobs. Says whether the folder keeps a CSV table, which must go on too.
    ///
    /// # Errors
    /// [`Error::Config`] for a job of the same name with another recipe, with the values that differ.
    pub fn added_to(&mut self, found: Option<&Plan>, folder: &Path) -> Result<bool> {
        let Some(found) = found.filter(|p| p.kind == super::tiles::ROW.name) else { return Ok(false) };
        let GeneratePlan { csv, jobs: mut all } = crate::acts::keys(found)?;
        for job in std::mem::take(&mut self.jobs) {
            match all.iter_mut().find(|j| j.name == job.name) {
                Some(there) if there.recipe == job.recipe && there.subdirs == job.subdirs => {
                    there.seeds = there.seeds.and(&job.seeds);
                    there.model = job.model;
                    there.large |= job.large;
                    there.sort = job.sort.or(there.sort);
                    there.sweep |= job.sweep;
                    there.classifier = job.classifier;
                }
                Some(there) => {
                    let differ = match there.subdirs == job.subdirs {
                        true => store::differences(&there.recipe.text()?, &job.recipe.text()?),
                        false => format!("subdirs was {}, is {}", there.subdirs, job.subdirs),
                    };
                    let message = format!(
                        "this folder has a job \"{}\" made otherwise: {differ}; choose another folder, or another name for the job",
                        job.name
                    );
                    return Err(Error::config(shown(folder), message));
                }
                None => {
                    let taken = job.folder == "." && all.iter().any(|j| j.folder == ".");
                    let folder =
                        if taken || all.iter().any(|j| j.folder != ".") { job.name.clone() } else { job.folder };
                    all.push(PlannedJob { folder, ..job });
                }
            }
        }
        self.jobs = all;
        Ok(csv)
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
