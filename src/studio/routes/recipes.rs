//! A picture that is dropped on the page: what does it say about itself?

use crate::acts::generate::{JobKeys, PictureRecipe};
use crate::generator::known_models;
use crate::render::png;
use crate::studio::app::App;
use crate::studio::models;
use crate::studio::problem::{Code, Problem};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// What a picture says about itself.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Said {
    /// Its seed.
    seed: String,
    /// The name of its model.
    model: String,
    /// Its reward, where it is not the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<String>,
    /// The novelty asked for.
    asked: Option<f64>,
    /// Whether that model is here: same, other (another of the same name) or absent.
    model_here: String,
    /// What the page would make otherwise.
    problems: Vec<String>,
}

/// Reads the recipe inside a picture. Nothing in it is run or loaded.
#[utoipa::path(post, path = "/api/recipes", request_body(content = Vec<u8>, content_type = "image/png"),
    responses((status = 200, body = Said), (status = 413), (status = 415), (status = 422)))]
pub async fn read(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Said>, Problem> {
    app.aside(move |app| {
        let place = Path::new("the picture");
        let text = png::decode_metadata_bytes(&body, place).map_err(|e| app.problem(&e))?;
        let own = PictureRecipe::parse(place, &text).map_err(|e| app.problem(&e))?;
        let recipe = &own.recipe;
        let known =
            crate::store::check_id(&recipe.model).is_ok() && known_models().iter().any(|m| m.name == recipe.model);
        let here = if known { models::place(app, &recipe.model).ok() } else { None };
        let card = here.and_then(|folder| crate::generator::Card::read(&folder.join("card.toml")).ok());
        let sha256 = card.and_then(|card| card.model_sha256().ok());
        let model_here = match sha256 {
            None => "absent",
            Some(sha256) if sha256 == recipe.model_sha256 => "same",
            Some(_) => "other",
        };
        let mut problems = Vec::new();
        match model_here {
            "absent" => problems.push(format!("No model called {} is here.", recipe.model)),
            "other" => problems.push(format!("Its model has changed since (SHA-256 {:.10}).", recipe.model_sha256)),
            _ => {}
        }
        if recipe.vary.is_some() {
            problems.push("It is a variation; the page shows the seed that it varies.".into());
        }
        let usual = JobKeys::default().method;
        if recipe.denoising.is_some() || (recipe.is_steered() && recipe.method != usual) {
            problems.push(format!("It was steered by {}; the page steers by {usual}.", recipe.method));
        }
        if own.recipe.version != env!("CARGO_PKG_VERSION") {
            problems.push(format!("It was made by version {}.", recipe.version));
        }
        if problems.len() > 8 {
            return Err(Problem::new(Code::Value, "the picture says too much"));
        }
        Ok(Json(Said {
            // Of a variation, the seed that it varies; its own number says nothing without that.
            seed: recipe.vary.as_ref().map_or(own.seed, |v| v.seed).to_string(),
            model: recipe.model.clone(),
            reward: recipe.reward.clone(),
            asked: recipe.novelty.map(crate::units::Percentile::percent),
            model_here: model_here.into(),
            problems,
        }))
    })
    .await
}
