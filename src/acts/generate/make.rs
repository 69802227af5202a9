//! From a recipe and its seeds to pictures and their rows.

use super::recipe::Recipe;
use super::row::{SampleRow, Shown};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::geometry::LocalGeometry;
use crate::reward::{Place, Reading};
use crate::steer::{self, Engine, Finished, Status, Steered, guide};
use crate::units::Percentile;

/// Whether `engine` has the model, reward and calibration that `recipe` names.
///
/// # Errors
/// Which of them differs, as text for a message.
pub fn check(engine: &Engine, recipe: &Recipe) -> Result<(), String> {
    for (what, wanted, found) in [
        ("model", recipe.model_sha256.as_str(), engine.generator.model_sha256()),
        ("reward", &recipe.reward_sha256, engine.reward.sha256.as_str()),
    ] {
        if wanted != found {
            return Err(format!("another {what} (SHA-256 {wanted:.12}, here {found:.12})"));
        }
    }
    Ok(())
}

/// Makes the samples of one tile by `recipe`: steers or guides them, measures them and makes their pictures.
///
/// # Errors
/// When the device fails or the run is stopped; [`crate::error::Error::Config`] if the model cannot do what is asked.
pub fn make(engine: &Engine, recipe: &Recipe, samples: &[u64], cancel: &Cancel) -> Result<Vec<Finished>> {
    let denoising = recipe.denoising.as_ref();
    let guide = guide(&recipe.method);
    let mut finished = match denoising {
        Some(asked) if asked.is_guided(guide) => {
            engine.guide(guide, asked, samples, recipe.novelty, &recipe.settings, cancel)?
        }
        _ => {
            let novelty = vec![recipe.novelty; samples.len()];
            let steered = engine.steer(&recipe.method, samples, &novelty, &recipe.settings, cancel)?;
            engine.pictures(steered, denoising.map_or(0, |d| d.preview_every), cancel)?
        }
    };
    for f in &mut finished {
        f.picture[0] = failpoint!("generator", f.steered.sample).unwrap_or(f.picture[0]);
    }
    Ok(finished)
}

/// The row of a steered sample, without its picture.
pub fn row(engine: &Engine, steered: &Steered, novelty: Option<Percentile>) -> SampleRow {
    let table = &engine.reward.calibration;
    let k = engine.reward.card.model_rank;
    let of_map = engine.reward.quantity.row().place == Place::Latent;
    // Descriptors belong to the map latent → picture; a reading of anything else gives none.
    let spectrum = steered.reading.as_ref().filter(|_| of_map).and_then(Reading::spectrum);
    let geometry = spectrum.map(|s| LocalGeometry::new(s, &steered.latent, k));
    let value = steered.reading.as_ref().and_then(|r| r.value(k));
    let reached = value.map(|v| table.novelty_of(v));
    let finite = steered.status != Status::NonFinite;
    let predicted = (finite && steered.predicted.is_finite()).then(|| table.psi_at_level(steered.predicted.level));
    SampleRow {
        seed: steered.sample,
        file: None,
        sha256: None,
        novelty_asked: novelty.map(Percentile::percent),
        novelty_predicted: predicted.map(|p| table.novelty_of(p).percentile.percent()),
        psi_predicted: predicted.filter(|_| of_map),
        novelty_reached: reached.map(|n| n.percentile.percent()),
        beyond: reached.map(|n| n.beyond),
        psi_k: value.filter(|v| geometry.is_some() && v.is_finite()),
        measured: value.filter(|_| !of_map),
        descriptors: Shown::of(|d| (d.measure)(geometry.as_ref()?).value()),
        distance: if finite { steer::distance(&steered.start, &steered.latent) } else { 0.0 },
        angle: if finite { steer::angle_between(&steered.start, &steered.latent).to_degrees() } else { 0.0 },
        likeness: None,
        steps: steered.steps,
        latent: Vec::new(),
        effective_sizes: Vec::new(),
        attempts: steered.attempts,
        status: steered.status,
        missed: steered.missed,
    }
}
