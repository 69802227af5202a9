//! Distillation: a student that makes in one call of the network what its teacher, a diffusion model, makes in many.
//!
//! The student is the teacher's own network in the same card, with other weights and a sampler of one step, so everything that
//! works on a diffusion model works on it, and its Jacobian is that of one call. Nothing but the teacher is needed: it learns
//! from the teacher's paths ([`paths`]) by one of two objectives ([`objective`]).

mod guide;
mod objective;
mod paths;

use guide::{Guide, denoiser_sha256};

pub use objective::{Lesson, Target, answers, loss};
pub use paths::{Paths, start};

use super::course::{average, falling};
use super::{State, checkpoint, finite};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::{Autoguided, Denoiser, NetworkDenoiser, Parts, Sampling};
use crate::error::{Error, Result, shown};
use crate::generator::{Card, card_parameters, find_model, finish_card, read_model};
use crate::nn::adam::{AdamConfig, gradients};
use crate::nn::{Parameters, Role};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::store::{self, WeightTensor, Weights};
use crate::tensors::{host, rows};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What can be asked for. Each field is a flag and a key of a config too.
#[derive(Clone, Debug, clap::Args, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// Diffusion model to learn from, name or path
    #[arg(value_name = "TEACHER", default_value = "", hide_default_value = true)]
    pub teacher: String,
    /// Name of the student
    #[arg(long, value_name = "NAME", default_value = "one-step")]
    #[serde(default = "one_step")]
    pub id: String,
    /// A line about the student, for people [default: that it is distilled from its teacher]
    #[arg(long, value_name = "TEXT")]
    #[serde(default)]
    pub about: Option<String>,
    /// Where its answers should lead
    #[arg(long, value_enum, value_name = "NAME", default_value = "direct")]
    #[serde(default = "direct")]
    pub objective: Target,
    /// Solver of the teacher's paths [default: the teacher's own]
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub solver: Option<String>,
    /// Steps of the teacher's paths [default: the teacher's own]
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub steps: Option<usize>,
    /// Weaker model of the same codes, such as an earlier training of the teacher, whose mistakes the teacher is led away from
    #[arg(long, value_name = "MODEL")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guide: Option<String>,
    /// How far it is led: 1 is the teacher alone [default: 3]
    #[arg(long, value_name = "W", requires = "guide")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// Paths of the teacher that are learned from
    #[arg(long, value_name = "N", default_value_t = 8192)]
    #[serde(default = "many")]
    pub paths: u64,
    /// Passes over the paths
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[serde(default = "twenty")]
    pub epochs: u32,
    /// Paths of a step
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[serde(default = "batch")]
    pub batch: usize,
    /// Step size; over the second half it falls to a tenth
    #[arg(long, value_name = "X", default_value_t = 4e-4)]
    #[serde(default = "rate")]
    pub learning_rate: f64,
    /// Share of a step that learns at the greatest noise level, where the student is asked
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    #[serde(default = "half")]
    pub start: f64,
    /// Error of a value from which the loss grows no longer as the square; 0 for the square throughout
    #[arg(long, value_name = "C", default_value_t = 0.03)]
    #[serde(default = "huber")]
    pub huber: f64,
    /// Decay of the running average of the weights, which is what is kept
    #[arg(long, value_name = "DECAY", default_value_t = 0.99)]
    #[serde(default = "decay")]
    pub ema: f64,
    /// Round the student's weights to f16, for a file of half the length
    #[arg(long = "half")]
    #[serde(default, rename = "half")]
    pub halved: bool,
    /// Paths that are held out, to measure the error on
    #[arg(long, value_name = "N", default_value_t = 256)]
    #[serde(default = "held_out")]
    pub held_out: u64,
    /// Key of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[serde(default)]
    pub seed: u64,
}

/// w of autoguidance where none is asked for.
const GUIDANCE: f64 = 3.0;

fn one_step() -> String {
    "one-step".into()
}
fn direct() -> Target {
    Target::Direct
}
fn many() -> u64 {
    8192
}
fn twenty() -> u32 {
    20
}
fn batch() -> usize {
    64
}
fn rate() -> f64 {
    4e-4
}
fn half() -> f64 {
    0.5
}
fn huber() -> f64 {
    0.03
}
fn decay() -> f64 {
    0.99
}
fn held_out() -> u64 {
    256
}

/// A teacher and the way it makes its paths.
pub struct Solve<'a> {
    /// The teacher.
    pub teacher: &'a dyn Denoiser,
    /// Its solver and noise levels.
    pub sampling: &'a Sampling,
}

/// What is done with a distillation.
pub struct Job<'a> {
    /// What is asked for.
    pub asked: &'a Distillation,
    /// Folder of the paths, checkpoints and metrics.
    pub work: PathBuf,
    /// Folder that the student is written to.
    pub model: PathBuf,
    /// The command that was run, to be written into the card.
    pub how: String,
    /// `cpu`, `wgpu` or `cuda`. A checkpoint from one is not continued on another.
    pub device_class: &'a str,
    /// Stop after this many epochs and leave a checkpoint.
    pub stop_after: Option<u32>,
}

/// How far the student's answers are from the ends of paths that it never saw.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Solved {
    /// Held-out paths.
    pub paths: usize,
    /// √(Σ‖answer − end‖² / Σ‖end‖²)
    pub relative: f64,
    /// Its 95 % interval, over paths.
    pub interval: [f64; 2],
    /// Mean squared error of a value.
    pub mean_squared: f64,
}

impl Solved {
    /// Compares answers with ends, both `[n, d]`.
    pub fn of(answers: &[f32], ends: &[f32], width: usize) -> Self {
        let squares = |row: (&[f32], &[f32])| {
            let off: f64 = row.0.iter().zip(row.1).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            let all: f64 = row.1.iter().map(|b| f64::from(*b).powi(2)).sum();
            (off, all)
        };
        let each: Vec<(f64, f64)> = answers.chunks_exact(width).zip(ends.chunks_exact(width)).map(squares).collect();
        let n = each.len().max(1) as f64;
        let (off, all) = each.iter().fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
        let ratio = off / all.max(f64::MIN_POSITIVE);
        // The standard error of a ratio of means, and that of its root.
        let spread: f64 = each.iter().map(|(o, a)| (o - ratio * a).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let error =
            (spread / n).sqrt() / (all / n).max(f64::MIN_POSITIVE) / (2.0 * ratio.sqrt()).max(f64::MIN_POSITIVE);
        let relative = ratio.sqrt();
        Self {
            paths: each.len(),
            relative,
            interval: [(relative - 1.96 * error).max(0.0), relative + 1.96 * error],
            mean_squared: off / (n * width as f64),
        }
    }
}

impl Distillation {
    /// w of autoguidance.
    fn guidance(&self) -> f64 {
        self.guidance.unwrap_or(GUIDANCE)
    }

    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        let number = |key: &str, v: f64, low: f64, high: f64| match (low..=high).contains(&v) {
            true => Ok(()),
            false => Err(Error::key(key.to_owned(), format!("expected {low} to {high}, found {v}"))),
        };
        store::check_id(&self.id).map_err(|message| Error::key("id", message))?;
        number("paths", self.paths as f64, 2.0, 1e6)?;
        number("epochs", f64::from(self.epochs), 1.0, 1e4)?;
        number("batch", self.batch as f64, 2.0, self.paths as f64)?;
        number("learning_rate", self.learning_rate, 1e-9, 1.0)?;
        if self.guide.is_none() && self.guidance.is_some() {
            return Err(Error::key("guidance", "needs guide, the weaker model"));
        }
        number("guidance", self.guidance(), 0.0, 100.0)?;
        number("start", self.start, 0.0, 1.0)?;
        number("huber", self.huber, 0.0, 1e3)?;
        number("ema", self.ema, 0.0, 0.999_999)?;
        number("held_out", self.held_out as f64, 2.0, 1e5)
    }
}

/// Distills a student, from the start or from the last checkpoint, and writes its folder at the end; `None` if it was told to
/// stop before.
///
/// # Errors
/// [`Error::Key`] for what is asked; those of the teacher; [`Error::Stopped`] if a loss was not finite;
/// [`Error::Interrupted`] after a signal (a checkpoint is written first).
pub fn distill(job: &Job, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<Option<Solved>> {
    let asked = job.asked;
    asked.check()?;
    let folder = find_model(&asked.teacher)?;
    let place = folder.join("card.toml");
    let (_, text) = store::read_toml::<toml::Table>(&place)?;
    let card = Card::read(&place)?;
    if card.raw.showers.is_some() {
        let message = format!(
            "\"{}\" is told an energy, which a student would not learn; isoline fix-energy makes a model of one",
            card.raw.id
        );
        return Err(Error::key("teacher", message));
    }
    let mut config = card.denoiser()?.clone();
    let own = config.sampler.clone();
    config.sampler.solver = asked.solver.clone().unwrap_or(own.solver);
    if config.sampler.solver != card.denoiser()?.sampler.solver {
        config.sampler.solver_settings = toml::Table::new();
    }
    config.sampler.steps = asked.steps.unwrap_or(own.steps);
    let parts = card.denoiser_parts()?;
    let weights = read_model(&card, parts.parameters(), &folder)?;
    let parameters = Parameters::upload(&card_parameters(&card)?, &weights, device);
    let clip = config.clip.then_some(card.raw.sample.range);
    let teacher = NetworkDenoiser::new(card.denoiser_parts()?, parameters, config.classes, clip, device);
    let sampling = config.sampler.build(teacher.range())?;
    if sampling.solver.is_stochastic() {
        let message =
            format!("\"{}\" draws noise on the way; a path needs a deterministic solver", config.sampler.solver);
        return Err(Error::key("solver", message));
    }
    let guide = asked.guide.as_ref().map(|name| Guide::load(name, &card, &weights, device)).transpose()?;
    let led = guide.as_ref().map(|g| Autoguided { strong: &teacher, weak: &g.denoiser, weight: asked.guidance() });
    let solve = Solve { teacher: led.as_ref().map_or(&teacher, |led| led), sampling: &sampling };
    // What the teacher's answers depend on; another decoder behind it changes no path.
    let mut answers_of = denoiser_sha256(&text, &parts, &weights)?;
    if let Some(guide) = &guide {
        answers_of.push_str(&format!(" led by {} from {}", asked.guidance(), guide.sha256));
    }
    let told = serde_json::to_string(asked).map_err(|e| Error::Bug(format!("distillation: {e}")))?;
    let recipe = format!("{told}\n{}\n{answers_of} {}", noise::SCHEME, job.device_class);
    let recipe = store::sha256_hex(recipe.as_bytes());
    let started = Parameters::from_values(
        parts.parameters().into_iter().filter_map(|s| Some((s.key.clone(), weights.get(&s.key)?.values.clone()))),
        device,
    );
    let mut state = checkpoint::latest(&job.work, &recipe, device)?.unwrap_or_else(|| State {
        average: started.clone(),
        parameters: started,
        adam: BTreeMap::new(),
        step: 0,
        skipped: 0,
    });
    let solver = serde_json::to_string(&config.sampler).map_err(|e| Error::Bug(format!("sampler: {e}")))?;
    let of = format!("{answers_of} {solver} {}", job.device_class);
    let (folder, seeds) = (job.work.join("paths"), [asked.seed, asked.paths]);
    let paths = Paths::of(&solve, seeds, (&folder, &of), device, progress, cancel)?;
    let course = Course { asked, parts: &parts, paths: &paths, device };
    if !learn(job, &course, &recipe, &mut state, progress, cancel)? {
        return Ok(None);
    }
    let solved = course.solved(&state, &Paths::follow(&solve, asked.seed, 1, 0..asked.held_out, device)?)?;
    write(job, &card, &text, (&weights, guide.as_ref()), &state, &solved)?;
    Ok(Some(solved))
}

/// What one student learns, from which paths.
pub struct Course<'a> {
    /// What is asked for.
    pub asked: &'a Distillation,
    /// The student's networks.
    pub parts: &'a Parts,
    /// The teacher's paths.
    pub paths: &'a Paths,
    /// Where it computes.
    pub device: &'a Device,
}

impl Course<'_> {
    /// Steps of one pass over the paths.
    pub fn per_epoch(&self) -> u64 {
        (self.paths.count() / self.asked.batch).max(1) as u64
    }

    /// Takes the next step; its loss, or `None` if that or a gradient is not finite, when nothing is changed.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step(&self, state: &mut State) -> Result<Option<f64>> {
        let (asked, paths, per_epoch) = (self.asked, self.paths, self.per_epoch());
        let order = noise::permutation(asked.seed, Stream::Shuffle, (state.step / per_epoch) as u32, paths.count());
        let first = (state.step % per_epoch) as usize * asked.batch;
        let picked = &order[first..(first + asked.batch).min(order.len())];
        let lesson = Lesson::draw(self, picked, state)?;
        let specs = self.parts.parameters();
        let trained: BTreeSet<&str> =
            specs.iter().filter(|s| s.role != Role::Statistic).map(|s| s.key.as_str()).collect();
        let tracked = state.parameters.tracked(|k| trained.contains(k));
        let found = answers(self.parts, &tracked, lesson.x, &lesson.sigmas, self.device)?;
        let loss = loss(found, lesson.target, asked.huber);
        let grads = gradients(&tracked, loss.backward());
        let Some(value) = finite(loss, &grads) else { return Ok(None) };
        let rate = falling(asked.learning_rate, state.step, per_epoch * u64::from(asked.epochs));
        let adam = state.adam.entry("student".into()).or_default();
        AdamConfig::default().step(rate, &mut state.parameters, adam, grads);
        average(state, asked.ema);
        state.step += 1;
        Ok(Some(value))
    }

    /// The answers of the averaged weights at the starts of paths, beside the ends.
    ///
    /// # Errors
    /// Those of the device.
    pub fn solved(&self, state: &State, held: &Paths) -> Result<Solved> {
        let width = held.state(0, 0).len();
        let ends: Vec<f32> = (0..held.count()).flat_map(|i| held.state(i, held.steps())).copied().collect();
        let mut found = Vec::new();
        for first in (0..held.count()).step_by(64) {
            let part = first..(first + 64).min(held.count());
            let x: Vec<f32> = part.clone().flat_map(|i| held.state(i, 0)).copied().collect();
            let sigmas = vec![held.sigma(0); part.len()];
            let x = rows(x, width, self.device);
            found.extend(host(answers(self.parts, &state.average, x, &sigmas, self.device)?)?);
        }
        Ok(Solved::of(&found, &ends, width))
    }
}

/// Learns until the last epoch, or the one to stop after; whether it was the last.
fn learn(
    job: &Job,
    course: &Course,
    recipe: &str,
    state: &mut State,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<bool> {
    let asked = job.asked;
    let per_epoch = course.per_epoch();
    let total = per_epoch * u64::from(job.stop_after.unwrap_or(asked.epochs).min(asked.epochs));
    let bar = progress.start(format!("distilling {}", asked.id), total);
    bar.skip(state.step.min(total));
    let (mut sum, mut count) = (0.0, 0u32);
    while state.step < total {
        if let Err(stop) = cancel.check(|| format!("step {} of {total} is in the checkpoint", state.step)) {
            checkpoint::save(&job.work, recipe, state)?;
            return Err(stop);
        }
        let Some(value) = course.step(state)? else {
            return Err(Error::Stopped(format!(
                "the loss of step {} is not finite; the last checkpoint is good; a lower learning_rate may help",
                state.step
            )));
        };
        (sum, count) = (sum + value, count + 1);
        bar.advance(1);
        if state.step.is_multiple_of(per_epoch) {
            let epoch = state.step / per_epoch;
            bar.note(format!("epoch {epoch}: loss {:.5}", sum / f64::from(count)));
            (sum, count) = (0.0, 0);
            checkpoint::save(&job.work, recipe, state)?;
        }
    }
    bar.finish();
    Ok(job.stop_after.is_none_or(|e| e >= asked.epochs))
}

/// Writes the student's folder: the teacher's card with another name and a sampler of one step, and the weights.
fn write(
    job: &Job,
    card: &Card,
    text: &str,
    (weights, guide): (&Weights, Option<&Guide>),
    state: &State,
    solved: &Solved,
) -> Result<()> {
    let mut tensors = BTreeMap::new();
    for spec in card_parameters(card)? {
        let values = match state.average.find(&spec.key) {
            Some(tensor) => host(tensor)?,
            None => weights.require(&spec.key)?.values.clone(),
        };
        tensors.insert(spec.key, WeightTensor { shape: spec.shape, values });
    }
    let bytes = store::write_safetensors_halved(&tensors, |_| job.asked.halved)?;
    let figures = [
        ("epochs".to_owned(), f64::from(job.asked.epochs)),
        ("steps".to_owned(), state.step as f64),
        ("ode_error".to_owned(), solved.relative),
    ];
    let draft = student(job, card, text, guide)?;
    let card = finish_card(&draft, &card.path, &store::sha256_hex(&bytes), Some(&job.how), &figures)?;
    store::replace_folder(&job.model, &[("weights.safetensors", &bytes), ("card.toml", card.as_bytes())])
}

/// The teacher's card as the student's.
fn student(job: &Job, card: &Card, text: &str, guide: Option<&Guide>) -> Result<String> {
    let mut doc: toml_edit::DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| Error::config(shown(&card.path), e.message().to_owned()))?;
    let asked = job.asked;
    let about = asked.about.clone().unwrap_or_else(|| format!("{}, distilled to one step", card.raw.about));
    doc["id"] = toml_edit::value(&asked.id);
    doc["about"] = toml_edit::value(about);
    // A single step of any deterministic solver is the denoiser's answer at the greatest level.
    doc["denoiser"]["sampler"]["steps"] = toml_edit::value(1);
    doc["denoiser"]["distilled"] = toml_edit::value(true);
    let mut source = format!("distilled from {} {}", card.raw.id, card.model_sha256()?);
    if let Some(guide) = guide {
        source.push_str(&format!(", led by {} away from {} {}", asked.guidance(), guide.id, guide.sha256));
    }
    doc["provenance"]["source"] = toml_edit::value(source);
    Ok(doc.to_string())
}
