//! A batch config: shared keys at the top, one table per job; flags, environment and `--set` over both.

use crate::error::{Error, Result, did_you_mean, explain_toml};
use crate::limits;
use crate::run::parse_seeds;
use crate::steer::{self, DenoisingKeys, GUIDES, Settings, guide};
use crate::store;
use crate::units::Percentile;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A job as typed, with every shared key filled in.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct JobConfig {
    /// Folder below `outdir`, row of the sheet.
    pub name: String,
    /// Model name or path.
    pub model: String,
    /// Name of a reward beside the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<String>,
    /// As in `0-63,99`.
    pub seeds: String,
    /// Run directory; with several jobs each has its own below it.
    pub outdir: PathBuf,
    /// Steering method.
    #[serde(default = "gradient")]
    pub method: String,
    /// `typical`, `balanced` or `novel`.
    #[serde(default)]
    pub mode: Option<String>,
    /// Percentile of the model's own samples to reach, 0 to 100; instead of a mode.
    #[serde(default)]
    pub novelty: Option<f64>,
    /// Steps of the open loop, candidates of a search.
    #[serde(default)]
    pub steps: Option<usize>,
    /// Greatest angle from the start, radians.
    #[serde(default)]
    pub drift: Option<f64>,
    /// Greatest angle of a step, radians.
    #[serde(default)]
    pub max_angle: Option<f64>,
    /// Measured corrections.
    #[serde(default)]
    pub corrections: Option<usize>,
    /// Fixed truncation factor.
    #[serde(default)]
    pub trunc: Option<f64>,
    /// Samples per tile.
    #[serde(default = "tile")]
    pub tile: usize,
    /// Whether pictures carry their recipe.
    #[serde(default = "yes")]
    pub metadata: bool,
    /// Whether the latents of the pictures are kept.
    #[serde(default)]
    pub save_latents: bool,
    /// Whether pictures lie in a folder for each thousand seeds.
    #[serde(default)]
    pub subdirs: bool,
    /// What is done during denoising.
    #[serde(flatten)]
    pub denoising: DenoisingKeys,
}

/// Names of the keys of a job.
///
/// # Errors
/// [`Error::Bug`].
pub fn names() -> Result<Vec<String>> {
    let denoising = serde_json::to_value(DenoisingKeys::default()).map_err(|e| Error::Bug(e.to_string()))?;
    let denoising = denoising.as_object().into_iter().flat_map(serde_json::Map::keys);
    Ok(KEYS.iter().map(|k| (*k).to_owned()).chain(denoising.cloned()).collect())
}

static KEYS: &[&str] = &[
    "name",
    "model",
    "reward",
    "seeds",
    "outdir",
    "method",
    "mode",
    "novelty",
    "steps",
    "drift",
    "max_angle",
    "corrections",
    "trunc",
    "tile",
    "metadata",
    "save_latents",
    "subdirs",
];

fn gradient() -> String {
    "gradient".into()
}

fn tile() -> usize {
    16
}

fn yes() -> bool {
    true
}

/// Values that win over the file, by key.
pub type Overrides = toml::Table;

/// The jobs of a batch.
#[derive(Clone, Debug)]
pub struct BatchConfig {
    /// Folder of the sheet and of the jobs.
    pub outdir: PathBuf,
    /// At least one.
    pub jobs: Vec<JobConfig>,
}

impl BatchConfig {
    /// Reads a file, or takes `text`, and lays `overrides` over every job. `rows` replaces the jobs of
    /// the file, where given: one job each of (name, keys).
    ///
    /// # Errors
    /// [`Error::Config`] naming place and key.
    pub fn resolve(place: &str, text: &str, overrides: &Overrides, rows: Option<Vec<toml::Table>>) -> Result<Self> {
        store::check_depth(text, place)?;
        let mut shared: toml::Table =
            toml::from_str(text).map_err(|e| Error::config(place, explain_toml(e.message())))?;
        let listed = match shared.remove("jobs") {
            Some(toml::Value::Array(jobs)) => jobs.into_iter().map(|j| table(j, place)).collect::<Result<Vec<_>>>()?,
            Some(_) => return Err(Error::config(format!("{place}: jobs"), "expected [[jobs]] tables")),
            None => vec![toml::Table::from_iter([("name".to_owned(), "run".into())])],
        };
        let listed = rows.unwrap_or(listed);
        if listed.is_empty() || listed.len() > 64 {
            return Err(Error::config(
                format!("{place}: jobs"),
                format!("expected 1 to 64 jobs, found {}", listed.len()),
            ));
        }
        let levels = listed.iter().filter(|j| j.contains_key("mode") || j.contains_key("novelty")).count();
        if levels > 1 && (overrides.contains_key("mode") || overrides.contains_key("novelty")) {
            let message = "several jobs have a mode or novelty of their own; choose rows with --mode or --novelty instead of --set or the environment";
            return Err(Error::config(place, message));
        }
        let mut jobs = Vec::new();
        for (i, own) in listed.into_iter().enumerate() {
            let mut keys = shared.clone();
            // A job's own mode or novelty replaces a shared one of either kind.
            if own.contains_key("mode") || own.contains_key("novelty") {
                keys.remove("mode");
                keys.remove("novelty");
            }
            keys.extend(own);
            if overrides.contains_key("mode") || overrides.contains_key("novelty") {
                keys.remove("mode");
                keys.remove("novelty");
            }
            keys.extend(overrides.clone());
            let at = format!("{place}: jobs[{i}]");
            let names = names()?;
            let known = || names.iter().map(String::as_str);
            if let Some(unknown) = keys.keys().find(|k| known().all(|key| key != k.as_str())) {
                return Err(Error::config(
                    at,
                    format!("unknown key \"{}\"{}", unknown.escape_debug(), did_you_mean(unknown, known())),
                ));
            }
            let job = Self::job(keys, &at)?;
            job.check(&at)?;
            jobs.push(job);
        }
        let mut names: Vec<&str> = jobs.iter().map(|j| j.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
            return Err(Error::config(format!("{place}: jobs"), format!("two jobs are named \"{}\"", twice[0])));
        }
        Ok(Self { outdir: jobs[0].outdir.clone(), jobs })
    }

    /// A job from its keys; written down and read again, because only text tells at which key it fails.
    fn job(keys: toml::Table, at: &str) -> Result<JobConfig> {
        for (key, value) in &keys {
            let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
            DenoisingKeys::deserialize(alone)
                .map_err(|e| Error::config(format!("{at}: {key}"), explain_toml(e.message())))?;
        }
        let text = keys.to_string();
        toml::from_str(&text).map_err(|e| {
            let line = e.span().and_then(|s| text.get(..s.start)?.lines().count().checked_sub(1));
            let key = line.and_then(|n| text.lines().nth(n)?.split(" = ").next());
            let key = key.filter(|k| KEYS.contains(k));
            let place = key.map_or(at.to_owned(), |k| format!("{at}: {k}"));
            Error::config(place, explain_toml(e.message()))
        })
    }

    /// The text of a config file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Config`] when it is no UTF-8 or too long.
    pub fn text(path: &Path) -> Result<String> {
        let bytes = store::read_bounded(path, limits::CONFIG_BYTES)?;
        String::from_utf8(bytes).map_err(|_| Error::config(crate::error::shown(path), "expected UTF-8 text"))
    }
}

fn table(value: toml::Value, place: &str) -> Result<toml::Table> {
    match value {
        toml::Value::Table(t) => Ok(t),
        other => Err(Error::config(
            format!("{place}: jobs"),
            format!("expected [[jobs]] tables, found {}", other.type_str()),
        )),
    }
}

impl JobConfig {
    fn check(&self, at: &str) -> Result<()> {
        let bad = |key: &str, message: String| Err(Error::config(format!("{at}: {key}"), message));
        if guide(&self.method).is_none() {
            let also = GUIDES.iter().map(|g| g.name);
            steer::method(&self.method).map_err(|e| match did_you_mean(&self.method, also) {
                near if near.contains("did you mean") => {
                    Error::key_found("method", &self.method, format!("no such method{near}"))
                }
                _ => e,
            })?;
        }
        if self.mode.is_some() && self.novelty.is_some() {
            return bad("novelty", "mode and novelty are two ways to say the same; give one".into());
        }
        if let Some(mode) = &self.mode
            && !MODES.iter().any(|m| m.0 == mode)
        {
            return bad("mode", format!("expected typical, balanced or novel, found \"{}\"", mode.escape_debug()));
        }
        store::check_id(&self.name).or_else(|m| bad("name", m))?;
        self.reward.as_deref().map_or(Ok(()), store::check_id).or_else(|m| bad("reward", m))?;
        if let Some(novelty) = self.novelty
            && !(0.0..=100.0).contains(&novelty)
        {
            return bad(
                "novelty",
                format!("expected a percentile from 0 (most typical) to 100 (most novel), found {novelty}"),
            );
        }
        parse_seeds(&self.seeds).map(|_| ()).or_else(|m| bad("seeds", m))?;
        if !(1..=limits::TILE).contains(&self.tile) {
            return bad("tile", format!("expected 1 to {}, found {}", limits::TILE, self.tile));
        }
        let s = self.settings(&Settings::default());
        if !(1..=limits::STEPS).contains(&s.steps) {
            return bad("steps", format!("expected 1 to {}, found {}", limits::STEPS, s.steps));
        }
        if s.corrections > 64 {
            return bad("corrections", format!("expected 0 to 64, found {}", s.corrections));
        }
        if !(s.drift > 0.0 && s.drift <= std::f64::consts::PI) {
            return bad("drift", format!("expected an angle from 0 to π radians, found {}", s.drift));
        }
        if !(s.max_angle > 0.0 && s.max_angle <= 1.0) {
            return bad("max_angle", format!("expected an angle from 0 to 1 radian, found {}", s.max_angle));
        }
        self.denoising.check(&self.method, self.target()).map_err(|e| e.at(&format!("{at}: ")))?;
        steer::check_settings(&self.method, &s, self.target()).or_else(|(key, m)| bad(key, m))
    }

    /// The steering settings, those that are not given as is usual for the model.
    pub fn settings(&self, usual: &Settings) -> Settings {
        Settings {
            steps: self.steps.unwrap_or(usual.steps),
            drift: self.drift.unwrap_or(usual.drift),
            max_angle: self.max_angle.unwrap_or(usual.max_angle),
            corrections: self.corrections.unwrap_or(usual.corrections),
            truncation: self.trunc,
        }
    }

    /// The percentile to reach; `None` for plain sampling.
    pub fn target(&self) -> Option<Percentile> {
        let mode = || MODES.iter().find(|m| Some(m.0) == self.mode.as_deref()).and_then(|m| m.1);
        self.novelty.or_else(mode).map(Percentile::clamped)
    }
}

/// Modes and the percentiles they stand for; balanced is the unguided sample.
pub static MODES: &[(&str, Option<f64>)] = &[("typical", Some(10.0)), ("balanced", None), ("novel", Some(90.0))];
