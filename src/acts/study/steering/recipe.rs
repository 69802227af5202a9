//! What determines the tiles of a comparison.

use super::Comparison;
use super::entries::settings;
use crate::device::DeviceName;
use crate::error::{Error, Result};
use crate::generator::Classifier;
use crate::noise;
use crate::steer::{Engine, Settings};
use serde::Serialize;

/// Everything that a tile of a comparison depends on, but for the method: the `recipe.toml` of its folder. Seeds are part
/// of it, because the strengths of guides and the budget of a search depend on all of them.
#[derive(Clone, Debug, Serialize)]
pub struct Recipe {
    /// Version of this format.
    pub format: u32,
    /// What the folder holds.
    pub kind: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// Version of the noise scheme.
    pub noise_scheme: u32,
    /// Model id.
    pub model: String,
    /// SHA-256 of its card and weights.
    pub model_sha256: String,
    /// Name of the reward, where it is not the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<String>,
    /// SHA-256 of the reward's card.
    pub reward_sha256: String,
    /// What the reward predicts.
    pub quantity: String,
    /// What measures it in the closed loop.
    pub estimator: String,
    /// What measures it again at the end.
    pub remeasured: String,
    /// SHA-256 of the classifier that tells whether pictures keep their class, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier_sha256: Option<String>,
    /// Seeds as typed.
    pub seeds: String,
    /// Percentiles asked for.
    pub levels: Vec<f64>,
    /// Samples per tile.
    pub tile: usize,
    /// cpu, wgpu or cuda.
    pub device: &'static str,
    /// Settings of the closed loop.
    pub settings: Settings,
}

impl Recipe {
    /// The recipe of a comparison on this model, reward and device.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn of(
        asked: &Comparison,
        engine: &Engine,
        classifier: Option<&Classifier>,
        device: DeviceName,
    ) -> Result<Self> {
        Ok(Self {
            format: 1,
            kind: "steer-report",
            version: env!("CARGO_PKG_VERSION"),
            noise_scheme: noise::SCHEME,
            model: engine.generator.spec().id.clone(),
            model_sha256: engine.generator.model_sha256().to_owned(),
            reward: asked.reward.clone(),
            reward_sha256: engine.reward.sha256.clone(),
            quantity: engine.reward.card.quantity.clone(),
            estimator: engine.reward.quantity.how(),
            remeasured: engine.held_out()?.how(),
            classifier_sha256: classifier.map(|c| c.sha256().to_owned()),
            seeds: asked.seeds.clone(),
            levels: asked.novelty.clone(),
            tile: asked.tile,
            device: device.class(),
            settings: settings(asked, engine),
        })
    }

    /// The text of `recipe.toml`.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Bug(format!("recipe: {e}")))
    }
}
