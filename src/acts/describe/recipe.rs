//! What determines the tiles of a description.

use super::block::{About, FORMAT, Sample};
use super::source::SEEDS;
use crate::error::{Error, Result};
use crate::geometry::EstimatorSettings;
use serde::{Deserialize, Serialize};

/// What determines the tiles of a description, with every default written out: the `recipe.toml` of its run directory.
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
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// Where the latents come from.
    pub source: String,
    /// How pictures were turned into latents.
    pub inversion: String,
    /// Estimator of the spectra.
    pub estimator: String,
    /// P, the number of directions.
    pub directions: usize,
    /// c, the radius of the stencil.
    pub radius: f64,
    /// Seed of the random directions.
    pub frame_seed: u64,
    /// Whether local complexity is counted.
    pub complexity: bool,
    /// c, the radius of local complexity.
    pub complexity_radius: f64,
    /// P, the number of directions of local complexity.
    pub complexity_directions: usize,
    /// Samples per tile.
    pub tile: usize,
    /// cpu, wgpu or cuda.
    pub device: String,
}

impl Recipe {
    /// The text of `recipe.toml`.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Bug(format!("recipe: {e}")))
    }

    /// Name of the column that numbers the samples: `seed`, or `row` for a file or a list.
    pub fn column(&self) -> &'static str {
        if self.source == SEEDS { "seed" } else { "row" }
    }

    /// Whether the directions have the default key and the stencil its default radius.
    pub fn is_usual(&self) -> bool {
        let usual = EstimatorSettings::default();
        self.frame_seed == usual.seed && self.radius == usual.radius
    }

    /// What a file of these samples says about itself.
    pub fn about(&self, run_id: &str, tile: Option<u64>, estimator: &str, samples: &[Sample]) -> About {
        let spectrum = samples.iter().find_map(|s| s.spectrum.as_ref());
        let mut stderr: Vec<String> = samples.iter().flat_map(|s| s.stderr.keys().cloned()).collect();
        stderr.sort();
        stderr.dedup();
        About {
            format: FORMAT,
            sha256: String::new(),
            run_id: run_id.to_owned(),
            tile,
            model: self.model.clone(),
            model_sha256: self.model_sha256.clone(),
            column: self.column().to_owned(),
            estimator: estimator.to_owned(),
            n_directions: spectrum.map_or(0, |s| s.n_directions),
            frame_of: spectrum.map_or(0, |s| s.frame_of),
            sample_width: spectrum.map_or(0, |s| s.sample_width),
            stderr,
        }
    }
}
