//! The routes, a file for each topic. A route and its description in `/api/openapi.json` are one function.

mod events;
mod exports;
mod gallery;
mod jobs;
mod looks;
mod metrics;
mod models;
mod page;
mod pictures;
mod queue;
mod recipes;
mod session;
mod settings;
mod state;
mod taken;
mod taste;

use super::app::App;
use crate::limits;
use axum::extract::DefaultBodyLimit;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Every route.
pub fn all() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(page::routes())
        .routes(routes!(state::state))
        .routes(routes!(state::health))
        .routes(routes!(metrics::metrics))
        .routes(routes!(events::events))
        .routes(routes!(session::session))
        .routes(routes!(settings::change))
        .routes(routes!(models::models))
        .routes(routes!(models::spread))
        .routes(routes!(models::load))
        .routes(routes!(looks::look))
        .routes(routes!(looks::leave))
        .routes(routes!(queue::change))
        .routes(routes!(jobs::jobs, jobs::enqueue))
        .routes(routes!(jobs::job, jobs::change, jobs::remove))
        .routes(routes!(jobs::stop))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(gallery::pictures, gallery::mark))
                .routes(routes!(exports::export))
                .layer(DefaultBodyLimit::max(limits::MARKS_BYTES)),
        )
        .routes(routes!(gallery::runs))
        .routes(routes!(gallery::keep_one))
        .routes(routes!(gallery::undo))
        .merge(OpenApiRouter::new().routes(routes!(recipes::read)).layer(DefaultBodyLimit::max(limits::DROPPED_BYTES)))
        .routes(routes!(pictures::picture))
        .routes(routes!(pictures::file))
        .routes(routes!(pictures::check))
        .routes(routes!(pictures::measure))
        .routes(routes!(exports::file))
        .routes(routes!(taste::learnt, taste::forget))
        .routes(routes!(taste::pair))
        .routes(routes!(taste::choose, taste::export))
        .routes(routes!(taste::take_back))
        .routes(routes!(taste::order))
}
