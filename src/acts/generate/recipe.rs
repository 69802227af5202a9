//! The recipe: everything that a sample's bytes depend on besides its seed. It does not hold the list of seeds, so seed
//! 17 gives the same picture whatever other seeds are made with it.

use super::keys::JobKeys;
use crate::device::DeviceName;
use crate::error::{Error, Result};
use crate::generator::Classifier;
use crate::limits;
use crate::noise;
use crate::steer::{Denoising, Engine, MethodKeys, OwnKeys, Settings, guide};
use crate::store;
use crate::units::Percentile;
use serde::{Deserialize, Serialize};

/// What a run directory holds, with every default written out.
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
    /// SHA-256 over its card and weights.
    pub model_sha256: String,
    /// Name of the reward, where it is not the model's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reward: Option<String>,
    /// SHA-256 of the reward's card, which holds the hashes of its weights and calibration.
    pub reward_sha256: String,
    /// Steering method.
    pub method: String,
    /// Percentile asked for; absent for plain sampling.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub novelty: Option<Percentile>,
    /// Estimator of the measured values.
    pub estimator: String,
    /// Samples per tile.
    pub tile: usize,
    /// cpu, wgpu or cuda.
    pub device: String,
    /// Whether pictures carry this recipe.
    pub metadata: bool,
    /// Length of a latent, if records keep the latents of their samples.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latents: Option<usize>,
    /// Steering settings.
    pub settings: Settings,
    /// What is done during denoising, if anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub denoising: Option<Denoising>,
    /// Whether pictures are compared with the unguided ones of their seeds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<IdentityRecipe>,
}

/// How pictures are compared with the unguided ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityRecipe {
    /// SHA-256 of the classifier that tells whether a class is kept, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub classifier_sha256: Option<String>,
}

impl Recipe {
    /// The recipe of a job on this model, reward and device, with the classifier that it names.
    ///
    /// # Errors
    /// [`Error::Key`] for what the model or the reward cannot do.
    pub fn of(job: &JobKeys, engine: &Engine, classifier: Option<&Classifier>, device: DeviceName) -> Result<Self> {
        let denoising = job.denoising.filled(&job.method);
        let acts = job.target().is_some()
            || job.own.used(job.target()) != MethodKeys::default()
            || denoising.as_ref().is_some_and(|d| d.push);
        let method = if acts { job.method.as_str() } else { "none" };
        let guide = guide(method);
        if let Some(how) = &denoising {
            engine.check_denoising(guide, how)?;
        }
        let latents = job.save_latents.then_some(engine.generator.spec().latent_width);
        if latents.is_some() && denoising.as_ref().is_some_and(|d| d.is_guided(guide)) {
            let message = "a guided picture is not made from its latent alone; leave it out, or take a method that moves the noise";
            return Err(Error::key("save_latents", message));
        }
        if let Some(d) = latents.filter(|d| job.tile.saturating_mul(*d) > limits::RECORD_LATENTS) {
            let most = limits::RECORD_LATENTS / d;
            let message = format!("a latent has {d} values; take tiles of at most {most} samples");
            return Err(Error::key("save_latents", message));
        }
        Ok(Self {
            format: 1,
            version: env!("CARGO_PKG_VERSION").into(),
            noise_scheme: noise::SCHEME,
            model: engine.generator.spec().id.clone(),
            model_sha256: engine.generator.model_sha256().to_owned(),
            reward: job.reward.clone(),
            reward_sha256: engine.reward.sha256.clone(),
            method: method.into(),
            novelty: job.target(),
            estimator: engine.reward.quantity.how(),
            tile: job.tile,
            device: device.class().into(),
            metadata: job.metadata,
            latents,
            settings: job.settings(&engine.usual_settings()),
            denoising,
            identity: (job.identity == Some(true))
                .then(|| IdentityRecipe { classifier_sha256: classifier.map(|c| c.sha256().to_owned()) }),
        })
    }

    /// The text of `recipe.toml`.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Bug(format!("recipe: {e}")))
    }

    /// Whether every number is within the bounds of what isoline writes. Checked for recipes from outside before they
    /// are used.
    pub fn is_bounded(&self) -> bool {
        (1..=limits::TILE).contains(&self.tile)
            && self.settings.is_bounded()
            && self.latents.is_none_or(|d| self.tile.saturating_mul(d) <= limits::RECORD_LATENTS)
            && self.denoising.as_ref().is_none_or(Denoising::is_bounded)
            // The name becomes part of a path.
            && self.reward.as_deref().is_none_or(|r| store::check_id(r).is_ok())
    }

    /// The first 16 hex digits of the recipe's SHA-256. Two runs with the same id make the same bytes.
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
    /// Parses the text of the chunk found in `file`.
    ///
    /// # Errors
    /// [`Error::Input`] for another version or damaged text.
    pub fn parse(file: &std::path::Path, text: &str) -> Result<Self> {
        let found: Self = serde_json::from_str(text).map_err(|e| {
            Error::input(file, format!("the recipe inside cannot be read: {e}; it is damaged or from another version"))
        })?;
        let given = serde_json::from_str(text).ok();
        if let Some(key) = given.and_then(|given| crate::acts::unread(&given, &found)) {
            let message =
                format!("the recipe inside has an unknown key \"{}\"; another version wrote it", key.escape_debug());
            return Err(Error::input(file, message));
        }
        if found.schema != 1 || found.recipe.format != 1 {
            return Err(Error::input(file, format!("the recipe inside has schema {}, expected 1", found.schema)));
        }
        if !found.recipe.is_bounded() || found.seed > u64::MAX >> 12 {
            let message = "the recipe inside asks for a seed, tile, steps, corrections, novelty or reward beyond what isoline writes; it is damaged";
            return Err(Error::input(file, message));
        }
        Ok(found)
    }

    /// One line in the style of the `parameters` chunk that picture tools show.
    pub fn parameters(&self) -> String {
        let r = &self.recipe;
        let novelty = r.novelty.map_or("unguided".to_owned(), |n| n.percent().to_string());
        let reward = r.reward.as_ref().map_or(String::new(), |n| format!("Reward: {n}, "));
        format!(
            "isoline {}, Model: {}, Model hash: {:.10}, {reward}Seed: {}, Novelty: {novelty}, Method: {}, Steps: {}, Corrections: {}",
            r.version, r.model, r.model_sha256, self.seed, r.method, r.settings.steps, r.settings.corrections
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_foreign_pictures_are_bounded() {
        let json = |tile: &str, novelty: &str| {
            format!(
                r#"{{"schema":1,"seed":1,"recipe":{{"format":1,"version":"0","noise_scheme":1,"model":"m","model_sha256":"",
                "reward_sha256":"","method":"none","novelty":{novelty},"estimator":"exact","tile":{tile},
                "device":"cpu","metadata":true,"settings":{{"steps":1,"drift":1.0,"max_angle":0.1,"corrections":0}}}}}}"#
            )
        };
        let parse = |text: String| PictureRecipe::parse(std::path::Path::new("x.png"), &text);
        assert!(parse(json("16", "90.0")).is_ok());
        for bad in [json("1000000000000000000", "90.0"), json("0", "90.0"), json("16", "500.0"), json("-1", "1.0")] {
            assert!(matches!(parse(bad), Err(Error::Input { .. })));
        }
    }
}
