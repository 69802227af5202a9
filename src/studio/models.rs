//! The models at hand: what their cards say, and what the worker says once it has loaded them.

use super::app::App;
use super::looks::Subject;
use super::problem::{Code, Problem};
use super::worker::talk::Loaded;
use crate::error::Error;
use crate::generator::{CLASSIFIER, Card, KnownModel, find_model, known_models};
use crate::reward::read_calibration;
use crate::statistics::quantile;
use crate::store;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bins of a distribution.
const BINS: usize = 90;
/// Up to this many milliseconds a picture follows the slider; up to the next it is made when the slider rests; else when it
/// is released.
const SPEEDS: [(f64, &str); 3] = [(400.0, "live"), (3000.0, "paced"), (f64::INFINITY, "slow")];

/// For how long what was found in the models' folders is taken to be so.
const FRESH: Duration = Duration::from_secs(2);

/// What the worker has said of models, and what their folders hold.
#[derive(Default)]
pub struct Models {
    known: Mutex<BTreeMap<Subject, Known>>,
    listed: Mutex<Option<(Instant, Vec<ModelInfo>)>>,
    spreads: Mutex<BTreeMap<(Subject, String), Spread>>,
}

#[derive(Clone, Default)]
struct Known {
    loaded: Option<Arc<Loaded>>,
    exact: Option<bool>,
    problem: Option<String>,
}

/// The event that something is new about a model.
#[derive(Serialize)]
pub struct Told<'a> {
    /// The model.
    pub id: &'a str,
    /// Its reward, where it is not the model's own.
    pub reward: Option<&'a str>,
    /// Whether it is in the memory of what makes pictures.
    pub loaded: bool,
    /// Whether its pictures are the same in whatever company they are made, once that was tried.
    pub exact: Option<bool>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

impl<'a> Told<'a> {
    /// What is known of a model.
    pub fn of(models: &Models, subject: &'a Subject) -> Self {
        let known = models.known().get(subject).cloned().unwrap_or_default();
        Self {
            id: &subject.model,
            reward: subject.reward.as_deref(),
            loaded: known.loaded.is_some() && known.problem.is_none(),
            exact: known.exact,
            problem: known.problem,
        }
    }
}

/// A model as the page lists it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ModelInfo {
    /// Its name.
    id: String,
    /// One line from its card.
    about: String,
    /// What kind of model it is.
    family: String,
    /// Channels, height and width of a picture; of a model of two stages they are known once it is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<[usize; 3]>,
    /// Licence of weights and data.
    licence: String,
    /// SHA-256 of its card and weights, once it has been loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Names of its rewards; the empty one is its own.
    rewards: Vec<String>,
    /// Whether it has been loaded since the studio was started.
    loaded: bool,
    /// live, paced or slow, once pictures of it have been made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<String>,
    /// Milliseconds that a steered picture takes here.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    /// Whether a picture is the same in whatever company it is made, once that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<bool>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// How the values of a model's own pictures are distributed.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Spread {
    /// The quantity, by its symbol.
    quantity: String,
    /// Its quantiles from 0 to 100 %.
    quantiles: Vec<f64>,
    /// A histogram.
    bins: Vec<Bin>,
    /// How many pictures were measured.
    samples: usize,
}

/// One bin of a histogram.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Bin {
    /// Its lower edge.
    from: f64,
    /// Its upper edge.
    to: f64,
    /// How many values are in it.
    count: usize,
}

impl Models {
    fn known(&self) -> MutexGuard<'_, BTreeMap<Subject, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the worker has said of a model, if it has loaded it.
    pub fn loaded(&self, subject: &Subject) -> Option<Arc<Loaded>> {
        self.known().get(subject)?.loaded.clone()
    }

    /// Why a model could not be loaded, if it could not.
    pub fn problem(&self, subject: &Subject) -> Option<String> {
        self.known().get(subject)?.problem.clone()
    }

    /// What was listed may have changed.
    fn changed(&self) {
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Keeps what the worker says of a model.
    pub fn keep(&self, subject: &Subject, loaded: Loaded) {
        let mut known = self.known();
        let entry = known.entry(subject.clone()).or_default();
        (entry.loaded, entry.problem) = (Some(Arc::new(loaded)), None);
        drop(known);
        self.changed();
    }

    /// Keeps whether a model's pictures are the same in any company.
    pub fn checked(&self, subject: &Subject, same: bool) {
        self.known().entry(subject.clone()).or_default().exact = Some(same);
        self.changed();
    }

    /// Keeps why a model could not be loaded.
    pub fn failed(&self, subject: &Subject, why: &str) {
        self.known().entry(subject.clone()).or_default().problem = Some(why.to_owned());
        self.changed();
    }
}

/// Every model that makes pictures. Folders are looked through at most every two seconds.
pub fn list(app: &App) -> Vec<ModelInfo> {
    let mut listed = app.models.listed.lock().unwrap_or_else(PoisonError::into_inner);
    match &*listed {
        Some((at, found)) if at.elapsed() < FRESH => found.clone(),
        _ => {
            let found: Vec<ModelInfo> = known_models().iter().filter_map(|m| info(app, m)).collect();
            *listed = Some((Instant::now(), found.clone()));
            found
        }
    }
}

/// A model as the page lists it; `None` for what makes no pictures.
fn info(app: &App, model: &KnownModel) -> Option<ModelInfo> {
    let path = model.path("card.toml");
    let shown = crate::error::shown(&path);
    let text = model.text("card.toml");
    let table = text.as_ref().ok().and_then(|text| store::parse_toml::<toml::Table>(text, &shown).ok());
    if table.is_some_and(|t| t.get("family").and_then(toml::Value::as_str) == Some(CLASSIFIER)) {
        return None;
    }
    let name = store::check_id(&model.name).map_err(|rule| format!("not usable by this name: {rule}"));
    let card = text.and_then(|text| Card::check(store::parse_toml(&text, &shown)?, &path));
    let subject = Subject { model: model.name.clone(), reward: None };
    let known = app.models.known().get(&subject).cloned().unwrap_or_default();
    let ms = app.bench.usual_ms(&subject);
    let mut info = ModelInfo {
        id: model.name.clone(),
        about: String::new(),
        family: String::new(),
        shape: None,
        licence: String::new(),
        sha256: known.loaded.as_ref().map(|l| l.templates.plain.model_sha256.clone()),
        rewards: model.rewards().iter().map(|r| r.strip_prefix("reward-").unwrap_or_default().to_owned()).collect(),
        loaded: known.loaded.is_some(),
        speed: ms.and_then(|ms| SPEEDS.iter().find(|s| ms <= s.0)).map(|s| s.1.to_owned()),
        ms,
        exact: known.exact,
        problem: known.problem,
    };
    match card {
        Ok(card) if card.raw.showers.is_some() => return None,
        Ok(card) => {
            info.about.clone_from(&card.raw.about);
            info.family.clone_from(&card.raw.family);
            let two_stages = card.raw.decoder.is_some();
            info.shape = known.loaded.map(|l| l.shape).or(Some(card.sample_shape).filter(|_| !two_stages));
            info.licence.clone_from(&card.raw.provenance.licence);
        }
        Err(e) => info.problem = Some(super::problem::below(&e.to_string(), &app.root)),
    }
    if let Err(rule) = name {
        info.problem = Some(rule);
    }
    Some(info)
}

/// How the values of a model's own pictures are distributed.
///
/// # Errors
/// 404 for a model or a reward that is not there; 422 for one that cannot be read.
pub fn spread(app: &App, subject: &Subject) -> Result<Spread, Problem> {
    let folder = place(app, &subject.model)?;
    let file = crate::reward::reward_folder(&folder, subject.reward.as_deref()).join("card.toml");
    // A reward that is taught anew has another card, which holds the hash of its table.
    let key = (subject.clone(), store::sha256_file(&file).unwrap_or_default());
    let mut spreads = app.models.spreads.lock().unwrap_or_else(PoisonError::into_inner);
    match spreads.get(&key) {
        Some(known) => Ok(known.clone()),
        None => {
            let found = measured_spread(app, &folder, subject)?;
            spreads.insert(key, found.clone());
            Ok(found)
        }
    }
}

fn measured_spread(app: &App, folder: &std::path::Path, subject: &Subject) -> Result<Spread, Problem> {
    let (card, table) = read_calibration(folder, subject.reward.as_deref()).map_err(|e| match e {
        Error::NoReward { .. } => Problem::new(Code::Unknown, format!("\"{}\" has no reward", subject.model))
            .hint(format!("isoline train-reward --model {} teaches one", subject.model)),
        other => app.problem(&other),
    })?;
    let sorted = table.sorted();
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let edge = |i: usize| low + (high - low) * i as f64 / BINS as f64;
    let below = |v: f64| sorted.partition_point(|x| *x < v);
    let bins = (0..BINS).map(|i| {
        let end = if i + 1 == BINS { sorted.len() } else { below(edge(i + 1)) };
        Bin { from: edge(i), to: edge(i + 1), count: end - below(edge(i)) }
    });
    Ok(Spread {
        quantity: card.target.strip_prefix("level of ").unwrap_or(&card.target).to_owned(),
        quantiles: (0..=100).map(|p| quantile(sorted, f64::from(p) / 100.0).unwrap_or(low)).collect(),
        bins: bins.collect(),
        samples: sorted.len(),
    })
}

/// The folder of a model that is known by this name.
///
/// # Errors
/// 404 for a name that is none; a path is none.
pub fn place(app: &App, model: &str) -> Result<std::path::PathBuf, Problem> {
    let unknown = || Problem::new(Code::Unknown, format!("no model is called \"{}\"", model.escape_debug()));
    if store::check_id(model).is_err() || !known_models().iter().any(|k| k.name == model) {
        return Err(unknown());
    }
    find_model(model).map_err(|e| app.problem(&e))
}
