//! Jobs whose keys come from a picture.

use super::recipe::{PictureRecipe, Recipe};
use crate::error::Result;
use crate::store;
use serde::{Deserialize, Serialize};

/// Where the keys of a job come from, if they come from a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The run of the picture.
    pub run_id: String,
    /// Its seed, as text.
    pub seed: String,
    /// The keys that differ from its recipe, each with both values.
    pub differs: String,
}

impl Origin {
    /// What to record of a job with this `recipe` whose keys were at first those of the picture `own`.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`].
    pub fn of(own: &PictureRecipe, recipe: &Recipe) -> Result<Self> {
        let differs = match own.recipe == *recipe {
            true => String::new(),
            false => store::differences(&own.recipe.text()?, &recipe.text()?),
        };
        Ok(Self { run_id: own.recipe.run_id()?, seed: own.seed.to_string(), differs })
    }
}
