//! All that a page needs to begin, or to begin again.

use crate::studio::app::App;
use crate::studio::bench::WorkerState;
use crate::studio::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The whole state.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Whole {
    /// Version of isoline.
    version: String,
    /// Number of the last event that this state includes.
    last_event: i64,
    /// The model to begin with.
    model: String,
    /// What makes pictures.
    worker: WorkerState,
    /// Whether batches rest.
    paused: bool,
    /// Room on the disk of the studio's folder, in bytes.
    disk: Room,
    /// Free memory, in bytes; `None` where the system does not say.
    memory: Option<u64>,
    /// Settings of the page.
    #[schema(value_type = Object)]
    settings: BTreeMap<String, serde_json::Value>,
}

/// Room on a disk.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Room {
    /// Bytes that may be written.
    free: u64,
    /// Bytes in all.
    total: u64,
}

/// Everything that a page shows when it is opened.
#[utoipa::path(get, path = "/api/state", responses((status = 200, body = Whole)))]
pub async fn state(State(app): State<Arc<App>>) -> Result<Json<Whole>, Problem> {
    app.aside(|app| {
        // The number comes first: what happens meanwhile is told again, which does no harm.
        let last_event = app.db.last_event().map_err(|e| app.problem(&e))?;
        let settings = app.db.settings().map_err(|e| app.problem(&e))?;
        let read = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
        let room = rustix::fs::statvfs(&app.root).ok();
        let disk = room.map_or(Room { free: 0, total: 0 }, |r| Room {
            free: r.f_bavail * r.f_frsize,
            total: r.f_blocks * r.f_frsize,
        });
        Ok(Json(Whole {
            version: env!("CARGO_PKG_VERSION").into(),
            last_event,
            model: app.model.clone(),
            worker: app.bench.worker(),
            paused: app.paused().map_err(|e| app.problem(&e))?,
            disk,
            memory: crate::memory::free(),
            settings: settings
                .iter()
                .filter(|s| s.0 != "paused")
                .map(|(key, text)| (key.clone(), read(text)))
                .collect(),
        }))
    })
    .await
}

/// Whether the server answers.
#[utoipa::path(get, path = "/api/health", responses((status = 200, body = String)))]
pub async fn health() -> &'static str {
    "ok"
}
