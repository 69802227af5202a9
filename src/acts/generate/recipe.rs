//! The recipe: everything that a sample's bytes depend on besides its seed. It does not hold the list of seeds, so seed
//! 17 gives the same picture whatever other seeds are made with it.

use super::keys::JobKeys;
use super::scale;
use super::subject::{NO_REWARD, Subject};
use super::vary::Vary;
use crate::device::DeviceName;
use crate::error::{Error, Result};
use crate::generator::Classifier;
use crate::limits;
use crate::noise;
use crate::render::png;
use crate::steer::denoiser::{check_asked, sampler_of};
use crate::steer::guard::{Action, Guard};
use crate::steer::{Denoising, Engine, GuideRow, HeldOut, MethodKeys, OwnKeys, Settings, guide, usual_settings};
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
    /// SHA-256 of the reward's card, which holds the hashes of its weights and calibration; `absent` for pictures of a
    /// model that had no reward.
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
    /// By how much files are enlarged, if they are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scale: Option<usize>,
    /// What measures again what was chosen by measurement, if that is asked for and there is something to hold out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remeasure: Option<String>,
    /// Steering settings.
    pub settings: Settings,
    /// What is done during denoising, if anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub denoising: Option<Denoising>,
    /// SHA-256 over card and weights of the model whose denoiser finishes the pictures, if another one does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub denoiser_sha256: Option<String>,
    /// What the samples are variations of, if they are. Then a sample's number takes the place of its seed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vary: Option<Vary>,
    /// Whether pictures are compared with the unguided ones of their seeds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<IdentityRecipe>,
    /// The guard, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub guard: Option<Guard>,
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
    pub fn of(job: &JobKeys, subject: &Subject, classifier: Option<&Classifier>, device: DeviceName) -> Result<Self> {
        let denoising = job.denoising.filled(&job.method);
        let acts = job.target().is_some()
            || job.own.used(job.target()) != MethodKeys::default()
            || denoising.as_ref().is_some_and(|d| d.push);
        let method = if acts { job.method.as_str() } else { "none" };
        let guide = guide(method);
        let spec = subject.generator().spec();
        let denoiser_sha256 = match &denoising {
            None => None,
            Some(how) => Self::check_denoising(subject, guide, how)?,
        };
        let latents = job.save_latents.then_some(spec.latent_width);
        if latents.is_some() && denoising.as_ref().is_some_and(|d| d.is_guided(guide)) {
            let message = "a guided picture is not made from its latent alone; leave it out, or take a method that moves the noise";
            return Err(Error::key("save_latents", message));
        }
        if let Some(d) = latents.filter(|d| job.tile.saturating_mul(*d) > limits::RECORD_LATENTS) {
            let most = limits::RECORD_LATENTS / d;
            let message = format!("a latent has {d} values; take tiles of at most {most} samples");
            return Err(Error::key("save_latents", message));
        }
        let scale = job.scale.and_then(scale::Scale::times);
        let [_, height, width] = spec.sample_shape;
        let side = height.max(width);
        if let Some(n) = scale.filter(|n| n * side > limits::IMAGE_SIDE_OUT) {
            let most = limits::IMAGE_SIDE_OUT / side.max(1);
            let message = format!(
                "pictures of {width}×{height} grow to sides of at most {} pixels, so at most {most} times, found {n}",
                limits::IMAGE_SIDE_OUT
            );
            return Err(Error::key("scale", message));
        }
        if job.identity == Some(true) && subject.engine().is_none() {
            let message =
                "the model has no reward, so that nothing is steered and every picture is its own unguided one";
            return Err(Error::key("identity", message));
        }
        let guarded = job.guard.guard(&**subject.generator())?;
        let held_out = subject.engine().map(Engine::held_out).transpose()?.filter(HeldOut::is_there);
        let recipe = Self {
            format: 1,
            version: env!("CARGO_PKG_VERSION").into(),
            noise_scheme: noise::SCHEME,
            model: spec.id.clone(),
            model_sha256: subject.generator().model_sha256().to_owned(),
            reward: job.reward.clone(),
            reward_sha256: subject.reward_sha256().to_owned(),
            method: method.into(),
            novelty: job.target(),
            estimator: subject.estimator(),
            tile: job.tile,
            device: device.class().into(),
            metadata: job.metadata,
            latents,
            scale,
            remeasure: held_out.filter(|_| job.remeasure == Some(true)).map(|h| h.how()),
            settings: job.settings(&usual_settings(spec)),
            denoising,
            denoiser_sha256,
            vary: None,
            identity: (job.identity == Some(true))
                .then(|| IdentityRecipe { classifier_sha256: classifier.map(|c| c.sha256().to_owned()) }),
            guard: guarded,
        };
        let recipe = Self { vary: Vary::asked(job, &recipe, spec.latent_width, device)?, ..recipe };
        recipe.check_guard()?;
        Ok(recipe)
    }

    /// Whether the model can do what is asked of its denoising. Returns the SHA-256 of the model that finishes its pictures, if another
    /// one is to do so.
    fn check_denoising(subject: &Subject, guide: Option<&GuideRow>, how: &Denoising) -> Result<Option<String>> {
        let generator = &**subject.generator();
        let id = &generator.spec().id;
        let finisher = match (how.end.finisher(), sampler_of(generator).is_ok()) {
            (Some(_), true) => {
                return Err(Error::key("denoiser", format!("expected none; \"{id}\" has a denoiser of its own")));
            }
            (Some((name, sigma)), false) => {
                let finisher = subject.finisher(name)?;
                finisher.check(generator.spec(), sigma)?;
                Some(finisher.sha256().to_owned())
            }
            (None, false) if how.end.denoise.is_some() => {
                let message = format!(
                    "\"{id}\" has no denoiser; name a diffusion model of such pictures in denoiser, with tweedie. Whether it makes \
                     pictures with noise follows from how it was trained"
                );
                return Err(Error::key("denoise", message));
            }
            (None, _) => None,
        };
        if finisher.is_none() || *how != how.end_alone() {
            match subject.engine() {
                Some(engine) => engine.check_denoising(guide, how)?,
                None => check_asked(sampler_of(generator)?, how)?,
            }
        }
        Ok(finisher)
    }

    /// The model whose denoiser finishes the pictures, and the noise level, if another one does.
    pub fn finisher(&self) -> Option<(&str, f64)> {
        self.denoising.as_ref().and_then(|how| how.end.finisher())
    }

    /// Whether the guard can do what it says here.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check_guard(&self) -> Result<()> {
        let bad = |message: String| Err(Error::key("guard", message));
        let Some(guard) = &self.guard else { return Ok(()) };
        if guard.action == Action::Resample && self.vary.is_some() {
            return bad("resample takes other noise, and a variation has to stay near what it varies; take flag".into());
        }
        // Where nothing is steered there is no way, and the guard looks at the end alone.
        if !guard.action.acts_on_the_way() || !self.is_steered() {
            return Ok(());
        }
        if guide(&self.method).is_some() {
            let method = &self.method;
            return bad(format!(
                "stop and steer-away need a method that moves the noise, the method here is \"{method}\"; take flag or resample"
            ));
        }
        match self.settings.corrections {
            0 => bad("stop and steer-away act where the sample is measured on its way; give corrections, or take flag"
                .into()),
            _ => Ok(()),
        }
    }

    /// Whether a method or a guide acts on its samples.
    pub fn is_steered(&self) -> bool {
        self.method != "none"
    }

    /// The same without anything that acts on its samples: what is left is where they start.
    #[must_use]
    pub fn unsteered(self) -> Self {
        Self { method: "none".into(), novelty: None, denoising: None, denoiser_sha256: None, guard: None, ..self }
    }

    /// Whether the model had a reward.
    pub fn has_reward(&self) -> bool {
        self.reward_sha256 != NO_REWARD
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
            && self.scale.is_none_or(|n| (2..=scale::MOST).contains(&n))
            && self.denoising.as_ref().is_none_or(Denoising::is_bounded)
            && self.vary.as_ref().is_none_or(Vary::is_bounded)
            && self.guard.as_ref().is_none_or(Guard::is_bounded)
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
    /// The recipe inside the picture `file`.
    ///
    /// # Errors
    /// Those of [`png::decode_metadata`] and [`parse`](Self::parse).
    pub fn read(file: &std::path::Path) -> Result<Self> {
        Self::parse(file, &png::decode_metadata(file)?)
    }

    /// The keys of a job that makes this picture again. Those that follow from others are left at their defaults.
    pub fn keys(&self) -> JobKeys {
        let r = &self.recipe;
        let denoising = r.denoising.as_ref().map(|d| d.keys(&r.method, r.novelty)).unwrap_or_default();
        let conditioned = denoising.condition.class.is_some()
            || denoising.walk.recurrence.is_some()
            || denoising.end.denoise.is_some();
        // A plain picture says nothing about how it would have been steered.
        let plain = !r.is_steered() && r.novelty.is_none() && !conditioned;
        let usual = JobKeys::default();
        // No key says what else is varied; see `Jobs::begin_with`.
        let seed_varied = || r.vary.as_ref().filter(|v| v.of.is_none());
        JobKeys {
            model: r.model.clone(),
            reward: r.reward.clone(),
            method: if plain { usual.method.clone() } else { r.method.clone() },
            novelty: r.novelty,
            steps: Some(r.settings.steps),
            drift: r.settings.drift,
            max_angle: Some(r.settings.max_angle),
            corrections: Some(r.settings.corrections),
            tolerance: Some(r.settings.tolerance),
            own: r.settings.own.clone(),
            vary: seed_varied().map(|v| v.seed.to_string()),
            angle: seed_varied().map(|v| v.angle),
            tile: r.tile,
            scale: r.scale.map(scale::Scale::Times),
            metadata: r.metadata,
            denoising,
            ..usual
        }
    }

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
        if !found.recipe.is_bounded() {
            let message = "the recipe inside asks for a tile, steps, corrections, novelty or reward beyond what isoline writes; it is damaged";
            return Err(Error::input(file, message));
        }
        Ok(found)
    }

    /// One line in the style of the `parameters` chunk that picture tools show.
    pub fn parameters(&self) -> String {
        let r = &self.recipe;
        let novelty = r.novelty.map_or("unguided".to_owned(), |n| n.percent().to_string());
        let seed = match &r.vary {
            None => self.seed.to_string(),
            Some(v) => format!("{}, Variation: {}, Variation angle: {}", v.seed, self.seed, v.angle),
        };
        let reward = r.reward.as_ref().map_or(String::new(), |n| format!("Reward: {n}, "));
        format!(
            "isoline {}, Model: {}, Model hash: {:.10}, {reward}Seed: {seed}, Novelty: {novelty}, Method: {}, Steps: {}, Corrections: {}",
            r.version, r.model, r.model_sha256, r.method, r.settings.steps, r.settings.corrections
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
