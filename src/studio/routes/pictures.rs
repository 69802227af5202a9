//! Single pictures: those of the runs, and those that were only looked at.

use super::taken::Asked;
use crate::acts::generate::{PictureRecipe, SampleRow};
use crate::studio::app::App;
use crate::studio::assets::{FOR_GOOD, tagged};
use crate::studio::bench::{Again, Measure};
use crate::studio::keep::planned;
use crate::studio::problem::{Code, Problem};
use crate::studio::shelf::is_id;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// What is known of a picture.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Known {
    /// Its id.
    id: String,
    /// Its model, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Its reward, where it is not the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<String>,
    /// The seed that it is a variation of, if it is one; then its own seed is its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    varied: Option<String>,
    /// Its row, as a record has it.
    #[schema(value_type = Object)]
    row: SampleRow,
    /// Whether it has a star.
    star: bool,
    /// Whether it is among those that were kept.
    kept: bool,
    /// Whether it is in the bin.
    binned: bool,
    /// What people say it shows.
    alt: String,
    /// Its tags.
    tags: Vec<String>,
    /// The runs that hold it, with its file below the studio's folder.
    #[schema(value_type = Vec<(String, Option<String>)>)]
    places: Vec<(String, Option<String>)>,
    /// The recipe that it was made by, where it is known, as TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<String>,
    /// The command that makes it again, typed in the folder above the studio's.
    command: String,
}

fn unknown(id: &str) -> Problem {
    match is_id(id) {
        true => Problem::new(Code::Evicted, "this picture is not here any more")
            .hint("look at it again, and it is made again"),
        false => Problem::new(Code::Unknown, "no picture has such a name"),
    }
}

/// The row of a picture, and its file.
fn row(app: &App, id: &str) -> Result<(SampleRow, Option<String>), Problem> {
    if let Some(row) = app.shelf.row(id) {
        return Ok((row, None));
    }
    let fail = |e| app.problem(&e);
    let found = app.db.picture(id).map_err(fail)?.ok_or_else(|| unknown(id))?;
    let file = app.db.places(id).map_err(fail)?.into_iter().find_map(|p| p.1);
    Ok((found.row, file))
}

/// Everything that is known of a picture.
#[utoipa::path(get, path = "/api/pictures/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Known), (status = 404), (status = 410)))]
pub async fn picture(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Known>, Problem> {
    app.aside(move |app| {
        let fail = |e| app.problem(&e);
        if !is_id(&id) {
            return Err(unknown(&id));
        }
        let (row, file) = row(app, &id)?;
        let marks = app.db.marks(&id).map_err(fail)?;
        let found = app.db.picture(&id).map_err(fail)?;
        let run_id = id.split('-').next().unwrap_or_default();
        // A plan that cannot be read says nothing of the recipe, and the picture is shown all the same.
        let made = app.recipe(run_id).or_else(|| planned(app, &id, run_id).ok().flatten());
        let model = made.as_ref().map(|m| m.0.clone()).or(found.as_ref().map(|f| f.model.clone()));
        let reward = made.as_ref().and_then(|m| m.1.reward.clone());
        let varied = made.as_ref().and_then(|m| m.1.vary.as_ref()).map(|v| v.seed.to_string());
        let recipe = made.and_then(|m| m.1.text().ok());
        let root = app.root.file_name().map_or("runs".into(), |n| n.to_string_lossy());
        let command = match (&file, &model) {
            (Some(file), _) => format!("isoline generate --from {root}/{file}"),
            (None, _) if varied.is_some() => "isoline generate --from FILE, with the saved picture".to_owned(),
            (None, model) => {
                let level = row.novelty_asked.map_or("--mode balanced".to_owned(), |n| format!("--novelty {n}"));
                format!("isoline generate -m {} {level} --seeds {}", model.as_deref().unwrap_or("MODEL"), row.seed)
            }
        };
        Ok(Json(Known {
            kept: found.is_some_and(|f| f.kept),
            model,
            reward,
            varied,
            row,
            star: marks.star,
            binned: marks.binned,
            alt: marks.alt,
            tags: marks.tags.into_iter().collect(),
            places: app.db.places(&id).map_err(fail)?,
            recipe,
            command,
            id,
        }))
    })
    .await
}

/// Makes a picture again by the recipe inside it. The event `checked` says whether it is the same.
#[utoipa::path(post, path = "/api/pictures/{id}/check", params(("id" = String, Path)),
    responses((status = 202), (status = 404), (status = 410)))]
pub async fn check(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    app.aside(move |app| {
        if !is_id(&id) {
            return Err(unknown(&id));
        }
        let (row, file) = row(app, &id)?;
        let file = match file {
            Some(file) => inside(app, &file),
            None => app.shelf.file(&id),
        };
        let file = file.filter(|_| row.sha256.is_some()).ok_or_else(|| unknown(&id))?;
        app.bench.again(Again { id, file });
        Ok(StatusCode::ACCEPTED)
    })
    .await
}

/// How a picture is to be measured.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exactly {
    /// Whether along all directions, however long that takes; else by the estimator that suits the model.
    #[serde(default)]
    exact: bool,
}

/// Measures the geometry at a picture: every descriptor and the singular values. The event `measured` has them.
#[utoipa::path(post, path = "/api/pictures/{id}/measure",
    params(("id" = String, Path), ("exact" = Option<bool>, Query)),
    responses((status = 202), (status = 404), (status = 410)))]
pub async fn measure(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Asked(Exactly { exact }): Asked<Exactly>,
) -> Result<StatusCode, Problem> {
    app.aside(move |app| {
        let (run_id, seed) = id.split_once('-').filter(|_| is_id(&id)).ok_or_else(|| unknown(&id))?;
        let seed = seed.parse().map_err(|_| unknown(&id))?;
        let made = match app.recipe(run_id) {
            Some(made) => Some(made),
            None => planned(app, &id, run_id).map_err(|e| app.problem(&e))?,
        };
        let (model, recipe) = made.ok_or_else(|| unknown(&id))?;
        let own = Box::new(PictureRecipe { schema: 1, seed, recipe });
        app.bench.measure(Measure { id, model, own, exact });
        Ok(StatusCode::ACCEPTED)
    })
    .await
}

/// How a file is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// The first digits of its SHA-256: with them, the browser may keep it for good.
    v: Option<String>,
    /// Whether it is to be saved rather than shown.
    #[serde(default)]
    save: bool,
}

/// The file of a picture, byte for byte the one that a run of the same recipe writes.
#[utoipa::path(get, path = "/api/pictures/{id}/file",
    params(("id" = String, Path), ("v" = Option<String>, Query), ("save" = Option<bool>, Query)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>), (status = 404), (status = 410)))]
pub async fn file(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Asked(how): Asked<How>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.aside(move |app| {
        if !is_id(&id) {
            return Err(unknown(&id));
        }
        let (row, file) = row(app, &id)?;
        let none = || Problem::new(Code::Unknown, "a value was not finite, so there is no picture");
        let sha256 = row.sha256.ok_or_else(none)?;
        let fixed = how.v.is_some_and(|v| v.len() >= 8 && sha256.starts_with(&v));
        let keep = if fixed { FOR_GOOD } else { "no-cache" };
        let png = match file {
            Some(file) => in_run(app, &file, &sha256)?,
            None => app.shelf.png(&id).map_err(|e| app.problem(&e))?,
        };
        let png = png.ok_or_else(|| unknown(&id))?;
        let whole = || ([(header::CONTENT_TYPE, "image/png")], png).into_response();
        let mut response = tagged(&format!("\"{sha256}\""), keep, &headers, whole);
        if let (true, Ok(name)) = (how.save, format!("attachment; filename=\"isoline-{id}.png\"").parse()) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
        }
        Ok(response)
    })
    .await
}

/// The file of a run, if it is what its record says: only what our encoder wrote is ever sent, and no link is followed out of the
/// studio's folder.
pub(super) fn in_run(app: &App, file: &str, sha256: &str) -> Result<Option<Vec<u8>>, Problem> {
    let Some(path) = inside(app, file) else { return Ok(None) };
    let bytes = crate::store::read_bounded(&path, crate::limits::PICTURE_BYTES).map_err(|e| app.problem(&e))?;
    match crate::store::sha256_hex(&bytes) == sha256 {
        true => Ok(Some(bytes)),
        false => Err(Problem::new(Code::State, "the file has changed since it was recorded")
            .hint("isoline resume makes it again")),
    }
}

/// The path of a plain file inside the studio's folder.
fn inside(app: &App, file: &str) -> Option<PathBuf> {
    let path = app.root.join(file);
    let is_inside = path.canonicalize().is_ok_and(|p| p.starts_with(&app.root));
    (is_inside && path.symlink_metadata().is_ok_and(|m| m.is_file())).then_some(path)
}
