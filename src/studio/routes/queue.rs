//! The queue as a whole.

use super::taken::Body;
use crate::studio::app::App;
use crate::studio::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

/// What is to change; what is left out stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Whether batches rest. Looking goes on.
    paused: Option<bool>,
    /// Ends what makes pictures, so that the device's memory is free. It starts again with the next picture that is wanted.
    free_memory: Option<bool>,
}

/// Lets the queue rest or go on, or frees the device's memory.
#[utoipa::path(post, path = "/api/queue", request_body = Change, responses((status = 204)))]
pub async fn change(State(app): State<Arc<App>>, Body(change): Body<Change>) -> Result<StatusCode, Problem> {
    app.aside(move |app| {
        if let Some(paused) = change.paused {
            app.pause(paused).map_err(|e| app.problem(&e))?;
        }
        if change.free_memory == Some(true) {
            app.bench.free();
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
