//! Handing in the token of a studio that listens on more than this machine.

use super::taken::Body;
use crate::studio::app::App;
use crate::studio::problem::Problem;
use crate::studio::token::COOKIE;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use std::sync::Arc;

/// The token, as the address that the studio printed has it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The token.
    token: String,
}

/// Trades the token for a cookie.
#[utoipa::path(post, path = "/api/session", request_body = Session, responses((status = 204), (status = 401), (status = 429)))]
pub async fn session(State(app): State<Arc<App>>, Body(session): Body<Session>) -> Result<impl IntoResponse, Problem> {
    let Some(token) = &app.guard.token else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    token.compare(&session.token)?;
    let cookie = format!("{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/", session.token);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}
