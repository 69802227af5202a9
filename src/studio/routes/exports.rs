//! Chosen pictures in one file, to be saved.

use super::pictures::in_run;
use super::taken::Body;
use crate::acts::generate::{SampleRow, samples_table};
use crate::limits;
use crate::studio::app::App;
use crate::studio::problem::{Code, Problem};
use crate::studio::shelf::is_id;
use crate::table::write_csv;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::io::{Cursor, Write};
use std::sync::Arc;

/// As what.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum As {
    /// The pictures, and their table as CSV.
    Zip,
    /// The table alone.
    Csv,
    /// A line of JSON for each picture.
    Jsonl,
}

/// Which pictures, and as what.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// From 1 to 5,000 pictures of the runs.
    ids: Vec<String>,
    #[serde(rename = "as")]
    kind: As,
}

/// The file that was made.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Made {
    /// Its name, for `GET /api/exports/{export}`.
    export: String,
    /// Its length.
    bytes: usize,
    /// Pictures that are not in it, since their files are not what their records say.
    left_out: usize,
}

/// Exports that are kept; the oldest go first.
const KEPT: usize = 8;

/// Puts pictures into one file.
#[utoipa::path(post, path = "/api/exports", request_body = Wanted, responses((status = 201, body = Made), (status = 404), (status = 422)))]
pub async fn export(
    State(app): State<Arc<App>>,
    Body(wanted): Body<Wanted>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    if !(1..=limits::MARKED).contains(&wanted.ids.len()) || !wanted.ids.iter().all(|id| is_id(id)) {
        return Err(Problem::value("ids", format!("expected the ids of 1 to {} pictures", limits::MARKED)));
    }
    app.aside(move |app| {
        let fail = |e| app.problem(&e);
        let mut rows: Vec<(String, SampleRow, Option<String>)> = Vec::new();
        let mut named = std::collections::BTreeSet::new();
        for id in wanted.ids.iter().filter(|id| named.insert(*id)) {
            let unknown = || Problem::new(Code::Unknown, format!("{id} is in no run; keep it first"));
            let found = app.db.picture(id).map_err(fail)?.ok_or_else(unknown)?;
            let file = app.db.places(id).map_err(fail)?.into_iter().find_map(|p| p.1);
            rows.push((id.clone(), found.row, file));
        }
        let named: Vec<(&str, &SampleRow)> = rows.iter().map(|r| (r.0.as_str(), &r.1)).collect();
        let mut left_out = 0;
        let (bytes, kind) = match wanted.kind {
            As::Csv => (write_csv(&samples_table(&named).map_err(fail)?).into_bytes(), "csv"),
            As::Jsonl => {
                let line = |(id, row, _): &(String, SampleRow, Option<String>)| {
                    format!("{}\n", serde_json::json!({ "id": id, "sample": row }))
                };
                (rows.iter().map(line).collect::<String>().into_bytes(), "jsonl")
            }
            As::Zip => {
                let table = write_csv(&samples_table(&named).map_err(fail)?);
                let mut files = vec![("samples.csv".to_owned(), table.into_bytes())];
                for (id, row, file) in &rows {
                    let png = match (file, &row.sha256) {
                        (Some(file), Some(sha256)) => in_run(app, file, sha256).ok().flatten(),
                        _ => None,
                    };
                    match png {
                        Some(png) => files.push((format!("{id}.png"), png)),
                        None => left_out += 1,
                    }
                }
                (zipped(&files).map_err(|e| Problem::new(Code::Bug, e.to_string()))?, "zip")
            }
        };
        let folder = app.root.join(".studio/exports");
        let name = format!("{}.{kind}", &crate::store::sha256_hex(&bytes)[..16]);
        crate::store::write_atomic(&folder.join(&name), &bytes).map_err(fail)?;
        forget(&folder, &name);
        Ok((StatusCode::CREATED, Json(Made { export: name, bytes: bytes.len(), left_out })))
    })
    .await
}

/// Files as a zip archive; pictures are packed already.
fn zipped(files: &[(String, Vec<u8>)]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name, zip::write::SimpleFileOptions::default())?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Removes all but the last exports.
fn forget(folder: &std::path::Path, newest: &str) {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.file_name() != *newest)
        .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
        .collect();
    all.sort();
    let surplus = (all.len() + 1).saturating_sub(KEPT);
    for (_, path) in all.into_iter().take(surplus) {
        let _ = std::fs::remove_file(path);
    }
}

/// A file that was made, to be saved.
#[utoipa::path(get, path = "/api/exports/{export}", params(("export" = String, Path)),
    responses((status = 200, body = Vec<u8>), (status = 404)))]
pub async fn file(State(app): State<Arc<App>>, Path(export): Path<String>) -> Result<Response, Problem> {
    app.aside(move |app| {
        let unknown = || Problem::new(Code::Unknown, "there is no such export");
        let (stem, kind) = export.split_once('.').ok_or_else(unknown)?;
        let types = [("zip", "application/zip"), ("csv", "text/csv; charset=utf-8"), ("jsonl", "application/jsonl")];
        let kind = types.iter().find(|t| t.0 == kind).ok_or_else(unknown)?.1;
        if stem.len() != 16 || !stem.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let bytes = std::fs::read(app.root.join(".studio/exports").join(&export)).map_err(|_| unknown())?;
        let name = format!("attachment; filename=\"isoline-{export}\"");
        Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)], bytes).into_response())
    })
    .await
}
