//! Schedulers: how the pipelines of `diffusers` make a picture, one file for each of its classes. Each is built from the config of a
//! folder, `scheduler_config.json`, and makes the same steps as the library, in the library's own coordinates.
//!
//! They are written on [`State`] as linear combinations, so they carry tangents without any code of their own for it. The solvers of
//! isoline's own models ([`super::solvers`]) are for networks that know every noise level; a folder's network knows the steps that it was
//! trained with, and its scheduler which of them are taken.

mod alphas;
mod ddim;
mod ddpm;
mod dpm;
mod euler;
mod flow;
mod heun;
mod keys;
mod lcm;
mod multistep;
mod pndm;
mod prediction;
mod times;
mod unipc;

pub use keys::python_json;

use super::State;
use crate::error::{Error, Result, did_you_mean};
use crate::limits;
use crate::nn::Rows;
use keys::Keys;
use std::collections::VecDeque;

/// What one call of a scheduler leaves to the next.
#[derive(Default)]
pub struct Memory {
    answers: VecDeque<State>,
    kept: Option<State>,
}

impl Memory {
    /// Keeps an answer, the newest, and at most `most` in all.
    fn push(&mut self, answer: State, most: usize) {
        self.answers.push_front(answer);
        self.answers.truncate(most);
    }

    /// The answer that was pushed `i` before the newest.
    fn last(&self, i: usize) -> &State {
        &self.answers[i]
    }

    fn len(&self) -> usize {
        self.answers.len()
    }
}

/// Draws standard normal noise of the state's shape.
pub type Noise<'a> = dyn FnMut() -> Rows + 'a;

/// A scheduler, set for a number of steps. It keeps no state of its own.
pub trait Scheduler: Send + Sync {
    /// What the network is told as its time, for each call.
    fn times(&self) -> &[f64];

    /// The noise levels of the calls and of the end, for the schedulers that have them.
    fn sigmas(&self) -> &[f64] {
        &[]
    }

    /// What standard normal noise is multiplied by to begin with.
    fn start(&self) -> f64 {
        1.0
    }

    /// Whether it asks for fresh noise. If not, the sampler is a map noise → picture with a Jacobian.
    fn is_stochastic(&self) -> bool {
        false
    }

    /// What the network sees of the state x at a call.
    fn input(&self, _call: usize, x: &State) -> State {
        x.clone()
    }

    /// The state after a call, from that before it and the network's answer.
    fn step(&self, call: usize, x: State, answer: State, memory: &mut Memory, noise: &mut Noise) -> State;
}

type Constructor = fn(&Keys, usize, f64) -> Result<Box<dyn Scheduler>>;

/// One row of the table of schedulers.
pub struct SchedulerRow {
    /// The library's class, `_class_name` of a config.
    pub class: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    make: Constructor,
}

/// Every scheduler.
pub static SCHEDULERS: &[SchedulerRow] = &[
    pndm::ROW,
    ddim::ROW,
    euler::ROW,
    euler::ANCESTRAL,
    heun::ROW,
    dpm::ROW,
    unipc::ROW,
    lcm::ROW,
    ddpm::ROW,
    flow::ROW,
];

/// What a scheduler does where a picture is clipped: the key `clip_sample`.
#[derive(Clone, Copy)]
struct Clip(Option<f32>);

impl Clip {
    fn read(keys: &Keys, usual: bool) -> Result<Self> {
        if keys.flag("thresholding", false)? {
            return Err(Error::key("thresholding", "expected false; this is not supported"));
        }
        let range = keys.number("clip_sample_range", 1.0)? as f32;
        Ok(Self(keys.flag("clip_sample", usual)?.then_some(range)))
    }

    fn apply(self, clean: State) -> State {
        match self.0 {
            Some(range) => clean.clipped([-range, range]),
            None => clean,
        }
    }
}

/// The scheduler of a folder's `config`, for a number of steps. `eta` is the share of DDIM's noise that is drawn anew: 0 in every
/// pipeline, unless it is asked for.
///
/// # Errors
/// [`Error::Key`] for a class, a key or a value that isoline does not know.
pub fn scheduler(config: &serde_json::Value, steps: usize, eta: f64) -> Result<Box<dyn Scheduler>> {
    let class = config.get("_class_name").and_then(serde_json::Value::as_str).unwrap_or_default();
    let keys = Keys::of(config)?;
    let made = make(class, &keys, steps, eta)?;
    keys.check_all_read()?;
    Ok(made)
}

/// A scheduler of another class on a folder's config, as the library does it: the keys that this class knows are taken, the others fall to
/// its own defaults.
///
/// # Errors
/// As for [`scheduler`], but for keys of the other class.
pub fn scheduler_of_class(config: &serde_json::Value, class: &str, steps: usize) -> Result<Box<dyn Scheduler>> {
    make(class, &Keys::of(config)?, steps, 0.0)
}

fn make(class: &str, keys: &Keys, steps: usize, eta: f64) -> Result<Box<dyn Scheduler>> {
    if !(1..=limits::STEPS).contains(&steps) {
        return Err(Error::key("steps", format!("expected 1 to {}, found {steps}", limits::STEPS)));
    }
    let Some(row) = SCHEDULERS.iter().find(|row| row.class == class) else {
        let known: Vec<&str> = SCHEDULERS.iter().map(|row| row.class).collect();
        let message = format!("unknown scheduler \"{}\"{}", class.escape_debug(), did_you_mean(class, known));
        return Err(Error::key("_class_name", message));
    };
    let train = keys.count("num_train_timesteps", 1000, [2, 100_000])?;
    // One more, since solvers of several steps take their times from one point more.
    if steps >= train {
        let message = format!("expected fewer steps than the network was trained with, {train}, found {steps}");
        return Err(Error::key("steps", message));
    }
    (row.make)(keys, steps, eta)
}
