//! What a plan of pictures holds: its jobs, each with the recipe of its samples.

use super::origin::Origin;
use super::recipe::Recipe;
use super::scale::Sort;
use super::tiles::ROW;
use crate::acts::keys;
use crate::error::Result;
use crate::run::{Plan, Seeds};
use serde::{Deserialize, Serialize};

/// The keys of the plan that belong to this act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratePlan {
    /// Whether `samples.csv` is written beside `samples.parquet`.
    pub csv: bool,
    /// From 1 to 64 jobs.
    pub jobs: Vec<PlannedJob>,
}

impl GeneratePlan {
    /// What a plan of this act holds; `None` for one of another act.
    ///
    /// # Errors
    /// [`Error::Key`] for keys that do not fit.
    pub fn of(plan: &Plan) -> Result<Option<Self>> {
        if plan.kind == ROW.name { keys(plan).map(Some) } else { Ok(None) }
    }
}

/// One job of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedJob {
    /// Name of the job, and of its row on the contact sheet.
    pub name: String,
    /// Folder below the run directory, or `.`.
    pub folder: String,
    /// Model name or path.
    pub model: String,
    /// As in `0-63,99`.
    pub seeds: Seeds,
    /// Classifier name or path, where the recipe compares pictures by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    /// Whether pictures lie in a separate folder for each thousand seeds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subdirs: bool,
    /// Whether its pictures are enlarged on the sheet to a size that is easy to look at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub large: bool,
    /// Order of the seeds on the sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<Sort>,
    /// Whether its pictures are frames of an animation of each seed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sweep: bool,
    /// The picture whose recipe it was made from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// Everything that its samples depend on besides the seed.
    pub recipe: Recipe,
}

impl PlannedJob {
    /// A job of these seeds with everything else left as it usually is.
    pub fn plain(name: &str, folder: &str, model: &str, seeds: Seeds, recipe: Recipe) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            model: model.to_owned(),
            seeds,
            classifier: None,
            subdirs: false,
            large: false,
            sort: None,
            sweep: false,
            from: None,
            recipe,
        }
    }

    /// The recipes that have to be followed before its own: those of what its samples are variations of.
    pub fn chain(&self) -> Vec<Recipe> {
        self.recipe.vary.iter().flat_map(|v| v.chain().cloned()).collect()
    }
}
