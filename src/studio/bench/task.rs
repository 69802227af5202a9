//! One thing that the worker does, from the question to what the pages are told.

use super::{Again, Keep, Measure};
use crate::error::{Error, Result};
use crate::studio::app::App;
use crate::studio::looks::{Batch, Subject, Wish};
use crate::studio::models::Told;
use crate::studio::pictures::Picture;
use crate::studio::queue::{self, Piece};
use crate::studio::taste::Traits;
use crate::studio::worker::link::{Heard, Link};
use crate::studio::worker::measure::Geometry;
use crate::studio::worker::talk::{Answer, Ask, Loaded};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a page waits for a batch's tile before that is dropped.
const WAIT: Duration = Duration::from_secs(1);
/// Pictures that usually take less are not dropped for others.
const SLOW_MS: f64 = 400.0;
/// Nor are those that should be done within this.
const MOMENT: Duration = Duration::from_millis(150);

/// What became of pictures that were begun.
enum Looked {
    Done(Refusal),
    Dropped,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Task {
    Load(Subject),
    Look(Batch),
    Keep(Keep),
    Again(Again),
    Measure(Measure),
    Piece(Piece),
    Check(Subject),
    Pool(Batch),
}

impl Task {
    /// What kind of thing it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Look(_) => "look",
            Self::Keep(_) => "keep",
            Self::Again(_) => "again",
            Self::Measure(_) => "measure",
            Self::Piece(_) => "tile",
            Self::Check(_) => "check",
            Self::Pool(_) => "pool",
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
    picture: Picture,
    ms: f64,
}

/// How a picture that was made again compares.
#[derive(Serialize)]
struct Checked<'a> {
    id: &'a str,
    bytes: Option<usize>,
    largest: Option<u8>,
    error: Option<&'a str>,
}

/// The geometry at a picture.
#[derive(Serialize)]
struct Measured<'a> {
    id: &'a str,
    #[serde(flatten)]
    found: Option<&'a Geometry>,
    error: Option<&'a str>,
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

/// What became of a task: nothing more to say, or why the worker would not do it, with the exit code that a command would have
/// ended with.
pub type Refusal = Option<(u8, String)>;

/// Does a task with this worker. What it refuses is returned; an error means that the worker is of no more use.
pub async fn once(app: &Arc<App>, link: &mut Link, task: &Task, dropped: &mut bool) -> Result<Refusal> {
    match task {
        Task::Load(subject) => {
            let Subject { model, reward } = subject.clone();
            link.ask(&Ask::Load { model, reward }).await?;
            match link.hear().await? {
                Heard::Plain(Answer::Loaded(loaded)) => loaded_now(app, subject, *loaded),
                other => refusal(other),
            }
        }
        Task::Look(batch) => match look(app, link, batch).await? {
            Looked::Done(done) => Ok(done),
            Looked::Dropped => {
                app.looks().back(batch.clone(), Instant::now());
                Ok(None)
            }
        },
        Task::Pool(batch) => {
            let Looked::Done(done) = look(app, link, batch).await? else { return Ok(None) };
            let (measuring, wishes) = (Arc::clone(app), batch.wishes.clone());
            let measured = tokio::task::spawn_blocking(move || pooled(&measuring, &wishes)).await;
            // A database that takes nothing, on a full disk say, is no fault of the worker.
            if let Err(e) = measured.map_err(|e| Error::Bug(e.to_string()))? {
                return Ok(Some((e.exit_code(), e.to_string())));
            }
            let made = batch.wishes.iter().map(|w| w.seed + 1).max().unwrap_or(0);
            app.hub.mention("pool", &serde_json::json!({ "model": batch.subject.model, "made": made }))?;
            Ok(done)
        }
        Task::Keep(keep) => {
            let run = app.root.join(&keep.run);
            link.ask(&Ask::Complete { run }).await?;
            let kept = done(link.hear().await?)?;
            link.ask(&Ask::Leave).await?;
            done(link.hear().await?)?;
            Ok(kept)
        }
        Task::Again(again) => {
            let below = app.root.join(".studio/again");
            crate::store::create_dir(&below)?;
            link.ask(&Ask::Again { file: again.file.clone(), below }).await?;
            match link.hear().await? {
                Heard::Plain(Answer::Compared { bytes, largest }) => {
                    let content = Checked { id: &again.id, bytes: Some(bytes), largest, error: None };
                    app.hub.tell("checked", &content)?;
                    Ok(None)
                }
                other => refusal(other),
            }
        }
        Task::Measure(measure) => {
            let Measure { id, model, own, exact } = measure.clone();
            link.ask(&Ask::Measure { model, own, exact }).await?;
            match link.hear().await? {
                Heard::Plain(Answer::Measured(found)) => {
                    app.hub.tell("measured", &Measured { id: &id, found: Some(&found), error: None })?;
                    Ok(None)
                }
                other => refusal(other),
            }
        }
        Task::Piece(piece) => piece_of(app, link, piece, dropped).await,
        Task::Check(subject) => {
            let Subject { model, reward } = subject.clone();
            link.ask(&Ask::Check { model, reward }).await?;
            match link.hear().await? {
                Heard::Plain(Answer::Checked { same }) => {
                    app.models.checked(subject, same);
                    app.hub.tell("models", &Told::of(&app.models, subject))?;
                    Ok(None)
                }
                other => refusal(other),
            }
        }
    }
}

fn loaded_now(app: &App, subject: &Subject, loaded: Loaded) -> Result<Refusal> {
    let alike = loaded.one_by_one && app.models.loaded(subject).is_some();
    app.models.keep(subject, loaded);
    if !alike {
        app.bench.inner().checks.push_back(subject.clone());
    }
    app.hub.tell("models", &Told::of(&app.models, subject))?;
    Ok(None)
}

/// What the worker says where something else was expected.
fn refusal(heard: Heard) -> Result<Refusal> {
    match heard {
        Heard::Plain(Answer::Failed { message, code }) => Ok(Some((code, message))),
        _ => Err(Error::Bug("the worker answered something else".into())),
    }
}

/// Whether something was done.
fn done(heard: Heard) -> Result<Refusal> {
    match heard {
        Heard::Plain(Answer::Done) => Ok(None),
        other => refusal(other),
    }
}

/// Makes a tile of a batch. It is dropped if its job is stopped, or if a page waits and it would wait for long; but never twice
/// in a row for a page, so that batches go on whatever is looked at.
async fn piece_of(app: &Arc<App>, link: &mut Link, piece: &Piece, dropped: &mut bool) -> Result<Refusal> {
    let run = piece.folder.clone();
    let ask =
        piece.tile.map_or_else(|| Ask::Complete { run: run.clone() }, |tile| Ask::Tile { run: run.clone(), tile });
    link.ask(&ask).await?;
    let began = Instant::now();
    let mut told = false;
    let heard = loop {
        tokio::select! {
            heard = link.hear() => break heard?,
            () = app.bench.wake.notified(), if !told => {
                let halted = app.bench.inner().halt.take_if(|job| *job == piece.job).is_some();
                let left = expected(app, piece)?.saturating_sub(began.elapsed());
                let page = app.looks().waits() && !*dropped && !piece.hungry && left > WAIT;
                if piece.tile.is_some() && (halted || page) {
                    told = true;
                    *dropped = !halted;
                    link.ask(&Ask::Stop).await?;
                }
            }
        }
    };
    // What woke this loop may be for the next turn.
    app.bench.wake();
    if !told {
        *dropped = false;
    }
    let result = done(heard)?;
    link.in_run = true;
    if piece.tile.is_none() || result.is_some() {
        leave(link).await?;
    }
    Ok(result)
}

/// Lets the worker let go of the run that it worked in, so that others may.
pub async fn leave(link: &mut Link) -> Result<()> {
    if std::mem::take(&mut link.in_run) {
        link.ask(&Ask::Leave).await?;
        link.hear().await?;
    }
    Ok(())
}

/// How long a tile of this job usually takes.
pub fn expected(app: &App, piece: &Piece) -> Result<Duration> {
    let each = queue::find(app, piece.job)?.and_then(|j| j.tile_ms).unwrap_or(0.0);
    Ok(Duration::from_secs_f64(16.0 * each / 1e3))
}

/// Makes pictures to be looked at. Slow ones are dropped if they are in the way of a large picture.
async fn look(app: &Arc<App>, link: &mut Link, batch: &Batch) -> Result<Looked> {
    let Subject { model, reward } = batch.subject.clone();
    let wanted = batch.wishes.iter().map(|w| (w.seed, w.novelty)).collect();
    let began = Instant::now();
    let vary = batch.wishes.first().and_then(|w| w.vary.as_deref().cloned()).map(Box::new);
    link.ask(&Ask::Look { model, reward, wanted, vary }).await?;
    let one_by_one = app.models.loaded(&batch.subject).is_some_and(|l| l.one_by_one);
    let each = if one_by_one { batch.wishes.len() as f64 } else { 1.0 };
    let usual = app.bench.usual_ms(&batch.subject).unwrap_or(0.0) * each;
    let mut told = false;
    loop {
        let heard = tokio::select! {
            heard = link.hear() => heard?,
            () = app.bench.wake.notified(), if !told => {
                let left = Duration::from_secs_f64(usual / 1e3).saturating_sub(began.elapsed());
                let slow = usual > SLOW_MS && left > MOMENT;
                if slow && app.looks().is_in_the_way(batch, Instant::now()) {
                    told = true;
                    link.ask(&Ask::Stop).await?;
                }
                continue;
            }
        };
        match heard {
            Heard::Picture(index, shot) => {
                let Some(wish) = batch.wishes.get(index) else {
                    return Err(Error::Bug("no such picture was asked for".into()));
                };
                let ms = began.elapsed().as_secs_f64() * 1e3;
                let picture = Picture::of(&shot.row);
                let (shelved, id) = (Arc::clone(app), wish.id.clone());
                let put = tokio::task::spawn_blocking(move || shelved.shelf.put(&id, *shot));
                put.await.map_err(|e| Error::Bug(e.to_string()))??;
                let (view, slot, id) = (batch.view.as_str(), wish.slot.as_str(), wish.id.as_str());
                app.bench.inner().done.pictures += 1;
                app.hub.mention("frame", &Frame { look: batch.look, view, slot, id, picture, ms })?;
            }
            Heard::Plain(Answer::Done) => {
                let ms = began.elapsed().as_secs_f64() * 1e3;
                // A steered picture takes several times as long as a plain one; the longer time is the usual one.
                if batch.wishes.iter().any(|w| w.novelty.is_some()) || app.bench.usual_ms(&batch.subject).is_none() {
                    app.bench.took(&batch.subject, ms / each);
                }
                app.looks().done(batch);
                return Ok(Looked::Done(None));
            }
            Heard::Plain(Answer::Failed { code, .. }) if told && code == Error::Stopped(String::new()).exit_code() => {
                app.bench.inner().done.dropped += 1;
                return Ok(Looked::Dropped);
            }
            other => return refusal(other).map(Looked::Done),
        }
    }
}

/// Tells the pages that a task cannot be done.
pub fn refused(app: &App, task: &Task, why: &str) -> Result<()> {
    let why = crate::studio::problem::below(why, &app.root);
    match task {
        Task::Load(subject) | Task::Check(subject) => {
            app.models.failed(subject, &why);
            app.hub.tell("models", &Told::of(&app.models, subject))
        }
        Task::Keep(keep) => {
            let content = serde_json::json!({ "id": keep.id, "run": keep.run, "error": why });
            app.hub.tell("kept", &content)
        }
        Task::Again(again) => {
            app.hub.tell("checked", &Checked { id: &again.id, bytes: None, largest: None, error: Some(&why) })
        }
        Task::Measure(measure) => {
            app.hub.tell("measured", &Measured { id: &measure.id, found: None, error: Some(&why) })
        }
        Task::Piece(_) => Ok(()),
        Task::Pool(batch) => {
            app.taste.rest(&batch.subject);
            app.hub.mention("pool", &serde_json::json!({ "model": batch.subject.model, "error": why }))?;
            lost(app, batch, &why)
        }
        Task::Look(batch) => lost(app, batch, &why),
    }
}

/// Tells the pages that these pictures do not come, whoever waits for them.
fn lost(app: &App, batch: &Batch, why: &str) -> Result<()> {
    app.looks().done(batch);
    batch.wishes.iter().try_for_each(|wish| {
        let (view, slot, id) = (batch.view.as_str(), wish.slot.as_str(), wish.id.as_str());
        app.hub.mention("frame", &Lost { look: batch.look, view, slot, id, error: why })
    })
}

/// Measures pictures of a pool that were just made, and keeps what was measured.
fn pooled(app: &App, wishes: &[Wish]) -> Result<()> {
    let kept = wishes.iter().map(|wish| {
        let row = app.shelf.row(&wish.id);
        let sha8 = row.as_ref().and_then(|r| r.sha256.as_ref()).map_or(String::new(), |s| format!("{s:.8}"));
        let png = app.shelf.png(&wish.id).ok().flatten();
        let traits = png.zip(row).and_then(|(png, row)| Traits::of(&png, &row).ok());
        (wish.id.clone(), sha8, traits)
    });
    app.db.keep_traits(&kept.collect::<Vec<_>>())
}
