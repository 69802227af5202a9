//! Settings of the page.

use super::taken::Body;
use crate::studio::app::App;
use crate::studio::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Light or dark.
#[derive(Clone, Copy, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the system says.
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// How small pictures are enlarged.
#[derive(Clone, Copy, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pixels {
    /// Every pixel a square.
    Sharp,
    /// Interpolated.
    Smooth,
}

/// Settings to change; what is left out stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    theme: Option<Theme>,
    pixels: Option<Pixels>,
    /// Whether single keys act.
    keys: Option<bool>,
    /// How much taste counts, 0 to 100: how many seeds the best are chosen from.
    weight: Option<u8>,
    /// Key of each action that has another than its usual one.
    remap: Option<BTreeMap<String, String>>,
}

/// Keys that may be given to others.
const REMAPPED: usize = 32;

/// Keeps settings.
#[utoipa::path(patch, path = "/api/settings", request_body = Change, responses((status = 204), (status = 422)))]
pub async fn change(State(app): State<Arc<App>>, Body(change): Body<Change>) -> Result<StatusCode, Problem> {
    let long = |(action, key): (&String, &String)| action.len() > 32 || key.chars().count() != 1;
    if change.remap.as_ref().is_some_and(|all| all.len() > REMAPPED || all.iter().any(long)) {
        return Err(Problem::value(
            "remap",
            format!("expected at most {REMAPPED} actions with a key of one character each"),
        ));
    }
    if change.weight.is_some_and(|w| w > 100) {
        return Err(Problem::value("weight", "expected a whole number from 0 to 100"));
    }
    let text = |value: Option<serde_json::Value>| value.map(|v| v.to_string());
    let all = [
        ("theme", text(change.theme.map(|v| serde_json::json!(v)))),
        ("pixels", text(change.pixels.map(|v| serde_json::json!(v)))),
        ("keys", text(change.keys.map(|v| serde_json::json!(v)))),
        ("weight", text(change.weight.map(|v| serde_json::json!(v)))),
        ("remap", text(change.remap.map(|v| serde_json::json!(v)))),
    ];
    let given: Vec<(&str, String)> = all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    app.aside(move |app| app.db.keep_settings(&given).map_err(|e| app.problem(&e))).await?;
    Ok(StatusCode::NO_CONTENT)
}
