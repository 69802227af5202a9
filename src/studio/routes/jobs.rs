//! Batches: making many pictures, one after the other.

use super::taken::{Asked, Body};
use crate::acts::generate::PlannedJob;
use crate::limits;
use crate::run::Seeds;
use crate::studio::app::App;
use crate::studio::db::{JobRow, JobState};
use crate::studio::looks::Subject;
use crate::studio::problem::{Code, Problem};
use crate::studio::queue::{self, Job};
use crate::units::Percentile;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A batch that is wanted.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Name of its folder; without one, a name is made of what is asked for.
    #[serde(default)]
    name: Option<String>,
    /// Name of the model.
    model: String,
    /// Name of the reward, where it is not the model's own.
    #[serde(default)]
    reward: Option<String>,
    /// Seeds as `0-63,99`.
    seeds: String,
    /// A row of pictures for each level; null is no steering.
    #[schema(value_type = Vec<Option<f64>>)]
    levels: Vec<Option<Percentile>>,
}

/// Whether to ask only what it would cost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    #[serde(default)]
    dry: bool,
}

/// What a batch would cost.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Cost {
    /// How many pictures.
    pictures: u64,
    /// How long, once it is its turn; `None` before a picture of the model was made here.
    seconds: Option<f64>,
    /// About how much room on the disk.
    bytes: u64,
    /// Whether there is that much.
    fits: bool,
    /// The name of its folder.
    name: String,
}

/// Bytes of a picture where none was made yet, for each value of it, and of its row in a record.
const BYTES: (f64, f64) = (0.55, 900.0);

/// Puts a batch at the end of the queue, or says what it would cost.
#[utoipa::path(post, path = "/api/jobs", params(("dry" = Option<bool>, Query)), request_body = Wanted,
    responses((status = 201, body = Job), (status = 200, body = Cost), (status = 409), (status = 422), (status = 507)))]
pub async fn enqueue(
    State(app): State<Arc<App>>,
    Asked(how): Asked<How>,
    Body(wanted): Body<Wanted>,
) -> Result<Response, Problem> {
    app.aside(move |app| {
        let (name, jobs, subject) = planned(app, wanted)?;
        if !how.dry {
            return Ok((StatusCode::CREATED, Json(queue::enqueue(app, &name, jobs)?)).into_response());
        }
        let pictures: u64 = jobs.iter().map(|j| j.seeds.list().len() as u64).sum();
        let shape = app.models.loaded(&subject).map_or([1, 64, 64], |l| l.shape);
        let bytes = pictures * (BYTES.0 * shape.iter().product::<usize>() as f64 + BYTES.1) as u64;
        let free = rustix::fs::statvfs(&app.root).map_or(u64::MAX, |d| d.f_bavail * d.f_frsize);
        let seconds = app.bench.usual_ms(&subject).map(|ms| pictures as f64 * ms / 1e3);
        Ok(Json(Cost { pictures, seconds, bytes, fits: bytes < free, name }).into_response())
    })
    .await
}

fn planned(app: &App, wanted: Wanted) -> Result<(String, Vec<PlannedJob>, Subject), Problem> {
    let subject = Subject { model: wanted.model, reward: wanted.reward.filter(|r| !r.is_empty()) };
    let Some(loaded) = app.models.loaded(&subject) else {
        return Err(Problem::new(Code::State, format!("\"{}\" is not loaded", subject.model)).hint("load it first"));
    };
    let seeds: Seeds = wanted.seeds.try_into().map_err(|m: String| Problem::value("seeds", m))?;
    if !(1..=64).contains(&wanted.levels.len()) {
        return Err(Problem::value("levels", format!("expected 1 to 64, found {}", wanted.levels.len())));
    }
    if seeds.list().len().saturating_mul(wanted.levels.len()) > limits::BATCH {
        let detail = format!("more than {} pictures in one batch; make several of them", limits::BATCH);
        return Err(Problem::value("seeds", detail));
    }
    let mut names: Vec<String> = Vec::new();
    let mut jobs = Vec::new();
    for level in &wanted.levels {
        let name = level.map_or("balanced".to_owned(), |n| format!("novelty-{}", n.percent()));
        if names.contains(&name) {
            return Err(Problem::value("levels", format!("{name} is asked for twice")));
        }
        let recipe = loaded.templates.recipe(*level).ok_or_else(|| {
            Problem::value("levels", "this model has no reward, so that nothing is known of novelty")
                .hint(format!("isoline train-reward --model {} teaches one", subject.model))
        })?;
        let folder = if wanted.levels.len() == 1 { "." } else { name.as_str() };
        jobs.push(PlannedJob::plain(&name, folder, &subject.model, seeds.clone(), recipe));
        names.push(name);
    }
    let name = match wanted.name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()) {
        Some(name) => {
            crate::store::check_id(&name).map_err(|rule| Problem::value("name", rule))?;
            name
        }
        None => {
            let levels: Vec<&str> = names.iter().map(|n| n.strip_prefix("novelty-").unwrap_or(n)).collect();
            unused(app, &format!("{}-{}", subject.model, levels.join("-")))
        }
    };
    Ok((name, jobs, subject))
}

/// `base`, or with a number behind it if that is taken; never longer than a name may be.
fn unused(app: &App, base: &str) -> String {
    let base: String = base.chars().take(56).collect();
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !app.root.join(name).exists()).unwrap_or(base)
}

/// Every job, in the order of the queue.
#[utoipa::path(get, path = "/api/jobs", responses((status = 200, body = Vec<Job>)))]
pub async fn jobs(State(app): State<Arc<App>>) -> Result<Json<Vec<Job>>, Problem> {
    app.aside(|app| {
        let all = app.db.jobs().and_then(|jobs| jobs.iter().map(|j| Job::of(app, j)).collect());
        all.map(Json).map_err(|e| app.problem(&e))
    })
    .await
}

fn found(app: &App, id: i64) -> Result<JobRow, Problem> {
    let job = queue::find(app, id).map_err(|e| app.problem(&e))?;
    job.ok_or_else(|| Problem::new(Code::Unknown, format!("there is no job {id}")))
}

fn settled(app: &App, job: JobRow) -> Result<Json<Job>, Problem> {
    let told = queue::settle(app, job.clone()).and_then(|()| Job::of(app, &job));
    app.bench.wake();
    told.map(Json).map_err(|e| app.problem(&e))
}

/// One job.
#[utoipa::path(get, path = "/api/jobs/{id}", params(("id" = i64, Path)), responses((status = 200, body = Job), (status = 404)))]
pub async fn job(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Result<Json<Job>, Problem> {
    app.aside(move |app| Job::of(app, &found(app, id)?).map(Json).map_err(|e| app.problem(&e))).await
}

/// What to do with a job.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Rest after the tile that is being made.
    Pause,
    /// Go on.
    Resume,
    /// Try again what failed, or take up what was stopped.
    Retry,
}

/// A change of a job: an action, or a place in the queue.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    action: Option<Action>,
    /// The job that it is to stand behind; 0 is the first place.
    after: Option<i64>,
}

/// Changes a job.
#[utoipa::path(patch, path = "/api/jobs/{id}", params(("id" = i64, Path)), request_body = Change,
    responses((status = 200, body = Job), (status = 404), (status = 409)))]
pub async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<i64>,
    Body(change): Body<Change>,
) -> Result<Json<Job>, Problem> {
    app.aside(move |app| {
        let mut job = found(app, id)?;
        if let Some(action) = change.action {
            job.state = match (action, job.state) {
                (Action::Pause, JobState::Queued | JobState::Running | JobState::Elsewhere) => JobState::Paused,
                (Action::Resume, JobState::Paused | JobState::Elsewhere) => JobState::Queued,
                (Action::Retry, JobState::Failed | JobState::Stopped) => JobState::Queued,
                (_, state) => {
                    return Err(Problem::new(Code::State, format!("the job is {}", state.name())));
                }
            };
            (job.reason, job.tries) = (None, 0);
        }
        if let Some(after) = change.after {
            job.position = position(app, id, after)?;
        }
        settled(app, job)
    })
    .await
}

/// A place behind the job `after`, halfway to the next one.
fn position(app: &App, id: i64, after: i64) -> Result<f64, Problem> {
    let all: Vec<JobRow> = app.db.jobs().map_err(|e| app.problem(&e))?.into_iter().filter(|j| j.id != id).collect();
    let at = match after {
        0 => None,
        _ => Some(
            all.iter()
                .position(|j| j.id == after)
                .ok_or_else(|| Problem::value("after", format!("there is no job {after}")))?,
        ),
    };
    let next = at.map_or(0, |i| i + 1);
    let before = at.map(|i| all[i].position);
    Ok(match (before, all.get(next).map(|j| j.position)) {
        (Some(a), Some(b)) => 0.5 * (a + b),
        (Some(a), None) => a + 1.0,
        (None, Some(b)) => b - 1.0,
        (None, None) => 1.0,
    })
}

/// When to stop.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Within a step; the pictures in hand are dropped.
    Now,
    /// After the pictures in hand.
    Tile,
    /// After the whole job; then the queue rests.
    Batch,
}

/// How to stop.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    when: When,
}

/// Stops a job.
#[utoipa::path(post, path = "/api/jobs/{id}/stop", params(("id" = i64, Path)), request_body = Stop,
    responses((status = 202, body = Job), (status = 404), (status = 409)))]
pub async fn stop(
    State(app): State<Arc<App>>,
    Path(id): Path<i64>,
    Body(stop): Body<Stop>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    app.aside(move |app| {
        let mut job = found(app, id)?;
        if job.state.is_over() {
            return Err(Problem::new(Code::State, format!("the job is {}", job.state.name())));
        }
        match stop.when {
            When::Batch => app.bench.rest_after(Some(id)),
            When::Now | When::Tile => {
                (job.state, job.reason) = (JobState::Stopped, None);
                job.times.2 = Some(queue::now());
            }
        }
        let told = settled(app, job)?;
        if matches!(stop.when, When::Now) {
            app.bench.halt(id);
        }
        Ok((StatusCode::ACCEPTED, told))
    })
    .await
}

/// Takes a job out of the list; its folder stays.
#[utoipa::path(delete, path = "/api/jobs/{id}", params(("id" = i64, Path)), responses((status = 204), (status = 404), (status = 409)))]
pub async fn remove(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    app.aside(move |app| {
        let job = found(app, id)?;
        if job.state == JobState::Running {
            return Err(Problem::new(Code::State, "the job is running").hint("stop it first"));
        }
        let gone = app.db.drop_job(id).and_then(|()| app.hub.tell("queue", &serde_json::json!({ "gone": id })));
        gone.map_err(|e| app.problem(&e))?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
