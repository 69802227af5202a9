//! A batch config: shared keys at the top, one table per job. Flags, environment and `--set` override both.

use super::name::run_name;
use super::scale::{Scale, Sort};
use super::vary::is_angle;
use crate::error::{Error, Result, did_you_mean, explain_toml, nearest, shown};
use crate::generator::{Card, find_model};
use crate::limits;
use crate::run::Seeds;
use crate::steer::guard::GuardKeys;
use crate::steer::{self, DenoisingKeys, METHODS, MethodKeys, OwnKeys, Settings, guide};
use crate::store;
use crate::units::Percentile;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The keys of a job. Each is declared once: its name in a file, in `--set` and, as `ISOLINE_NAME`, in the environment; its flag
/// with the help, where it has one; what it is where it is not typed, in [`JobKeys::default`].
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub struct JobKeys {
    /// Folder below `outdir`, row of the sheet.
    #[arg(skip)]
    pub name: String,
    /// Model name or path
    #[arg(short, long, value_name = "MODEL", display_order = 2)]
    pub model: String,
    /// Reward beside the model's own, by its name; see isoline list rewards
    #[arg(long, value_name = "NAME", display_order = 3)]
    pub reward: Option<String>,
    /// As in `0-63,99`.
    #[arg(skip)]
    pub seeds: Seeds,
    /// Run folder [default: one below runs/, named after the model and what is asked of it]
    #[arg(short, long, value_name = "DIR", display_order = 13)]
    pub outdir: PathBuf,
    /// Steering method; see isoline list steering
    #[arg(long, value_name = "NAME", display_order = 9)]
    pub method: String,
    /// `typical`, `balanced` or `novel`.
    #[arg(skip)]
    pub mode: Option<String>,
    /// Percentile of the model's own samples to reach, instead of a mode.
    #[arg(skip)]
    pub novelty: Option<Percentile>,
    /// Steps of the open loop [default: 48; 12 for diffusion models]
    #[arg(long, value_name = "N", display_order = 11)]
    pub steps: Option<usize>,
    /// Greatest angle from the start, radians; without it as far as the asked novelty needs.
    #[arg(skip)]
    pub drift: Option<f64>,
    /// Greatest angle of a step, radians.
    #[arg(skip)]
    pub max_angle: Option<f64>,
    /// Most corrections by measurement; a sample that is there needs no more [default: 24]
    #[arg(long, value_name = "N", display_order = 10)]
    pub corrections: Option<usize>,
    /// Points of the percentile by which a sample may miss and still be called reached [default: 3]
    #[arg(long, value_name = "POINTS", display_order = 10)]
    pub tolerance: Option<f64>,
    /// Keys that belong to one steering method alone.
    #[command(flatten)]
    #[serde(flatten)]
    pub own: MethodKeys,
    /// Make variations of this picture, or of the sample of this seed: --count of them, or --seeds for some by number
    #[arg(long, value_name = "PICTURE|SEED", display_order = 8)]
    pub vary: Option<String>,
    /// Angle between a variation and what it varies, radians [default: 0.2]
    #[arg(long, value_name = "RADIANS", display_order = 9)]
    pub angle: Option<f64>,
    /// Samples per tile.
    #[arg(skip)]
    pub tile: usize,
    /// Save pictures N times as large, each pixel as a square; auto: large on the sheet only
    #[arg(long, value_name = "N|auto", display_order = 18)]
    pub scale: Option<Scale>,
    /// Order of the seeds on the sheet: typed, seed, or novelty as reached
    #[arg(long, value_name = "ORDER", display_order = 18)]
    pub sort: Option<Sort>,
    /// Whether the row is a frame of the animation of each seed.
    #[arg(skip)]
    pub sweep: Option<bool>,
    /// Leave the recipe out of the pictures
    #[arg(long = "no-metadata", action = clap::ArgAction::SetFalse, display_order = 16)]
    pub metadata: bool,
    /// Keep the latents: columns z_0, z_1, … of samples.parquet, which describe --latents reads; those of a sample that is not
    /// finite stay empty
    #[arg(long, display_order = 17)]
    pub save_latents: bool,
    /// Measure again, by directions that steering never used, what was chosen by measurement; where it is exact there is
    /// nothing to hold out
    #[arg(long, action = clap::ArgAction::SetTrue, display_order = 17)]
    pub remeasure: Option<bool>,
    /// Compare each picture with the unguided one of its seed: correlation of pixels, angles; columns of samples.parquet
    #[arg(long, action = clap::ArgAction::SetTrue, display_order = 17)]
    pub identity: Option<bool>,
    /// With --identity, tell whether a picture keeps its class: folder of a card of the family classifier
    #[arg(long, value_name = "DIR", display_order = 17)]
    pub classifier: Option<String>,
    /// Put pictures into a folder for each thousand seeds
    #[arg(long, display_order = 18)]
    pub subdirs: bool,
    /// What is done about unusual samples.
    #[command(flatten)]
    #[serde(flatten)]
    pub guard: GuardKeys,
    /// What is done during denoising.
    #[command(flatten)]
    #[serde(flatten)]
    pub denoising: DenoisingKeys,
}

impl Default for JobKeys {
    fn default() -> Self {
        Self {
            name: String::new(),
            model: String::new(),
            reward: None,
            seeds: Seeds::default(),
            outdir: PathBuf::new(),
            method: "gradient".into(),
            mode: None,
            novelty: None,
            steps: None,
            drift: None,
            max_angle: None,
            corrections: None,
            tolerance: None,
            own: MethodKeys::default(),
            vary: None,
            angle: None,
            tile: 16,
            scale: None,
            sort: None,
            sweep: None,
            metadata: true,
            save_latents: false,
            remeasure: None,
            identity: None,
            classifier: None,
            subdirs: false,
            guard: GuardKeys::default(),
            denoising: DenoisingKeys::default(),
        }
    }
}

/// A job of a batch: its keys, all of them checked, and where they were typed.
#[derive(Clone, Debug)]
pub struct JobConfig {
    /// The job's keys, with every shared key filled in.
    pub keys: JobKeys,
    /// The text that precedes a key of the file in a message; `None` without a file.
    place: Option<String>,
    /// Keys that were typed somewhere other than the file.
    elsewhere: Vec<String>,
}

impl JobConfig {
    /// Adds the place in the file to an error about a key that was typed there. Any other error stays as it is, for the
    /// caller to report as one about a flag.
    #[must_use]
    pub fn refuse(&self, error: Error) -> Error {
        match (&error, &self.place) {
            (Error::Key { key, .. }, Some(place)) if !self.elsewhere.contains(key) => error.at(place),
            _ => error,
        }
    }
}

/// Values that override the file, by key.
pub type Overrides = toml::Table;

/// The jobs of a batch.
#[derive(Clone, Debug)]
pub struct BatchConfig {
    /// Folder of the contact sheet and of the jobs.
    pub outdir: PathBuf,
    /// At least one.
    pub jobs: Vec<JobConfig>,
}

impl BatchConfig {
    /// Reads the jobs of `text`. `file` says where the text comes from; it is `None` for the config built into isoline.
    /// `overrides` apply to every job. `rows`, if given, replaces the jobs of the file: one job for each table of keys.
    ///
    /// # Errors
    /// [`Error::Config`] naming place and key, or [`Error::Key`] for a method that was not typed in a file.
    pub fn resolve(
        file: Option<&Path>,
        text: &str,
        overrides: &Overrides,
        rows: Option<Vec<toml::Table>>,
    ) -> Result<Self> {
        let place = file.map_or("generate".to_owned(), shown);
        let place = place.as_str();
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
        if listed.iter().filter(|j| has_level(j)).count() > 1 && has_level(overrides) {
            let message = "several jobs have a mode or novelty of their own; one for all of them would hide it; give one for each row";
            return Err(Error::config(place, message));
        }
        let mut jobs = Vec::new();
        for (i, own) in listed.into_iter().enumerate() {
            let mut keys = shared.clone();
            for over in [own, overrides.clone()] {
                // A mode or a novelty replaces whichever of the two was set before.
                if has_level(&over) {
                    keys.remove("mode");
                    keys.remove("novelty");
                }
                keys.extend(over);
            }
            let at = format!("{place}: jobs[{i}]");
            let before = format!("{at}: ");
            let job = JobConfig {
                keys: JobKeys::read(&keys, &at)?,
                place: file.map(|_| before.clone()),
                elsewhere: overrides.keys().cloned().collect(),
            };
            job.keys.check_method().map_err(|e| job.refuse(e))?;
            job.keys.check().map_err(|e| e.at(&before))?;
            jobs.push(job);
            let samples: usize = jobs.iter().map(|j| j.keys.seeds.list().len()).sum();
            if samples > limits::SAMPLES {
                let message = format!("more than {} samples in all; make several runs of them", limits::SAMPLES);
                return Err(Error::config(at, message));
            }
        }
        let mut names: Vec<&str> = jobs.iter().map(|j| j.keys.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
            return Err(Error::config(format!("{place}: jobs"), format!("two jobs are named \"{}\"", twice[0])));
        }
        let mut outdir = jobs[0].keys.outdir.clone();
        if outdir.as_os_str().is_empty() {
            let keys: Vec<&JobKeys> = jobs.iter().map(|j| &j.keys).collect();
            outdir = Path::new("runs").join(run_name(&keys)?);
            jobs.iter_mut().for_each(|j| j.keys.outdir.clone_from(&outdir));
        }
        Ok(Self { outdir, jobs })
    }

    /// The text of a config file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Config`] if the file is not UTF-8 or too long.
    pub fn text(path: &Path) -> Result<String> {
        let bytes = store::read_bounded(path, limits::CONFIG_BYTES)?;
        String::from_utf8(bytes).map_err(|_| Error::config(shown(path), "expected UTF-8 text"))
    }
}

fn has_level(keys: &toml::Table) -> bool {
    keys.contains_key("mode") || keys.contains_key("novelty")
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

impl JobKeys {
    /// The keys that have no default.
    const REQUIRED: [&str; 3] = ["name", "model", "seeds"];

    /// The names of all keys.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn names() -> Result<Vec<String>> {
        let keys = serde_json::to_value(Self::default()).map_err(|e| Error::Bug(e.to_string()))?;
        Ok(keys.as_object().into_iter().flat_map(serde_json::Map::keys).cloned().collect())
    }

    /// Whether the value of a key is a text, so that it needs no quotes on the command line.
    pub fn takes_text(key: &str) -> bool {
        Self::alone(key, &"0".into()).is_ok()
    }

    /// Parses this one key by itself.
    fn alone(key: &str, value: &toml::Value) -> Result<Self, toml::de::Error> {
        Self::deserialize(toml::Table::from_iter([(key.to_owned(), value.clone())]))
    }

    /// Parses the keys of one job; `at` names its place for messages.
    fn read(keys: &toml::Table, at: &str) -> Result<Self> {
        let names = Self::names()?;
        let known = || names.iter().map(String::as_str);
        if let Some(unknown) = keys.keys().find(|k| !names.contains(k)) {
            let near = did_you_mean(unknown, known());
            return Err(Error::config(at, format!("unknown key \"{}\"{near}", unknown.escape_debug())));
        }
        if let Some(missing) = Self::REQUIRED.iter().find(|k| !keys.contains_key(**k)) {
            return Err(Error::config(at, format!("missing field `{missing}`")));
        }
        Self::deserialize(keys.clone()).map_err(|all| {
            let refused = keys.iter().find_map(|(k, v)| Some((format!("{at}: {k}"), Self::alone(k, v).err()?)));
            let (place, e) = refused.unwrap_or((at.to_owned(), all));
            Error::config(place, explain_toml(e.message()))
        })
    }

    /// Refuses a method that there is not, naming those that the model has, if it can be found.
    fn check_method(&self) -> Result<()> {
        if guide(&self.method).is_some() || METHODS.iter().any(|m| m.name == self.method) {
            return Ok(());
        }
        let card = find_model(&self.model).and_then(|folder| Card::read(&folder.join("card.toml"))).ok();
        let known = steer::methods_of(card.as_ref().is_none_or(|c| c.raw.denoiser.is_some()));
        let near = nearest(&self.method, known.iter().copied());
        let near = near.map_or(";".to_owned(), |n| format!("; did you mean \"{n}\"?"));
        let own = card.map_or("known".into(), |c| format!("{} has", c.raw.id));
        let message = format!("no such steering method{near} {own}: {}", known.join(", "));
        Err(Error::key_found("method", &self.method, message))
    }

    fn check(&self) -> Result<()> {
        let bad = |key: &str, message: String| Err(Error::key(key, message));
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
        if let Some(drift) = s.drift.filter(|d| !(*d > 0.0 && *d <= std::f64::consts::PI)) {
            return bad("drift", format!("expected an angle from 0 to π radians, found {drift}"));
        }
        if !(s.tolerance > 0.0 && s.tolerance <= 100.0) {
            return bad(
                "tolerance",
                format!("expected points of the percentile above 0 and up to 100, found {}", s.tolerance),
            );
        }
        if !(s.max_angle > 0.0 && s.max_angle <= 1.0) {
            return bad("max_angle", format!("expected an angle from 0 to 1 radian, found {}", s.max_angle));
        }
        match self.angle {
            Some(_) if self.vary.is_none() => return bad("angle", "needs vary, which says around what".into()),
            Some(angle) if !is_angle(angle) => {
                return bad("angle", format!("expected an angle above 0 and up to π radians, found {angle}"));
            }
            _ => {}
        }
        if self.classifier.is_some() && self.identity != Some(true) {
            return bad("classifier", "needs identity, the comparison in which it tells classes".into());
        }
        self.guard.check()?;
        self.denoising.check(&self.method, self.target())?;
        self.own.check()?;
        self.own.check_use(&self.method, self.target())
    }

    /// The steering settings; those that were not given are the model's usual ones.
    pub fn settings(&self, usual: &Settings) -> Settings {
        Settings {
            steps: self.steps.unwrap_or(usual.steps),
            drift: self.drift.or(usual.drift),
            max_angle: self.max_angle.unwrap_or(usual.max_angle),
            corrections: self.corrections.unwrap_or(usual.corrections),
            tolerance: self.tolerance.unwrap_or(usual.tolerance),
            own: self.own.used(self.target()).filled(),
        }
    }

    /// Whether it can only be done with a reward; plain sampling needs none.
    pub fn needs_reward(&self) -> bool {
        self.target().is_some() || guide(&self.method).is_some() || self.own != MethodKeys::default()
    }

    /// The same without the keys that belong to its method, for a job that takes another one.
    #[must_use]
    pub fn without_method(self) -> Self {
        let DenoisingKeys { condition, end, preview_every, .. } = self.denoising;
        let denoising = DenoisingKeys { condition, end, preview_every, ..DenoisingKeys::default() };
        Self { method: Self::default().method, own: MethodKeys::default(), denoising, ..self }
    }

    /// The percentile to reach; `None` for plain sampling.
    pub fn target(&self) -> Option<Percentile> {
        let mode = || MODES.iter().find(|m| Some(m.0) == self.mode.as_deref()).and_then(|m| m.1);
        self.novelty.or_else(|| mode().map(Percentile::clamped))
    }
}

/// Modes and the percentiles they stand for; `balanced` is the unguided sample.
pub static MODES: &[(&str, Option<f64>)] = &[("typical", Some(10.0)), ("balanced", None), ("novel", Some(90.0))];
