//! Whose turn it is, and patience with the worker.

use super::task::{Refusal, Task, expected, leave, once, refused};
use super::{State, WorkerState};
use crate::error::{Error, Result};
use crate::studio::app::App;
use crate::studio::looks::Subject;
use crate::studio::problem::below;
use crate::studio::queue::{DIED, NOT_STARTED, Queue};
use crate::studio::worker::link::{Heard, Link};
use crate::studio::worker::talk::Answer;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a worker may take to open its device.
const START: Duration = Duration::from_secs(60);
/// The least time that anything may take before the worker is taken to hang.
const LEAST: Duration = Duration::from_secs(60);
/// The least time where it is not known how long it takes: a first tile, a large model, the sheets of a large run.
const UNKNOWN: Duration = Duration::from_secs(600);
/// The least time of an exact measurement.
const EXACT: Duration = Duration::from_secs(3_600);
/// By how much it may take longer than it usually does.
const SLACK: f64 = 10.0;
/// Waits before a worker is started again.
const WAITS: [u64; 3] = [0, 1, 5];
/// How long pages may be away before what they wanted is dropped.
const AWAY: Duration = Duration::from_secs(30);
/// What one call should take at most, so that a newer wish never waits long.
const CALL_MS: f64 = 400.0;

/// How many wishes of this model go into one call: as many as stay quick, where each costs its own time, and one for each core at
/// least; a whole tile, where the tile costs the same.
fn most(app: &App, subject: &Subject) -> usize {
    let Some(loaded) = app.models.loaded(subject) else { return 1 };
    let tile = loaded.templates.plain.tile;
    // Each core has a sample to itself.
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(tile);
    match app.bench.usual_ms(subject) {
        Some(ms) if loaded.one_by_one => ((CALL_MS / ms) as usize).clamp(cores, tile),
        None if loaded.one_by_one => 1,
        _ => tile,
    }
}

/// Gives the worker something to do for as long as the studio runs. What goes wrong with the studio's own files, on a full disk say,
/// is told, and tried again.
pub async fn run(app: Arc<App>) {
    let (mut link, mut queue, mut dropped) = (None, Queue::default(), false);
    loop {
        if let Err(e) = turn(&app, &mut link, &mut queue, &mut dropped).await {
            app.bench.inner().worker.why = Some(below(&e.to_string(), &app.root));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// One turn: the next thing, or a wait for one. `dropped` says whether the last tile of a batch was dropped for a page: the next
/// one is not.
async fn turn(app: &Arc<App>, link: &mut Option<Link>, queue: &mut Queue, dropped: &mut bool) -> Result<()> {
    if app.hub.alone_for().is_some_and(|since| since > AWAY) {
        app.looks().clear();
    }
    let Some(task) = next(app, queue)? else {
        if std::mem::take(&mut app.bench.inner().free) {
            *link = None;
            app.taste.rest_all();
            set(app, State::Down, None)?;
        }
        return idle(app, link).await;
    };
    *app.bench.inner().done.calls.entry(task.kind()).or_default() += 1;
    let began = Instant::now();
    let done = with_patience(app, link, &task, dropped).await;
    settle(app, queue, &task, done?, began.elapsed())
}

/// The next thing to do: what is looked at before what is kept, that before batches, and last what nobody waits for.
fn next(app: &App, queue: &mut Queue) -> Result<Option<Task>> {
    if let Some(subject) = app.bench.inner().loads.pop_front() {
        return Ok(Some(Task::Load(subject)));
    }
    let looks = app.looks().waits();
    if looks && let Some(piece) = queue.next(app, true)? {
        return Ok(Some(Task::Piece(piece)));
    }
    if let Some(batch) = app.looks().next(|subject| most(app, subject)) {
        return Ok(Some(Task::Look(batch)));
    }
    if let Some(keep) = app.bench.inner().keeps.pop_front() {
        return Ok(Some(Task::Keep(keep)));
    }
    if let Some(again) = app.bench.inner().agains.pop_front() {
        return Ok(Some(Task::Again(again)));
    }
    if let Some(measure) = app.bench.inner().measures.pop_front() {
        return Ok(Some(Task::Measure(measure)));
    }
    // Who waits for the first pictures to choose from waits like a page; the rest of them is for idle times.
    if let Some(batch) = app.taste.wants(app, true, |subject| most(app, subject))? {
        return Ok(Some(Task::Pool(batch)));
    }
    if let Some(piece) = queue.next(app, false)? {
        return Ok(Some(Task::Piece(piece)));
    }
    if let Some(subject) = app.bench.inner().checks.pop_front() {
        return Ok(Some(Task::Check(subject)));
    }
    if app.bench.inner().free {
        return Ok(None);
    }
    Ok(app.taste.wants(app, false, |subject| most(app, subject))?.map(Task::Pool))
}

/// Waits for something to do, and notices a worker that dies meanwhile.
async fn idle(app: &App, link: &mut Option<Link>) -> Result<()> {
    let wake = app.bench.wake.notified();
    // Nothing of a run is in hand, so whoever wants it may have it.
    if let Some(there) = link
        && !timeout(LEAST, leave(there)).await.is_ok_and(|left| left.is_ok())
    {
        *link = None;
    }
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
async fn with_patience(app: &Arc<App>, link: &mut Option<Link>, task: &Task, dropped: &mut bool) -> Result<Refusal> {
    let (mut why, mut code) = (String::new(), DIED);
    for wait in WAITS {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let there = match link.take() {
            Some(there) => Ok(there),
            None => start(app).await,
        };
        code = if there.is_ok() { DIED } else { NOT_STARTED };
        let done = match there {
            Ok(mut there) => match timeout(patience(app, task), once(app, &mut there, task, dropped)).await {
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
            // It lives. If it says that this cannot be done, trying again would not help.
            Ok(done) => return Ok(done),
            Err(e) => {
                why = below(&e, &app.root);
                set(app, State::Down, Some(why.clone()))?;
                // An hour is not waited for three times.
                if matches!(task, Task::Measure(measure) if measure.exact) {
                    break;
                }
            }
        }
    }
    let what = if code == DIED { "ended three times" } else { "could not be started" };
    Ok(Some((code, format!("what makes pictures {what}: {why}"))))
}

/// Draws the consequences of a task that was done, or refused.
fn settle(app: &App, queue: &mut Queue, task: &Task, done: Refusal, took: Duration) -> Result<()> {
    match (task, done) {
        (Task::Piece(piece), None) => queue.made(app, piece, took.as_secs_f64() * 1e3),
        (Task::Piece(piece), Some((code, why))) => queue.failed(app, piece, code, &why),
        (Task::Keep(keep), None) => {
            crate::studio::scan::look_at(app, &keep.run)?;
            app.hub.tell("kept", &serde_json::json!({ "id": keep.id, "run": keep.run }))
        }
        (_, None) => Ok(()),
        (_, Some((_, why))) => refused(app, task, &why),
    }
}

/// A new worker that has its device.
async fn start(app: &App) -> Result<Link> {
    set(app, State::Starting, None)?;
    let mut link = Link::start(&app.bench.program, &app.bench.device)?;
    app.bench.inner().done.starts += 1;
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

/// How long a task may take before its worker is taken to hang: ten times what it usually takes, where that is known.
fn patience(app: &App, task: &Task) -> Duration {
    let (usual, least) = match task {
        Task::Look(batch) | Task::Pool(batch) => {
            let each = app.bench.usual_ms(&batch.subject).unwrap_or(0.0);
            (Duration::from_secs_f64(each * batch.wishes.len() as f64 / 1e3), LEAST)
        }
        Task::Check(subject) => {
            (Duration::from_secs_f64(3.0 * app.bench.usual_ms(subject).unwrap_or(0.0) / 1e3), LEAST)
        }
        Task::Piece(piece) => match expected(app, piece) {
            Ok(usual) if piece.tile.is_some() && usual > Duration::ZERO => (usual, LEAST),
            _ => (Duration::ZERO, UNKNOWN),
        },
        // Along all directions of a large model; it is said beforehand that it takes longer.
        Task::Measure(measure) if measure.exact => (Duration::ZERO, EXACT),
        Task::Load(_) | Task::Keep(_) | Task::Again(_) | Task::Measure(_) => (Duration::ZERO, UNKNOWN),
    };
    let least = failpoint!("studio.patience", 0).map_or(least, |_| Duration::from_secs(2));
    least.max(usual.mul_f64(SLACK))
}
