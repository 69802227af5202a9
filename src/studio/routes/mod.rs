//! The routes, a file for each topic. A route and its description in `/api/openapi.json` are one function.

mod events;
mod looks;
mod models;
mod page;
mod pictures;
mod queue;
mod session;
mod settings;
mod state;
mod taken;

use super::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Every route.
pub fn all() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(page::routes())
        .routes(routes!(state::state))
        .routes(routes!(state::health))
        .routes(routes!(events::events))
        .routes(routes!(session::session))
        .routes(routes!(settings::change))
        .routes(routes!(models::models))
        .routes(routes!(models::spread))
        .routes(routes!(models::load))
        .routes(routes!(looks::look))
        .routes(routes!(looks::leave))
        .routes(routes!(queue::change))
        .routes(routes!(pictures::picture))
        .routes(routes!(pictures::file))
}
