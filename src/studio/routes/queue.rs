//! What is to be done, and what not.

use super::taken::Body;
use crate::studio::app::App;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

/// What is to change; what is left out stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Ends what makes pictures, so that the device's memory is free. It starts again with the next picture that is wanted.
    free_memory: Option<bool>,
}

/// Changes what is done.
#[utoipa::path(post, path = "/api/queue", request_body = Change, responses((status = 204)))]
pub async fn change(State(app): State<Arc<App>>, Body(change): Body<Change>) -> StatusCode {
    if change.free_memory == Some(true) {
        app.bench.free();
    }
    StatusCode::NO_CONTENT
}
