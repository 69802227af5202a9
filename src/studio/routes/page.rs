//! The page itself.

use crate::studio::app::App;
use crate::studio::assets;
use crate::studio::problem::{Code, Problem};
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// The page and its parts. They are no part of the interface, so they are not described.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    let one =
        |Path(name): Path<String>, headers: HeaderMap| async move { there(assets::answer(None, &name, &headers)) };
    let kept = |Path((version, name)): Path<(String, String)>, headers: HeaderMap| async move {
        there(assets::answer(Some(&version), &name, &headers))
    };
    OpenApiRouter::new()
        .route("/", get(|headers: HeaderMap| async move { there(assets::page(&headers)) }))
        .route("/page/{name}", get(one))
        .route("/page/{version}/{name}", get(kept))
}

fn there(answer: Option<Response>) -> Result<Response, Problem> {
    answer.ok_or_else(|| Problem::new(Code::Unknown, "the page has no such part"))
}
