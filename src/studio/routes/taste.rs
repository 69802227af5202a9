//! Choices between two pictures, and what was learnt from them.

use super::pictures::in_run;
use super::taken::{Asked, Body};
use crate::acts::generate::SampleRow;
use crate::limits;
use crate::studio::app::App;
use crate::studio::looks::Subject;
use crate::studio::problem::{Code, Problem};
use crate::studio::queue::now;
use crate::studio::shelf::is_id;
use crate::studio::taste::{Answer, Chosen, Difference, FIRST, Learnt, Shown, Traits};
use crate::studio::worker::talk::Loaded;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a request may measure pictures.
const MEASURING: Duration = Duration::from_secs(15);

/// Whose pictures.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Whose {
    /// Name of the model.
    model: String,
    /// Name of the reward, where it is not the model's own.
    #[serde(default)]
    reward: Option<String>,
}

/// A model that the worker has loaded.
fn loaded(app: &App, model: &str, reward: Option<&String>) -> Result<(Subject, Arc<Loaded>), Problem> {
    let subject = Subject { model: model.to_owned(), reward: reward.filter(|r| !r.is_empty()).cloned() };
    match app.models.loaded(&subject) {
        Some(loaded) => Ok((subject, loaded)),
        None => Err(Problem::new(Code::State, format!("\"{model}\" is not loaded")).hint("load it first")),
    }
}

/// What was learnt of a person's taste in the pictures of a model.
#[utoipa::path(get, path = "/api/taste", params(("model" = String, Query), ("reward" = Option<String>, Query)),
    responses((status = 200, body = Learnt), (status = 409)))]
pub async fn learnt(State(app): State<Arc<App>>, Asked(of): Asked<Whose>) -> Result<Json<Learnt>, Problem> {
    app.aside(move |app| {
        let (subject, loaded) = loaded(app, &of.model, of.reward.as_ref())?;
        app.taste.learnt(app, &subject, &loaded).map(Json).map_err(|e| app.problem(&e))
    })
    .await
}

/// Two pictures to choose from, or how many are still to be made before there are any.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Next {
    /// A pair.
    Pair {
        /// How many were asked about before it.
        number: u64,
        /// The left picture.
        left: Shown,
        /// The right one.
        right: Shown,
        /// How they differ, the largest difference first.
        differences: Vec<Difference>,
    },
    /// Not yet.
    Waiting {
        /// Pictures that are there.
        made: usize,
        /// Pictures that must be there.
        needed: usize,
    },
}

/// The next pair. Asking for one lets more pictures of the model be made to choose from.
#[utoipa::path(post, path = "/api/taste/pairs", request_body = Whose, responses((status = 200, body = Next), (status = 409)))]
pub async fn pair(State(app): State<Arc<App>>, Body(of): Body<Whose>) -> Result<Json<Next>, Problem> {
    app.aside(move |app| {
        let (subject, loaded) = loaded(app, &of.model, of.reward.as_ref())?;
        let asked = app.taste.pair(app, &subject, &loaded).map_err(|e| app.problem(&e))?;
        app.bench.wake();
        Ok(Json(match asked {
            Ok(asked) => Next::Pair {
                number: asked.number,
                left: asked.left,
                right: asked.right,
                differences: asked.differences,
            },
            Err(made) => Next::Waiting { made, needed: FIRST },
        }))
    })
    .await
}

/// An answer.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Name of the model.
    model: String,
    /// Name of the reward, where it is not the model's own.
    #[serde(default)]
    reward: Option<String>,
    /// Id of the left picture.
    left: String,
    /// Id of the right picture.
    right: String,
    /// The choice.
    answer: Answer,
}

/// Answers the pair that is asked about. Once it is answered, the choice is on the disk.
#[utoipa::path(post, path = "/api/taste/choices", request_body = Given,
    responses((status = 201), (status = 409), (status = 422)))]
pub async fn choose(State(app): State<Arc<App>>, Body(given): Body<Given>) -> Result<StatusCode, Problem> {
    app.aside(move |app| {
        let (subject, loaded) = loaded(app, &given.model, given.reward.as_ref())?;
        let fail = |e| app.problem(&e);
        // Two tabs that answer at once: the second finds another pair.
        let _one = app.choosing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let asked = app.taste.pair(app, &subject, &loaded).map_err(fail)?.ok();
        let asked = asked.filter(|a| (&a.left.id, &a.right.id) == (&given.left, &given.right));
        let Some(asked) = asked else {
            return Err(Problem::new(Code::State, "this pair has been answered already").hint("ask for the next one"));
        };
        let chosen = Chosen {
            model: subject.model,
            left: given.left,
            right: given.right,
            answer: given.answer,
            check: asked.check,
            at: now(),
        };
        app.journal.choose(&app.db, &chosen).map_err(fail)?;
        app.hub.tell("taste", &serde_json::json!({ "model": chosen.model })).map_err(fail)?;
        Ok(StatusCode::CREATED)
    })
    .await
}

/// Takes the last choice about a model's pictures back.
#[utoipa::path(delete, path = "/api/taste/choices/last", params(("model" = String, Query), ("reward" = Option<String>, Query)),
    responses((status = 204), (status = 404), (status = 409)))]
pub async fn take_back(State(app): State<Arc<App>>, Asked(of): Asked<Whose>) -> Result<StatusCode, Problem> {
    app.aside(move |app| {
        let fail = |e| app.problem(&e);
        let (_, loaded) = loaded(app, &of.model, of.reward.as_ref())?;
        let run = loaded.templates.plain.run_id().map_err(fail)?;
        let _one = app.choosing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The last one may be about another version of the model, where nobody here chose it.
        if !app.db.choices(&of.model).map_err(fail)?.last().is_some_and(|c| c.1.left.starts_with(&run)) {
            return Err(Problem::new(Code::Unknown, "there is no choice to take back"));
        }
        app.journal.unchoose(&app.db, &of.model).map_err(fail)?;
        app.hub.tell("taste", &serde_json::json!({ "model": of.model })).map_err(fail)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Forgets every choice about a model's pictures. It cannot be taken back.
#[utoipa::path(delete, path = "/api/taste", params(("model" = String, Query), ("reward" = Option<String>, Query)),
    responses((status = 204)))]
pub async fn forget(State(app): State<Arc<App>>, Asked(of): Asked<Whose>) -> Result<StatusCode, Problem> {
    app.aside(move |app| {
        let fail = |e| app.problem(&e);
        let _one = app.choosing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        app.journal.forget_choices(&app.db, &of.model).map_err(fail)?;
        app.hub.tell("taste", &serde_json::json!({ "model": of.model })).map_err(fail)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Every choice about a model's pictures, a line of JSON each.
#[utoipa::path(get, path = "/api/taste/choices", params(("model" = String, Query), ("reward" = Option<String>, Query)),
    responses((status = 200, body = String, content_type = "application/jsonl")))]
pub async fn export(State(app): State<Arc<App>>, Asked(of): Asked<Whose>) -> Result<Response, Problem> {
    app.aside(move |app| {
        let all = app.db.choices(&of.model).map_err(|e| app.problem(&e))?;
        let line = |c: &(i64, Chosen)| serde_json::to_string(&c.1).map(|text| text + "\n");
        let text: String =
            all.iter().map(line).collect::<Result<_, _>>().map_err(|e| Problem::new(Code::Bug, e.to_string()))?;
        let headers = [
            (header::CONTENT_TYPE, "application/jsonl"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"isoline-choices.jsonl\""),
        ];
        Ok((headers, text).into_response())
    })
    .await
}

/// Pictures to put in order.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unordered {
    /// Name of the model.
    model: String,
    /// Name of the reward, where it is not the model's own.
    #[serde(default)]
    reward: Option<String>,
    /// Ids of pictures.
    ids: Vec<String>,
}

/// Pictures in order.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Ordered {
    /// Their ids, the one liked most first. What is not here, and everything while nothing is learnt, is left out.
    ids: Vec<String>,
}

/// Puts pictures that were looked at in the order of what was learnt.
#[utoipa::path(post, path = "/api/taste/order", request_body = Unordered,
    responses((status = 200, body = Ordered), (status = 409), (status = 422)))]
pub async fn order(State(app): State<Arc<App>>, Body(given): Body<Unordered>) -> Result<Json<Ordered>, Problem> {
    if given.ids.len() > limits::LOOK_SEEDS + 1 || !given.ids.iter().all(|id| is_id(id)) {
        return Err(Problem::value("ids", format!("expected the ids of at most {} pictures", limits::LOOK_SEEDS + 1)));
    }
    app.aside(move |app| {
        let (subject, loaded) = loaded(app, &given.model, given.reward.as_ref())?;
        let pictures = measured(app, &given.ids)?;
        let worths = app.taste.worths(app, &subject, &loaded, &pictures).map_err(|e| app.problem(&e))?;
        let mut known: Vec<(f64, &String)> =
            worths.into_iter().zip(&given.ids).filter_map(|(w, id)| Some((w?, id))).collect();
        known.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(Json(Ordered { ids: known.into_iter().map(|k| k.1.clone()).collect() }))
    })
    .await
}

/// What pictures are like, wherever they lie. What was not measured before is measured now and kept.
///
/// # Errors
/// 409 where that takes too long for one request; the next one goes on.
fn measured(app: &App, ids: &[String]) -> Result<Vec<Option<Traits>>, Problem> {
    let fail = |e| app.problem(&e);
    let began = Instant::now();
    let (mut all, mut fresh) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        if let Some(kept) = app.db.traits(id).map_err(fail)? {
            all.push(kept.2);
            continue;
        }
        if began.elapsed() > MEASURING {
            app.db.keep_traits(&fresh).map_err(fail)?;
            let detail = format!("the pictures are being measured: {} of {} so far", all.len(), ids.len());
            return Err(Problem::new(Code::Busy, detail).hint("ask again"));
        }
        let found = picture(app, id)?.and_then(|(png, row)| {
            let sha8 = row.sha256.as_ref().map_or(String::new(), |s| format!("{s:.8}"));
            Some((sha8, Traits::of(&png, &row).ok()?))
        });
        all.push(found.as_ref().map(|f| f.1.clone()));
        fresh.extend(found.map(|(sha8, measured)| (id.clone(), sha8, Some(measured))));
    }
    app.db.keep_traits(&fresh).map_err(fail)?;
    Ok(all)
}

/// The file of a picture and its row, wherever they lie.
fn picture(app: &App, id: &str) -> Result<Option<(Vec<u8>, SampleRow)>, Problem> {
    let fail = |e| app.problem(&e);
    if let Some((row, png)) = app.shelf.row(id).zip(app.shelf.png(id).map_err(fail)?) {
        return Ok(Some((png, row)));
    }
    let Some(found) = app.db.picture(id).map_err(fail)? else { return Ok(None) };
    let file = app.db.places(id).map_err(fail)?.into_iter().find_map(|p| p.1);
    let png = match (file, &found.row.sha256) {
        (Some(file), Some(sha256)) => in_run(app, &file, sha256).ok().flatten(),
        _ => None,
    };
    Ok(png.map(|png| (png, found.row)))
}

/// Notes how much every picture of a model is liked, so that lists can be in that order.
///
/// # Errors
/// 409 for a model that is not loaded, or while nothing is learnt.
pub fn note_worths(app: &App, model: &str, reward: Option<&String>) -> Result<(), Problem> {
    let (subject, loaded) = loaded(app, model, reward)?;
    let ids = app.db.pictures_of(model).map_err(|e| app.problem(&e))?;
    let pictures = measured(app, &ids)?;
    let worths = app.taste.worths(app, &subject, &loaded, &pictures).map_err(|e| app.problem(&e))?;
    if !ids.is_empty() && worths.iter().all(Option::is_none) {
        let detail = format!("your taste in pictures of {model} is not known yet");
        return Err(Problem::new(Code::State, detail).hint("choose between pairs in Taste first"));
    }
    let all: Vec<(&str, Option<f64>)> = ids.iter().map(String::as_str).zip(worths).collect();
    app.db.keep_worths(model, &all).map_err(|e| app.problem(&e))
}
