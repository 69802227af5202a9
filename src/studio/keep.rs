//! Keeping a picture: it is added to the run folder of its recipe, `kept-MODEL-RECIPE`, whose seeds only grow, and made there as
//! `isoline generate` makes it.

use super::app::App;
use super::problem::{Code, Problem};
use crate::acts::generate::{GeneratePlan, PlannedJob, Recipe};
use crate::error::{Error, Result};
use crate::run::{Plan, Seeds};
use crate::store;
use std::path::Path;
use std::sync::PoisonError;

/// Where a picture is kept: the run's name, its seed, and whether it was there before.
pub struct Kept {
    /// Name of the run folder.
    pub run: String,
    /// Whether it was planned there already.
    pub before: bool,
}

/// Plans a picture into the folder of its recipe.
///
/// # Errors
/// 404 for a picture whose recipe is not known; what a plan cannot be read or written for.
pub fn keep(app: &App, id: &str) -> Result<Kept, Problem> {
    let unknown = || Problem::new(Code::Evicted, "this picture's recipe is not here").hint("look at it again");
    let (run_id, seed) = id.split_once('-').ok_or_else(unknown)?;
    let seed: u64 = seed.parse().map_err(|_| unknown())?;
    let known = app.recipe(run_id);
    let (model, recipe) = match known {
        Some(known) => known,
        None => planned(app, id, run_id).map_err(|e| app.problem(&e))?.ok_or_else(unknown)?,
    };
    // The name becomes a folder's, and a plan may be a stranger's.
    store::check_id(&recipe.model).map_err(|rule| Problem::value("id", format!("its model's name: {rule}")))?;
    let run = format!("kept-{}-{run_id}", recipe.model);
    let _one_at_a_time = app.keeping.lock().unwrap_or_else(PoisonError::into_inner);
    let before =
        add(&app.root.join(".studio"), &app.root.join(&run), &model, (recipe, seed)).map_err(|e| app.problem(&e))?;
    Ok(Kept { run, before })
}

/// The recipe of a picture that lies in a run.
pub fn planned(app: &App, id: &str, run_id: &str) -> Result<Option<(String, Recipe)>> {
    for (run, _) in app.db.places(id)? {
        let Some(own) = GeneratePlan::of(&Plan::read(&app.root.join(&run))?)? else { continue };
        for job in own.jobs {
            if job.recipe.run_id()? == run_id {
                return Ok(Some((job.model, job.recipe)));
            }
        }
    }
    Ok(None)
}

/// Adds a seed to the plan in `folder`, and says whether it was there. `studio` is the folder of the studio's own files.
fn add(studio: &Path, folder: &Path, model: &str, (recipe, seed): (Recipe, u64)) -> Result<bool> {
    let one = Seeds::try_from(seed.to_string()).map_err(Error::Bug)?;
    let there = if folder.join("plan.toml").is_file() { GeneratePlan::of(&Plan::read(folder)?)? } else { None };
    let mut own = there.unwrap_or_else(|| GeneratePlan { csv: false, jobs: Vec::new() });
    let before = match own.jobs.first_mut() {
        Some(job) => {
            let before = job.seeds.list().contains(&seed);
            job.seeds = job.seeds.and(&one);
            before
        }
        None => {
            own.jobs.push(PlannedJob::plain("kept", ".", model, one, recipe));
            false
        }
    };
    // Whoever opens a run removes what a killed process left unfinished in it, and would take this for that.
    let beside = studio.join("plans").join(folder.file_name().unwrap_or_default());
    Plan::new(crate::acts::generate::ROW.name, &own)?.write(&beside)?;
    store::move_file(&beside.join("plan.toml"), &folder.join("plan.toml"))?;
    Ok(before)
}
