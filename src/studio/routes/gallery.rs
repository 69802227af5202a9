//! Every picture below the studio's folder: lists, marks, keeping.

use super::taken::{Asked, Body};
use super::taste::note_worths;
use crate::limits;
use crate::studio::app::App;
use crate::studio::bench::Keep;
use crate::studio::db::{Change, Filter, Found, RunRow, Sorting, place};
use crate::studio::keep::keep;
use crate::studio::pictures::Picture;
use crate::studio::problem::{Code, Problem};
use crate::studio::shelf::is_id;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which pictures, and in which order.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    q: Option<String>,
    model: Option<String>,
    reward: Option<String>,
    run: Option<String>,
    mark: Option<String>,
    from: Option<f64>,
    to: Option<f64>,
    sort: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A picture of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Item {
    /// Its id.
    id: String,
    /// Its model.
    model: String,
    /// What is known of it.
    #[serde(flatten)]
    picture: Picture,
    /// Whether it was kept.
    kept: bool,
    /// Whether it has a star.
    star: bool,
    /// What people say it shows.
    #[serde(skip_serializing_if = "String::is_empty")]
    alt: String,
}

impl Item {
    fn of(found: &Found) -> Self {
        Self {
            id: found.id.clone(),
            model: found.model.clone(),
            picture: Picture::of(&found.row),
            kept: found.kept,
            star: found.star,
            alt: found.alt.clone(),
        }
    }
}

/// A part of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub struct List {
    /// How many there are in all.
    total: u64,
    /// Some of them.
    items: Vec<Item>,
    /// What to give as `cursor` for those after them.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Marks that can be asked for.
const MARKS: [&str; 4] = ["kept", "starred", "flagged", "binned"];
/// Pictures of one answer.
const LIMIT: usize = 200;

/// Pictures, a part of them at a time.
#[utoipa::path(get, path = "/api/pictures", params(
    ("q" = Option<String>, Query), ("model" = Option<String>, Query), ("reward" = Option<String>, Query), ("run" = Option<String>, Query),
    ("mark" = Option<String>, Query), ("from" = Option<f64>, Query), ("to" = Option<f64>, Query),
    ("sort" = Option<String>, Query), ("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = List), (status = 400), (status = 422)))]
pub async fn pictures(State(app): State<Arc<App>>, Asked(query): Asked<Query>) -> Result<Json<List>, Problem> {
    let sorting = match query.sort.as_deref() {
        None | Some("level") => Sorting::Level,
        Some("newest") => Sorting::Newest,
        Some("seed") => Sorting::Seed,
        Some("taste") => Sorting::Taste,
        Some(_) => return Err(Problem::value("sort", "expected level, newest, seed or taste")),
    };
    if query.mark.as_ref().is_some_and(|m| !MARKS.contains(&m.as_str())) {
        return Err(Problem::value("mark", "expected kept, starred, flagged or binned"));
    }
    if sorting == Sorting::Taste && query.model.is_none() {
        return Err(Problem::value("sort", "taste is about the pictures of one model: give model as well"));
    }
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT).contains(&limit) {
        return Err(Problem::value("limit", format!("expected 1 to {LIMIT}, found {limit}")));
    }
    let after = query.cursor.as_deref().map(|c| parse(sorting, c)).transpose()?;
    let Query { q: text, model, reward, run, mark, from, to, .. } = query;
    let filter = Filter { text, model, run, mark, from, to };
    app.aside(move |app| {
        // The first part of a list says what the order of all its parts is.
        if let (Sorting::Taste, Some(model), None) = (sorting, &filter.model, &after) {
            note_worths(app, model, reward.as_ref())?;
        }
        let (total, found) = app.db.pictures(&filter, sorting, after, limit).map_err(|e| app.problem(&e))?;
        let next = found.last().filter(|_| found.len() == limit).map(|last| cursor(place(sorting, last)));
        Ok(Json(List { total, items: found.iter().map(Item::of).collect(), next }))
    })
    .await
}

/// A place in a list as text.
fn cursor((value, id): (Value, String)) -> String {
    let value = match value {
        Value::Real(v) => serde_json::json!(v),
        Value::Text(t) => serde_json::json!(t),
        _ => serde_json::Value::Null,
    };
    URL_SAFE_NO_PAD.encode(serde_json::json!([value, id]).to_string())
}

fn parse(sorting: Sorting, text: &str) -> Result<(Value, String), Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let read = bytes.and_then(|b| serde_json::from_slice::<(serde_json::Value, String)>(&b).ok());
    let value = match (&read, sorting) {
        (Some((v, _)), Sorting::Seed) => v.as_str().map(|s| Value::Text(s.to_owned())),
        (Some((v, _)), _) => v.as_f64().map(Value::Real),
        (None, _) => None,
    };
    let bad = || Problem {
        at: Some("cursor".into()),
        ..Problem::new(Code::BadQuery, "expected what an earlier answer gave as next")
    };
    value.zip(read.map(|r| r.1)).ok_or_else(bad)
}

/// A run folder as the page lists it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Run {
    /// Its path below the studio's folder.
    name: String,
    /// The act that it is of.
    kind: String,
    wanted: u64,
    done: u64,
    flagged: u64,
    /// Records that cannot be read; resuming the run makes them again.
    damaged: u64,
}

/// Every run folder.
#[utoipa::path(get, path = "/api/runs", responses((status = 200, body = Vec<Run>)))]
pub async fn runs(State(app): State<Arc<App>>) -> Result<Json<Vec<Run>>, Problem> {
    let run = |r: RunRow| Run {
        name: r.name,
        kind: r.kind,
        wanted: r.wanted,
        done: r.done,
        flagged: r.flagged,
        damaged: r.damaged,
    };
    app.aside(move |app| {
        let all = app.db.runs().map_err(|e| app.problem(&e))?;
        Ok(Json(all.into_iter().map(run).collect()))
    })
    .await
}

/// Which picture.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    id: String,
}

/// Where a picture is kept.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Kept {
    id: String,
    /// Its run folder.
    run: String,
}

/// Keeps a picture: it is made in the run folder of its recipe. The event `kept` says when it is there.
#[utoipa::path(post, path = "/api/keep", request_body = Which,
    responses((status = 201, body = Kept), (status = 200, body = Kept), (status = 404), (status = 410)))]
pub async fn keep_one(
    State(app): State<Arc<App>>,
    Body(Which { id }): Body<Which>,
) -> Result<(StatusCode, Json<Kept>), Problem> {
    if !is_id(&id) {
        return Err(Problem::new(Code::Unknown, "no picture has such a name"));
    }
    app.aside(move |app| {
        let kept = keep(app, &id)?;
        app.bench.keep(Keep { id: id.clone(), run: kept.run.clone() });
        let status = if kept.before { StatusCode::OK } else { StatusCode::CREATED };
        Ok((status, Json(Kept { id, run: kept.run })))
    })
    .await
}

/// A change of the marks of some pictures.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Marking {
    /// From 1 to 5,000 pictures.
    ids: Vec<String>,
    star: Option<bool>,
    binned: Option<bool>,
    alt: Option<String>,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

/// What was changed.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Marked {
    /// How many pictures.
    changed: usize,
    /// The number that takes it back.
    undo: u64,
}

/// Changes that can be taken back.
const UNDOS: usize = 50;

/// Changes the marks of pictures, all of them or none. Once it is answered it is on the disk.
#[utoipa::path(patch, path = "/api/pictures", request_body = Marking, responses((status = 200, body = Marked), (status = 422)))]
pub async fn mark(State(app): State<Arc<App>>, Body(marking): Body<Marking>) -> Result<Json<Marked>, Problem> {
    let Marking { ids, star, binned, alt, add, remove } = marking;
    if !(1..=limits::MARKED).contains(&ids.len()) || !ids.iter().all(|id| is_id(id)) {
        return Err(Problem::value("ids", format!("expected the ids of 1 to {} pictures", limits::MARKED)));
    }
    let long = |tag: &String| tag.trim().is_empty() || tag.chars().count() > 64;
    for (at, tags) in [("add", &add), ("remove", &remove)] {
        if tags.len() > 32 || tags.iter().any(long) {
            return Err(Problem::value(at, "expected at most 32 tags of 1 to 64 characters"));
        }
    }
    if alt.as_ref().is_some_and(|a| a.chars().count() > 500) {
        return Err(Problem::value("alt", "expected at most 500 characters"));
    }
    let change = Change { star, binned, alt, add, remove };
    app.aside(move |app| {
        let fail = |e| app.problem(&e);
        let before: Vec<_> = ids.iter().map(|id| app.db.marks(id)).collect::<Result<_, _>>().map_err(fail)?;
        app.journal.mark(&app.db, &[(ids.clone(), change)]).map_err(fail)?;
        let mut back = Vec::new();
        for (id, was) in ids.iter().zip(&before) {
            back.push((vec![id.clone()], was.since(&app.db.marks(id).map_err(fail)?)));
        }
        app.hub.tell("marks", &serde_json::json!({ "changed": ids.len() })).map_err(fail)?;
        let mut undos = app.undos.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        undos.last += 1;
        let undo = undos.last;
        undos.kept.push_back((undo, back));
        if undos.kept.len() > UNDOS {
            undos.kept.pop_front();
        }
        Ok(Json(Marked { changed: ids.len(), undo }))
    })
    .await
}

/// Takes a change of marks back.
#[utoipa::path(post, path = "/api/undo/{undo}", params(("undo" = u64, Path)), responses((status = 204), (status = 404)))]
pub async fn undo(State(app): State<Arc<App>>, Path(undo): Path<u64>) -> Result<StatusCode, Problem> {
    app.aside(move |app| {
        let back = {
            let mut undos = app.undos.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let at = undos.kept.iter().position(|u| u.0 == undo);
            at.and_then(|at| undos.kept.remove(at)).map(|u| u.1)
        };
        let back = back.ok_or_else(|| Problem::new(Code::Unknown, "this can no longer be taken back"))?;
        app.journal.mark(&app.db, &back).map_err(|e| app.problem(&e))?;
        app.hub.tell("marks", &serde_json::json!({ "changed": back.len() })).map_err(|e| app.problem(&e))?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
