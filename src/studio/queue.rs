//! The queue: which tile of which batch is next. A batch is a run folder; a job says where it stands in the queue. It is done when
//! the folder's records say so, whoever made them.

use super::app::App;
use super::db::{JobRow, JobState};
use super::problem::{Code, Problem};
use crate::acts::generate::{GeneratePlan, Pictures, PlannedJob};
use crate::error::{Error, Result};
use crate::limits;
use crate::run::{Plan, Work};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a folder that another isoline works in is looked at.
const ELSEWHERE: Duration = Duration::from_secs(5);
/// How long a batch waits at most for its next tile, however much is looked at.
const HUNGRY: Duration = Duration::from_secs(30);
/// Tries of a tile before its job fails.
const TRIES: i64 = 3;

/// A tile, or the tables, of a batch.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The job.
    pub job: i64,
    /// Its run folder's name.
    pub run: String,
    /// The folder itself.
    pub folder: PathBuf,
    /// The tile; without one the tables and sheets are due.
    pub tile: Option<u64>,
    /// Whether it has waited so long that it goes before pages.
    pub hungry: bool,
}

/// The loop's own memory of the queue.
#[derive(Default)]
pub struct Queue {
    open: Option<OpenRun>,
    elsewhere: BTreeMap<i64, Instant>,
    last: Option<Instant>,
}

struct OpenRun {
    run: String,
    plan: Vec<u8>,
    pictures: Pictures,
    next: u64,
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// A job as the page has it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Job {
    id: i64,
    /// Name of its run folder.
    run: String,
    state: JobState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    position: f64,
    wanted: u64,
    done: u64,
    flagged: u64,
    /// Seconds until it is done, by what its tiles took so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_s: Option<f64>,
    created: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<f64>,
}

impl Job {
    /// What the page is told of a job.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(app: &App, job: &JobRow) -> Result<Self> {
        let run = app.db.run(&job.run)?;
        let (wanted, done, flagged) = run.map_or((0, 0, 0), |r| (r.wanted, r.done, r.flagged));
        let left = wanted.saturating_sub(done) as f64;
        Ok(Self {
            id: job.id,
            run: job.run.clone(),
            state: job.state,
            reason: job.reason.clone(),
            position: job.position,
            wanted,
            done,
            flagged,
            eta_s: job.tile_ms.filter(|_| !job.state.is_over()).map(|ms| left * ms / 1e3),
            created: job.times.0,
            started: job.times.1,
            ended: job.times.2,
        })
    }
}

impl Queue {
    /// What is next, if anything is. `looks` says whether a page waits for pictures: then a batch gets its turn only after
    /// half a minute.
    ///
    /// # Errors
    /// [`Error::Io`] where the database cannot be used.
    pub fn next(&mut self, app: &App, looks: bool) -> Result<Option<Piece>> {
        let hungry = failpoint!("studio.hungry", 0).map_or(HUNGRY, |_| Duration::from_secs(1));
        if looks && self.last.is_some_and(|last| last.elapsed() < hungry) {
            return Ok(None);
        }
        if app.paused()? {
            return Ok(None);
        }
        for mut job in app.db.jobs()? {
            match job.state {
                JobState::Queued | JobState::Running => {}
                JobState::Elsewhere if self.elsewhere.get(&job.id).is_none_or(|at| at.elapsed() >= ELSEWHERE) => {
                    self.elsewhere.insert(job.id, Instant::now());
                }
                JobState::Paused if job.reason.as_deref().is_some_and(|r| r.starts_with(DISK)) => {
                    if room(app, &job, 2.0).is_err() {
                        continue;
                    }
                    job.reason = None;
                }
                _ => continue,
            }
            match self.piece(app, &job) {
                Ok(piece) => {
                    if let Err(why) = room(app, &job, 1.0) {
                        settle(app, JobRow { state: JobState::Paused, reason: Some(why), ..job })?;
                        continue;
                    }
                    if job.state != JobState::Running {
                        let started = job.times.1.or(Some(now()));
                        let times = (job.times.0, started, None);
                        settle(app, JobRow { state: JobState::Running, reason: None, times, ..job })?;
                    }
                    self.last = Some(Instant::now());
                    return Ok(Some(Piece { hungry: looks, ..piece }));
                }
                Err(e) => {
                    let reason = Some(super::problem::below(&e.to_string(), &app.root));
                    let times = (job.times.0, job.times.1, Some(now()));
                    settle(app, JobRow { state: JobState::Failed, reason, times, ..job })?;
                }
            }
        }
        self.last = Some(Instant::now());
        Ok(None)
    }

    /// The first piece of a job that is not there yet.
    fn piece(&mut self, app: &App, job: &JobRow) -> Result<Piece> {
        let folder = app.root.join(&job.run);
        let text = crate::store::read_bounded(&folder.join("plan.toml"), limits::PLAN_BYTES)?;
        if self.open.as_ref().is_none_or(|o| o.run != job.run || o.plan != text) {
            let plan = Plan::parse(&text, &folder.join("plan.toml"))?;
            let own = GeneratePlan::of(&plan)?.ok_or_else(|| Error::input(&folder, "is no run of pictures"))?;
            let pictures = Pictures::open(own, &folder).map_err(|e| crate::acts::of_plan(e, &folder))?;
            self.open = Some(OpenRun { run: job.run.clone(), plan: text, pictures, next: 0 });
        }
        let Some(open) = &mut self.open else { return Err(Error::Bug("no run is open".into())) };
        while open.next < open.pictures.tiles() && open.pictures.state(open.next, false).is_done() {
            open.next += 1;
        }
        let tile = (open.next < open.pictures.tiles()).then_some(open.next);
        Ok(Piece { job: job.id, run: job.run.clone(), folder, tile, hungry: false })
    }

    /// A piece was made in `ms`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn made(&mut self, app: &App, piece: &Piece, ms: f64) -> Result<()> {
        super::scan::look_at(app, &piece.run)?;
        let Some(mut job) = find(app, piece.job)? else { return Ok(()) };
        job.tries = 0;
        match piece.tile {
            Some(tile) => {
                let made = self.open.as_ref().map_or(1, |o| o.pictures.wanted(tile)).max(1);
                let each = ms / made as f64;
                // Half of what it took, half of what it took before.
                job.tile_ms = Some(job.tile_ms.map_or(each, |old| 0.5 * (old + each)));
            }
            None => {
                self.open = None;
                (job.state, job.reason) = (JobState::Done, None);
                job.times.2 = Some(now());
                app.pause_if_asked(job.id)?;
            }
        }
        settle(app, job)
    }

    /// A piece could not be made: `code` is the exit code that a command would have ended with.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn failed(&mut self, app: &App, piece: &Piece, code: u8, why: &str) -> Result<()> {
        let Some(mut job) = find(app, piece.job)? else { return Ok(()) };
        // Whoever paused or stopped it meanwhile has the last word.
        if job.state != JobState::Running {
            return Ok(());
        }
        let why = super::problem::below(why, &app.root);
        match code {
            // Stopped: whoever stopped it has said where the job stands.
            75 | 130 => return Ok(()),
            // No job can be made, and none is to blame.
            NOT_STARTED => {
                (job.state, job.reason) = (JobState::Queued, Some(why));
                app.pause(true)?;
            }
            7 => (job.state, job.reason) = (JobState::Elsewhere, Some("running in another isoline".into())),
            4 if room(app, &job, 1.0).is_err() || why.contains("No space left") => {
                let reason = room(app, &job, 1.0).err().unwrap_or_else(|| format!("{DISK}: {why}"));
                (job.state, job.reason) = (JobState::Paused, Some(reason));
            }
            _ => {
                // What was there when it was looked at may be gone.
                self.open = None;
                job.tries += 1;
                if job.tries >= TRIES || code == DIED {
                    (job.state, job.reason) = (JobState::Failed, Some(why));
                    job.times.2 = Some(now());
                }
            }
        }
        settle(app, job)
    }
}

/// The code of a worker that died three times of one piece.
pub const DIED: u8 = u8::MAX;

/// The code of a worker that could not be started.
pub const NOT_STARTED: u8 = u8::MAX - 1;

/// How the reason of a job begins that waits for room on the disk.
const DISK: &str = "The disk is full";

/// Whether there is room for some tiles, `times` over; else the sentence that says what is missing.
fn room(app: &App, job: &JobRow, times: f64) -> Result<(), String> {
    let Ok(disk) = rustix::fs::statvfs(&app.root) else { return Ok(()) };
    let (free, total) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    let tile = 16 * app.picture_bytes(&job.run).unwrap_or(0).max(8 << 10);
    let needed = 4 * tile + (limits::DISK_LEFT).min(total / 20);
    let mega = |b: f64| (b / 1e6).ceil();
    if free as f64 >= times * needed as f64 {
        return Ok(());
    }
    Err(format!("{DISK}: {} MB free, {} MB needed. Paused; nothing is lost.", mega(free as f64), mega(needed as f64)))
}

/// Keeps where a job stands, and tells the pages.
///
/// # Errors
/// [`Error::Io`].
pub fn settle(app: &App, job: JobRow) -> Result<()> {
    app.db.keep_job(&job)?;
    app.hub.tell("job", &Job::of(app, &job)?)
}

/// A job by its number.
///
/// # Errors
/// [`Error::Io`].
pub fn find(app: &App, id: i64) -> Result<Option<JobRow>> {
    Ok(app.db.jobs()?.into_iter().find(|j| j.id == id))
}

/// Plans a run of these jobs and puts it at the end of the queue.
///
/// # Errors
/// 409 for a name that is taken; 507 and others where the plan cannot be written.
pub fn enqueue(app: &App, name: &str, jobs: Vec<PlannedJob>) -> Result<Job, Problem> {
    let fail = |e: Error| app.problem(&e);
    let folder = app.root.join(name);
    if folder.exists() {
        return Err(Problem {
            at: Some("name".into()),
            ..Problem::new(Code::State, format!("\"{name}\" is taken; give another name"))
        });
    }
    let plan = Plan::new(crate::acts::generate::ROW.name, &GeneratePlan { csv: false, jobs }).map_err(fail)?;
    check(&plan, &folder).map_err(fail)?;
    plan.write(&folder).map_err(fail)?;
    let id = app.db.enqueue(name, now()).map_err(fail)?;
    super::scan::look_at(app, name).map_err(fail)?;
    let job = find(app, id).map_err(fail)?.ok_or_else(|| Problem::new(Code::Bug, "the job is gone"))?;
    app.hub.tell("job", &Job::of(app, &job).map_err(fail)?).map_err(fail)?;
    app.bench.wake();
    Job::of(app, &job).map_err(fail)
}

/// Whether a plan can be opened as a run.
fn check(plan: &Plan, folder: &Path) -> Result<()> {
    let own = GeneratePlan::of(plan)?.ok_or_else(|| Error::Bug("a plan of another act".into()))?;
    Pictures::open(own, folder)?.check_table_memory()
}
