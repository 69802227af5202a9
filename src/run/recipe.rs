//! The recipe: everything a sample's bytes depend on beside its seed. It does not hold the list of
//! seeds, so that seed 17 is the same picture whoever its neighbours are.

use crate::error::{Error, Result};
use crate::steering::Settings;
use crate::store;
use serde::{Deserialize, Serialize};

/// What a run directory holds, spelt out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Version of this format.
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// Version of the noise scheme.
    pub noise_scheme: u32,
    /// Model id.
    pub model: String,
    /// SHA-256 of its weights.
    pub model_sha256: String,
    /// SHA-256 of the reward's weights.
    pub reward_sha256: String,
    /// SHA-256 of the calibration table.
    pub calibration_sha256: String,
    /// Steering method.
    pub method: String,
    /// Percentile asked for; absent for plain sampling.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub novelty: Option<f64>,
    /// Estimator of the measured values.
    pub estimator: String,
    /// Samples per tile.
    pub tile: usize,
    /// cpu, wgpu or cuda.
    pub device: String,
    /// Whether pictures carry this recipe.
    pub metadata: bool,
    /// Steering settings.
    pub settings: Settings,
}

impl Recipe {
    /// The text of `recipe.toml`.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Bug(format!("recipe: {e}")))
    }

    /// 16 hex digits of the recipe's SHA-256: two runs with the same id make the same bytes.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn run_id(&self) -> Result<String> {
        Ok(store::sha256_hex(self.text()?.as_bytes())[..16].to_owned())
    }
}

/// What a picture carries in its iTXt chunk `isoline`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureRecipe {
    /// Version of this chunk.
    pub schema: u32,
    /// The seed.
    pub seed: u64,
    /// The run's recipe.
    pub recipe: Recipe,
}

impl PictureRecipe {
    /// Parses the chunk of `file`.
    ///
    /// # Errors
    /// [`Error::Input`] for other versions and damaged text.
    pub fn parse(file: &std::path::Path, text: &str) -> Result<Self> {
        let found: Self = serde_json::from_str(text).map_err(|e| {
            Error::input(file, format!("the recipe inside cannot be read: {e}; it is damaged or from another version"))
        })?;
        if found.schema != 1 || found.recipe.format != 1 {
            return Err(Error::input(file, format!("the recipe inside has schema {}, expected 1", found.schema)));
        }
        Ok(found)
    }

    /// One line in the style of the `parameters` chunk that picture tools show.
    pub fn parameters(&self) -> String {
        let r = &self.recipe;
        let novelty = r.novelty.map_or("unguided".to_owned(), |n| format!("{n}"));
        format!(
            "isoline {}, Model: {}, Model hash: {:.10}, Seed: {}, Novelty: {novelty}, Method: {}, Steps: {}, Corrections: {}",
            r.version, r.model, r.model_sha256, self.seed, r.method, r.settings.steps, r.settings.corrections
        )
    }
}
