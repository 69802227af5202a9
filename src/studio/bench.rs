//! The one loop that gives the worker something to do: models to load first, then what the pages want to see, lane by lane.
//! A worker that dies or hangs is replaced; what it was making is tried again, three times in all.

use super::app::App;
use super::looks::{Batch, Subject};
use super::worker::link::{Heard, Link};
use super::worker::talk::{Answer, Ask, Loaded};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a worker may take to open its device.
const START: Duration = Duration::from_secs(60);
/// The least time that anything may take before the worker is taken to hang.
const LEAST: Duration = Duration::from_secs(60);
/// By how much it may take longer than it usually does.
const SLACK: f64 = 10.0;
/// Waits before a worker is started again.
const WAITS: [u64; 3] = [0, 1, 5];
/// How long pages may be away before what they wanted is dropped.
const AWAY: Duration = Duration::from_secs(30);
/// What one call should take at most, so that a newer wish never waits long.
const CALL_MS: f64 = 400.0;
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
    free: bool,
    /// Ids of the pictures that are being made.
    making: Vec<String>,
    times: BTreeMap<Subject, VecDeque<f64>>,
}

/// One thing to do.
#[derive(Clone, Debug)]
enum Task {
    Load(Subject),
    Look(Batch),
    Check(Subject),
}

impl Task {
    /// Ids of the pictures that it makes.
    fn ids(&self) -> Vec<String> {
        match self {
            Self::Look(batch) => batch.wishes.iter().map(|w| w.id.clone()).collect(),
            Self::Load(_) | Self::Check(_) => Vec::new(),
        }
    }
}

/// A picture that a page waits for.
#[derive(Serialize)]
struct Frame<'a> {
    look: u64,
    view: &'a str,
    slot: &'a str,
    id: &'a str,
    #[serde(flatten)]
    picture: super::pictures::Picture,
    ms: f64,
}

/// A picture that could not be made.
#[derive(Serialize)]
struct Lost<'a> {
    look: u64,
    view: &'a str,
    slot: &'a str,
    id: &'a str,
    error: &'a str,
}

impl Bench {
    /// A bench whose worker is `program` on `device`.
    pub fn new(program: PathBuf, device: String) -> Self {
        let worker = WorkerState { state: State::Down, device: None, class: None, why: None };
        let inner = Inner {
            worker,
            loads: VecDeque::new(),
            checks: VecDeque::new(),
            free: false,
            making: Vec::new(),
            times: BTreeMap::new(),
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

    /// Ends the worker once it has nothing in hand, so that the device's memory is free.
    pub fn free(&self) {
        self.inner().free = true;
        self.wake();
    }

    /// Whether a picture is being made: who waits for it need not ask for it again.
    pub fn makes(&self, id: &str) -> bool {
        self.inner().making.iter().any(|m| m == id)
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

    fn took(&self, subject: &Subject, ms: f64) {
        let mut inner = self.inner();
        let times = inner.times.entry(subject.clone()).or_default();
        times.push_back(ms);
        if times.len() > TIMES {
            times.pop_front();
        }
    }
}

/// How many wishes of this model go into one call: as many as stay quick, where each costs its own time; a whole tile, where
/// the tile costs the same.
fn most(app: &App, subject: &Subject) -> usize {
    let Some(loaded) = app.models.loaded(subject) else { return 1 };
    let tile = loaded.templates.plain.tile;
    match app.bench.usual_ms(subject) {
        Some(ms) if loaded.one_by_one => ((CALL_MS / ms) as usize).clamp(1, tile),
        None if loaded.one_by_one => 1,
        _ => tile,
    }
}

/// Gives the worker something to do for as long as the studio runs.
///
/// # Errors
/// When an event can be neither kept nor told.
pub async fn run(app: Arc<App>) -> Result<()> {
    let mut link: Option<Link> = None;
    loop {
        if app.hub.alone_for().is_some_and(|since| since > AWAY) {
            app.looks().clear();
        }
        let Some(task) = next(&app) else {
            if std::mem::take(&mut app.bench.inner().free) {
                link = None;
                set(&app, State::Down, None)?;
            }
            idle(&app, &mut link).await?;
            continue;
        };
        app.bench.inner().making = task.ids();
        let done = with_patience(&app, &mut link, &task).await;
        app.bench.inner().making.clear();
        done?;
    }
}

/// The next thing to do.
fn next(app: &App) -> Option<Task> {
    if let Some(subject) = app.bench.inner().loads.pop_front() {
        return Some(Task::Load(subject));
    }
    let wanted = app.looks().next(|subject| most(app, subject));
    wanted.map(Task::Look).or_else(|| app.bench.inner().checks.pop_front().map(Task::Check))
}

/// Waits for something to do, and notices a worker that dies meanwhile.
async fn idle(app: &App, link: &mut Option<Link>) -> Result<()> {
    let wake = app.bench.wake.notified();
    let Some(there) = link else {
        let _ = timeout(Duration::from_secs(5), wake).await;
        return Ok(());
    };
    tokio::select! {
        () = wake => Ok(()),
        () = tokio::time::sleep(Duration::from_secs(5)) => Ok(()),
        // It has not been asked anything, so whatever it says, it has ended.
        _ = there.hear() => {
            *link = None;
            set(app, State::Down, Some("it ended by itself".into()))
        }
    }
}

/// Does a task, with a new worker after each one that dies of it.
async fn with_patience(app: &Arc<App>, link: &mut Option<Link>, task: &Task) -> Result<()> {
    let mut why = String::new();
    for wait in WAITS {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let there = match link.take() {
            Some(there) => Ok(there),
            None => start(app).await,
        };
        let done = match there {
            Ok(mut there) => match timeout(patience(app, task), once(app, &mut there, task)).await {
                Ok(Ok(done)) => {
                    *link = Some(there);
                    Ok(done)
                }
                Ok(Err(e)) => Err(e.to_string()),
                Err(_) => Err("it gave no answer in time".to_owned()),
            },
            Err(e) => Err(e.to_string()),
        };
        match done {
            Ok(None) => return Ok(()),
            // It lives and says that this cannot be done: trying again would not help.
            Ok(Some(refusal)) => return refused(app, task, &refusal),
            Err(e) => {
                why = super::problem::below(&e, &app.root);
                set(app, State::Down, Some(why.clone()))?;
            }
        }
    }
    refused(app, task, &format!("what makes pictures ended three times: {why}"))
}

/// A new worker that has its device.
async fn start(app: &App) -> Result<Link> {
    set(app, State::Starting, None)?;
    let mut link = Link::start(&app.bench.program, &app.bench.device)?;
    let heard = timeout(START, link.hear()).await;
    let late = |_| Error::config("worker", "it did not open its device within a minute");
    match heard.map_err(late)?? {
        Heard::Plain(Answer::Ready { device, class }) => {
            let worker = WorkerState { state: State::Ready, device: Some(device), class: Some(class), why: None };
            app.bench.inner().worker = worker.clone();
            app.hub.tell("worker", &worker)?;
            Ok(link)
        }
        Heard::Plain(Answer::Failed { message, .. }) => Err(Error::config("worker", message)),
        _ => Err(Error::Bug("the worker did not say that it is ready".into())),
    }
}

fn set(app: &App, state: State, why: Option<String>) -> Result<()> {
    let worker = {
        let mut inner = app.bench.inner();
        inner.worker = WorkerState { state, why, ..inner.worker.clone() };
        inner.worker.clone()
    };
    app.hub.tell("worker", &worker)
}

/// How long a task may take.
fn patience(app: &App, task: &Task) -> Duration {
    let usual = match task {
        Task::Look(batch) => app.bench.usual_ms(&batch.subject).map(|ms| ms * batch.wishes.len() as f64),
        Task::Check(subject) => app.bench.usual_ms(subject).map(|ms| 3.0 * ms),
        Task::Load(_) => None,
    };
    let least = failpoint!("studio.patience", 0).map_or(LEAST, |_| Duration::from_secs(2));
    least.max(Duration::from_secs_f64(SLACK * usual.unwrap_or(0.0) / 1e3))
}

/// Does a task with this worker. What it refuses is returned; an error means that the worker is of no more use.
async fn once(app: &Arc<App>, link: &mut Link, task: &Task) -> Result<Option<String>> {
    match task {
        Task::Load(subject) => {
            let Subject { model, reward } = subject.clone();
            link.ask(&Ask::Load { model, reward }).await?;
            match link.hear().await? {
                Heard::Plain(Answer::Loaded(loaded)) => loaded_now(app, subject, *loaded),
                other => refusal(other),
            }
        }
        Task::Look(batch) => look(app, link, batch).await,
        Task::Check(subject) => {
            let Subject { model, reward } = subject.clone();
            link.ask(&Ask::Check { model, reward }).await?;
            match link.hear().await? {
                Heard::Plain(Answer::Checked { same }) => {
                    app.models.checked(subject, same);
                    app.hub.tell("models", &super::models::Told { id: &subject.model, exact: Some(same) })?;
                    Ok(None)
                }
                other => refusal(other),
            }
        }
    }
}

fn loaded_now(app: &App, subject: &Subject, loaded: Loaded) -> Result<Option<String>> {
    let alike = loaded.one_by_one && app.models.loaded(subject).is_some();
    app.models.keep(subject, loaded);
    if !alike {
        app.bench.inner().checks.push_back(subject.clone());
    }
    app.hub.tell("models", &super::models::Told { id: &subject.model, exact: None })?;
    Ok(None)
}

/// What the worker says where something else was expected.
fn refusal(heard: Heard) -> Result<Option<String>> {
    match heard {
        Heard::Plain(Answer::Failed { message, .. }) => Ok(Some(message)),
        _ => Err(Error::Bug("the worker answered something else".into())),
    }
}

async fn look(app: &Arc<App>, link: &mut Link, batch: &Batch) -> Result<Option<String>> {
    let Subject { model, reward } = batch.subject.clone();
    let wanted = batch.wishes.iter().map(|w| (w.seed, w.novelty)).collect();
    let began = Instant::now();
    link.ask(&Ask::Look { model, reward, wanted }).await?;
    let one_by_one = app.models.loaded(&batch.subject).is_some_and(|l| l.one_by_one);
    let each = if one_by_one { batch.wishes.len() as f64 } else { 1.0 };
    loop {
        match link.hear().await? {
            Heard::Picture(index, shot) => {
                let Some(wish) = batch.wishes.get(index) else {
                    return Err(Error::Bug("no such picture was asked for".into()));
                };
                let ms = began.elapsed().as_secs_f64() * 1e3;
                let picture = super::pictures::Picture::of(&shot.row);
                let (shelved, id) = (Arc::clone(app), wish.id.clone());
                let put = tokio::task::spawn_blocking(move || shelved.shelf.put(&id, shot));
                put.await.map_err(|e| Error::Bug(e.to_string()))??;
                let (view, slot, id) = (batch.view.as_str(), wish.slot.as_str(), wish.id.as_str());
                app.hub.mention("frame", &Frame { look: batch.look, view, slot, id, picture, ms })?;
            }
            Heard::Plain(Answer::Done) => {
                let ms = began.elapsed().as_secs_f64() * 1e3;
                // A steered picture takes several times as long as a plain one; the longer time is the usual one.
                if batch.wishes.iter().any(|w| w.novelty.is_some()) || app.bench.usual_ms(&batch.subject).is_none() {
                    app.bench.took(&batch.subject, ms / each);
                }
                return Ok(None);
            }
            other => return refusal(other),
        }
    }
}

/// Tells the pages that a task cannot be done.
fn refused(app: &App, task: &Task, why: &str) -> Result<()> {
    let why = super::problem::below(why, &app.root);
    match task {
        Task::Load(subject) | Task::Check(subject) => {
            app.models.failed(subject, &why);
            app.hub.tell("models", &super::models::Told { id: &subject.model, exact: None })
        }
        Task::Look(batch) => batch.wishes.iter().try_for_each(|wish| {
            let (view, slot, id) = (batch.view.as_str(), wish.slot.as_str(), wish.id.as_str());
            app.hub.mention("frame", &Lost { look: batch.look, view, slot, id, error: &why })
        }),
    }
}
