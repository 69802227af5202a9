//! What happens, as it happens.

use super::taken::Asked;
use crate::studio::app::App;
use crate::studio::problem::{Code, Problem};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Deserialize;
use std::sync::Arc;

/// Where to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// Number of the last event that the page knows; the header Last-Event-ID goes first.
    after: Option<i64>,
}

/// Server-sent events: those after Last-Event-ID first, in order, then each as it happens. `reset` says that some are gone.
#[utoipa::path(get, path = "/api/events", params(("after" = Option<i64>, Query)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 503)))]
pub async fn events(
    State(app): State<Arc<App>>,
    Asked(from): Asked<From>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let again = match headers.get("last-event-id").map(|v| v.to_str().ok().and_then(|v| v.parse().ok())) {
        None => None,
        Some(Some(last)) => Some(last),
        Some(None) => return Err(Problem::new(Code::BadRequest, "Last-Event-ID: expected the number of an event")),
    };
    app.aside(move |app| app.hub.stream(again.or(from.after))).await
}
