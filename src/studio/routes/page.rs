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
    OpenApiRouter::new().route("/", get(|headers: HeaderMap| async move { asset("index.html", &headers) })).route(
        "/page/{name}",
        get(|Path(name): Path<String>, headers: HeaderMap| async move { asset(&name, &headers) }),
    )
}

fn asset(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    assets::answer(name, headers).ok_or_else(|| Problem::new(Code::Unknown, "the page has no such part"))
}
