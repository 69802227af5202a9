//! Single pictures.

use super::taken::Asked;
use crate::acts::generate::SampleRow;
use crate::studio::app::App;
use crate::studio::assets::tagged;
use crate::studio::problem::{Code, Problem};
use crate::studio::shelf::is_id;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is known of a picture.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Known {
    /// Its id.
    id: String,
    /// Its row, as a record has it.
    #[schema(value_type = Object)]
    row: SampleRow,
}

fn unknown(id: &str) -> Problem {
    match is_id(id) {
        true => Problem::new(Code::Evicted, "this picture is not here any more")
            .hint("look at it again, and it is made again"),
        false => Problem::new(Code::Unknown, "no picture has such a name"),
    }
}

/// Everything that is known of a picture.
#[utoipa::path(get, path = "/api/pictures/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Known), (status = 404), (status = 410)))]
pub async fn picture(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Known>, Problem> {
    match app.shelf.row(&id) {
        Some(row) => Ok(Json(Known { id, row })),
        None => Err(unknown(&id)),
    }
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
        let row = app.shelf.row(&id).ok_or_else(|| unknown(&id))?;
        let sha256 =
            row.sha256.ok_or_else(|| Problem::new(Code::Unknown, "a value was not finite, so there is no picture"))?;
        let fixed = how.v.is_some_and(|v| v.len() >= 8 && sha256.starts_with(&v));
        let keep = if fixed { "private, max-age=31536000, immutable" } else { "no-cache" };
        let png = app.shelf.png(&id).map_err(|e| app.problem(&e))?.ok_or_else(|| unknown(&id))?;
        let whole = || ([(header::CONTENT_TYPE, "image/png")], png).into_response();
        let mut response = tagged(&format!("\"{sha256}\""), keep, &headers, whole);
        if let (true, Ok(name)) = (how.save, format!("attachment; filename=\"isoline-{id}.png\"").parse()) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
        }
        Ok(response)
    })
    .await
}
