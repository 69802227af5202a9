//! The models at hand.

use super::taken::{Asked, Body};
use crate::studio::app::App;
use crate::studio::looks::Subject;
use crate::studio::models::{self, ModelInfo, Spread};
use crate::studio::problem::Problem;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

/// Which of a model's rewards.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Name of the reward; without one, the model's own.
    reward: Option<String>,
}

impl Which {
    /// The subject that is meant.
    fn of(self, model: String) -> Result<Subject, Problem> {
        let reward = self.reward.filter(|r| !r.is_empty());
        reward.as_deref().map_or(Ok(()), crate::store::check_id).map_err(|rule| Problem::value("reward", rule))?;
        Ok(Subject { model, reward })
    }
}

/// Every model that makes pictures.
#[utoipa::path(get, path = "/api/models", responses((status = 200, body = Vec<ModelInfo>)))]
pub async fn models(State(app): State<Arc<App>>) -> Result<Json<Vec<ModelInfo>>, Problem> {
    app.aside(|app| Ok(Json(models::list(app)))).await
}

/// How the values of a model's own pictures are distributed: what its slider means.
#[utoipa::path(get, path = "/api/models/{id}/spread", params(("id" = String, Path), ("reward" = Option<String>, Query)),
    responses((status = 200, body = Spread), (status = 404)))]
pub async fn spread(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Asked(which): Asked<Which>,
) -> Result<Json<Spread>, Problem> {
    let subject = which.of(id)?;
    app.aside(move |app| models::spread(app, &subject).map(Json)).await
}

/// Loads a model; the event `models` says when it is there, or why it is not.
#[utoipa::path(post, path = "/api/models/{id}/load", params(("id" = String, Path)), request_body = Which,
    responses((status = 202), (status = 404)))]
pub async fn load(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Body(which): Body<Which>,
) -> Result<StatusCode, Problem> {
    let subject = which.of(id)?;
    app.aside(move |app| {
        models::place(app, &subject.model)?;
        app.bench.load(subject);
        Ok(StatusCode::ACCEPTED)
    })
    .await
}
