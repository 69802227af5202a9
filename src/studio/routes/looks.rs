//! What a page wants to see.

use super::taken::Body;
use crate::acts::generate::{PictureRecipe, Vary};
use crate::limits;
use crate::studio::app::App;
use crate::studio::looks::{LANES, Subject, Wish};
use crate::studio::pictures::Picture;
use crate::studio::problem::{Code, Problem};
use crate::studio::shelf::is_id;
use crate::studio::worker::talk::Loaded;
use crate::units::Percentile;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Levels of the strip.
const STRIP: [f64; 6] = [5.0, 20.0, 40.0, 60.0, 80.0, 95.0];

/// A look: a seed at a level, and what belongs beside it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// The page, by a name that it gives itself.
    view: String,
    /// Name of the model.
    model: String,
    /// Name of the reward, where it is not the model's own.
    #[serde(default)]
    reward: Option<String>,
    /// The seed. As text: a number of JavaScript ends at 2^53.
    seed: String,
    /// The novelty asked for, 0 to 100; null is no steering.
    #[schema(value_type = Option<f64>)]
    novelty: Option<Percentile>,
    /// Whether the same seed is wanted at the levels of the strip, and without steering.
    #[serde(default)]
    strip: bool,
    /// What variations are wanted of, in place of other seeds.
    #[serde(default)]
    around: Option<Around>,
    /// How many of the seeds after it are wanted at the same level.
    #[serde(default)]
    seeds: usize,
}

/// A ring of variations round a picture.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Around {
    /// Id of the picture, which has been looked at.
    id: String,
    /// How far they are turned from its latent, in radians.
    angle: f64,
}

/// Variations of a ring.
const RING: u64 = 8;

/// What a look is going to show.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Shown {
    /// Number of the look; the events `frame` carry it.
    look: u64,
    /// Every picture of it.
    frames: Vec<Frame>,
}

/// One picture of a look.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Frame {
    /// Where it goes: `hero`, `balanced`, `strip-5` and so on, `seed-N`.
    slot: String,
    /// Its id.
    id: String,
    /// The novelty asked for.
    asked: Option<f64>,
    /// ready or waiting.
    state: String,
    /// What is known of it, once it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Picture>,
}

/// Shows a seed at a level. What was made before is answered at once, the rest comes as events `frame`, the large picture first.
#[utoipa::path(post, path = "/api/looks", request_body = Look, responses((status = 202, body = Shown), (status = 409), (status = 422)))]
pub async fn look(State(app): State<Arc<App>>, Body(look): Body<Look>) -> Result<(StatusCode, Json<Shown>), Problem> {
    app.aside(move |app| ask(app, look)).await
}

fn ask(app: &App, look: Look) -> Result<(StatusCode, Json<Shown>), Problem> {
    check_view(&look.view)?;
    let seed: u64 = match look.seed.parse() {
        Ok(seed) if look.seed.bytes().all(|b| b.is_ascii_digit()) => seed,
        _ => return Err(Problem::value("seed", "expected a whole number from 0 to 2^64 − 1, as text")),
    };
    if look.seeds > limits::LOOK_SEEDS {
        let detail = format!("expected 0 to {}, found {}", limits::LOOK_SEEDS, look.seeds);
        return Err(Problem::value("seeds", detail));
    }
    let subject = Subject { model: look.model, reward: look.reward.filter(|r| !r.is_empty()) };
    let Some(loaded) = app.models.loaded(&subject) else {
        if let Some(problem) = app.models.problem(&subject) {
            return Err(Problem::new(Code::Worker, problem));
        }
        return Err(Problem::new(Code::State, format!("\"{}\" is not loaded", subject.model)).hint("load it first"));
    };
    if look.novelty.is_some() && loaded.templates.steered.is_none() {
        return Err(Problem::value("novelty", "this model has no reward, so that nothing is known of novelty")
            .hint(format!("isoline train-reward --model {} teaches one", subject.model)));
    }
    let wish = |slot: String, seed: u64, novelty| {
        of(app, &subject.model, &loaded, (slot, seed, novelty)).map_err(|e| app.problem(&e))
    };
    let mut wanted: [Vec<Wish>; LANES] = Default::default();
    wanted[0].push(wish("hero".into(), seed, look.novelty)?);
    if look.strip {
        wanted[1].push(wish("balanced".into(), seed, None)?);
        if loaded.templates.steered.is_some() {
            for level in STRIP {
                wanted[1].push(wish(format!("strip-{level}"), seed, Some(Percentile::clamped(level)))?);
            }
        }
    }
    if let Some(around) = &look.around {
        wanted[2] = ring(app, &subject.model, &loaded, around)?;
    }
    for after in 1..=look.seeds as u64 {
        let other = seed.wrapping_add(after);
        wanted[2].push(wish(format!("seed-{other}"), other, look.novelty)?);
    }
    let mut frames = Vec::new();
    for lane in &mut wanted {
        lane.retain(|wish| {
            let row = app.shelf.row(&wish.id);
            let state = if row.is_some() { "ready" } else { "waiting" };
            frames.push(Frame {
                slot: wish.slot.clone(),
                id: wish.id.clone(),
                asked: wish.novelty.map(Percentile::percent),
                state: state.into(),
                picture: row.as_ref().map(Picture::of),
            });
            row.is_none()
        });
    }
    app.hub.asked();
    let look = app.looks().ask(&look.view, &subject, seed, wanted);
    app.bench.wake();
    Ok((StatusCode::ACCEPTED, Json(Shown { look, frames })))
}

/// The variations round a picture.
fn ring(app: &App, model: &str, loaded: &Loaded, around: &Around) -> Result<Vec<Wish>, Problem> {
    let unknown = || {
        let problem = Problem::new(Code::Evicted, "this picture's recipe is not here").hint("look at it again");
        Problem { at: Some("around".into()), ..problem }
    };
    let (run_id, seed) = around.id.split_once('-').filter(|_| is_id(&around.id)).ok_or_else(unknown)?;
    let (of, recipe) = app.recipe(run_id).filter(|r| r.0 == model).ok_or_else(unknown)?;
    let seed = seed.parse().map_err(|_| unknown())?;
    let own = PictureRecipe { schema: 1, seed, recipe };
    let vary = Vary::around(own, around.angle, &loaded.templates.plain.device);
    let vary = Arc::new(vary.map_err(|e| app.problem(&e))?);
    let recipe = loaded.templates.around((*vary).clone());
    let run_id = recipe.run_id().map_err(|e| app.problem(&e))?;
    app.remember(&run_id, &of, recipe);
    let wish = |number: u64| Wish {
        slot: format!("vary-{number}"),
        id: format!("{run_id}-{number}"),
        seed: number,
        novelty: None,
        vary: Some(Arc::clone(&vary)),
    };
    Ok((1..=RING).map(wish).collect())
}

/// A picture of this model: its slot, seed and novelty.
fn of(
    app: &App,
    model: &str,
    loaded: &Loaded,
    (slot, seed, novelty): (String, u64, Option<Percentile>),
) -> crate::error::Result<Wish> {
    let recipe = loaded.templates.recipe(novelty).unwrap_or_else(|| loaded.templates.plain.clone());
    let run_id = recipe.run_id()?;
    app.remember(&run_id, model, recipe);
    Ok(Wish { slot, id: format!("{run_id}-{seed}"), seed, novelty, vary: None })
}

/// A page's own name for itself.
fn check_view(view: &str) -> Result<(), Problem> {
    match (1..=64).contains(&view.len()) && view.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        true => Ok(()),
        false => Err(Problem::value("view", "expected 1 to 64 letters, digits and hyphens")),
    }
}

/// The page wants nothing more of what it asked for.
#[utoipa::path(delete, path = "/api/looks/{view}", params(("view" = String, Path)), responses((status = 204)))]
pub async fn leave(State(app): State<Arc<App>>, Path(view): Path<String>) -> Result<StatusCode, Problem> {
    check_view(&view)?;
    app.looks().leave(&view);
    Ok(StatusCode::NO_CONTENT)
}
