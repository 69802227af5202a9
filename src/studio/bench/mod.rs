//! The one loop that gives the worker something to do: models to load first, then what the pages want to see, lane by lane.
//! A worker that dies or hangs is replaced; what it was making is tried again, three times in all.

mod task;
mod turns;

pub use turns::run;

use super::looks::Subject;
use crate::acts::generate::PictureRecipe;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Times that the usual time is the median of.
const TIMES: usize = 9;

/// Whether the worker can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It opens its device.
    Starting,
    /// It works or waits.
    Ready,
    /// It is gone; it is started when there is something to do.
    Down,
}

/// What the page is told of the worker.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct WorkerState {
    /// Whether it can be asked.
    pub state: State,
    /// The device in words, once it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// cpu, wgpu or cuda.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Why it went down, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The loop's side that routes see.
pub struct Bench {
    program: PathBuf,
    device: String,
    wake: Notify,
    inner: Mutex<Inner>,
}

struct Inner {
    worker: WorkerState,
    loads: VecDeque<Subject>,
    checks: VecDeque<Subject>,
    keeps: VecDeque<Keep>,
    agains: VecDeque<Again>,
    measures: VecDeque<Measure>,
    /// The job whose tile is to be dropped.
    halt: Option<i64>,
    /// The job after which the queue rests.
    rest_after: Option<i64>,
    free: bool,
    times: BTreeMap<Subject, VecDeque<f64>>,
    done: Done,
}

/// What was done since the studio was started.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Times that a worker was started.
    pub starts: u64,
    /// Things that the worker was asked to do, by kind.
    pub calls: BTreeMap<&'static str, u64>,
    /// Pictures that were made to be looked at.
    pub pictures: u64,
    /// Times that pictures were dropped for a large one.
    pub dropped: u64,
}

impl Bench {
    /// A bench whose worker is `program` on `device`.
    pub fn new(program: PathBuf, device: String) -> Self {
        let worker = WorkerState { state: State::Down, device: None, class: None, why: None };
        let inner = Inner {
            worker,
            loads: VecDeque::new(),
            checks: VecDeque::new(),
            keeps: VecDeque::new(),
            agains: VecDeque::new(),
            measures: VecDeque::new(),
            halt: None,
            rest_after: None,
            free: false,
            times: BTreeMap::new(),
            done: Done::default(),
        };
        Self { program, device, wake: Notify::new(), inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something new to do.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Loads a model as soon as the worker is free.
    pub fn load(&self, subject: Subject) {
        let mut inner = self.inner();
        if !inner.loads.contains(&subject) {
            inner.loads.push_back(subject);
        }
        drop(inner);
        self.wake();
    }

    /// Makes a picture that is kept, before any batch.
    pub fn keep(&self, keep: Keep) {
        self.inner().keeps.push_back(keep);
        self.wake();
    }

    /// Makes a picture again, before any batch.
    pub fn again(&self, again: Again) {
        self.inner().agains.push_back(again);
        self.wake();
    }

    /// Measures the geometry at a picture, before any batch. What was wished for last goes first: the others may be of pictures that nobody
    /// looks at any more.
    pub fn measure(&self, measure: Measure) {
        let mut inner = self.inner();
        inner.measures.retain(|m| (&m.id, m.exact) != (&measure.id, measure.exact));
        inner.measures.push_front(measure);
        drop(inner);
        self.wake();
    }

    /// Drops the tile of a job that is being made.
    pub fn halt(&self, job: i64) {
        self.inner().halt = Some(job);
        self.wake();
    }

    /// Lets the queue rest once a job is done.
    pub fn rest_after(&self, job: Option<i64>) {
        self.inner().rest_after = job;
    }

    /// Whether the queue is to rest after this job.
    pub fn rests_after(&self, job: i64) -> bool {
        self.inner().rest_after.take_if(|j| *j == job).is_some()
    }

    /// Ends the worker once it has nothing in hand, so that the device's memory is free.
    pub fn free(&self) {
        self.inner().free = true;
        self.wake();
    }

    /// What the page is told of the worker.
    pub fn worker(&self) -> WorkerState {
        self.inner().worker.clone()
    }

    /// Milliseconds that one picture of this model usually takes here; `None` before the first.
    pub fn usual_ms(&self, subject: &Subject) -> Option<f64> {
        let mut times: Vec<f64> = self.inner().times.get(subject)?.iter().copied().collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    }

    /// What was done since the studio was started.
    pub fn done(&self) -> Done {
        self.inner().done.clone()
    }

    fn took(&self, subject: &Subject, ms: f64) {
        let mut inner = self.inner();
        let times = inner.times.entry(subject.clone()).or_default();
        times.push_back(ms);
        if times.len() > TIMES {
            times.pop_front();
        }
    }
}

/// A picture that is to be made again and compared.
#[derive(Clone, Debug)]
pub struct Again {
    /// Its id.
    pub id: String,
    /// Its file.
    pub file: PathBuf,
}

/// A picture whose geometry is to be measured.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Its id.
    pub id: String,
    /// Name of its model.
    pub model: String,
    /// Its recipe.
    pub own: Box<PictureRecipe>,
    /// Whether along all directions, however long that takes.
    pub exact: bool,
}

/// A picture that is to be kept.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Its id.
    pub id: String,
    /// Name of the run folder that it goes into.
    pub run: String,
}
