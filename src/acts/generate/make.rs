//! From a recipe and its seeds to pictures and their rows.

use super::recipe::Recipe;
use super::row::{SampleRow, Shown};
use super::subject::Subject;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::geometry::LocalGeometry;
use crate::reward::{Place, Reading};
use crate::steer::denoiser::sampler_of;
use crate::steer::guard::{Action, Guard, Watched, fresh, resampled};
use crate::steer::{self, Engine, Finished, Starts, Status, Steered, guide};
use crate::units::{Latents, Percentile};

/// Whether `subject` is the model, with the reward and calibration, that `recipe` names.
///
/// # Errors
/// Which of them differs, as text for a message.
pub fn check(subject: &Subject, recipe: &Recipe) -> Result<(), String> {
    for (what, wanted, found) in [
        ("model", recipe.model_sha256.as_str(), subject.generator().model_sha256()),
        ("reward", &recipe.reward_sha256, subject.reward_sha256()),
    ] {
        if wanted != found {
            return Err(format!("another {what} (SHA-256 {wanted:.12}, here {found:.12})"));
        }
    }
    if let (Some((name, _)), Some(wanted)) = (recipe.finisher(), &recipe.denoiser_sha256) {
        let found = subject.finisher(name).map_err(|e| e.to_string())?;
        if wanted != found.sha256() {
            return Err(format!("another {name} as its denoiser (SHA-256 {wanted:.12}, here {:.12})", found.sha256()));
        }
    }
    Ok(())
}

/// Makes the samples of one tile by `recipe`: steers or guides them from where they start, measures them and makes their
/// pictures.
///
/// # Errors
/// When the device fails or the run is stopped; [`crate::error::Error::Config`] if the model cannot do what is asked.
pub fn make(subject: &Subject, recipe: &Recipe, starts: &Starts, cancel: &Cancel) -> Result<Vec<Finished>> {
    let mut finished = made(subject, recipe, starts, cancel)?;
    if let Some((name, sigma)) = recipe.finisher() {
        subject.finisher(name)?.apply(&mut finished, subject.generator().spec().range, sigma)?;
    }
    if let Some(guard) = &recipe.guard {
        finished = guarded(subject, (recipe, guard), starts.samples, finished, cancel)?;
    }
    if let (Some(how), Some(engine)) = (&recipe.remeasure, subject.engine()) {
        remeasure(engine, how, &mut finished)?;
    }
    as_made(&mut finished);
    Ok(finished)
}

/// The samples as the method or the guide makes them.
fn made(subject: &Subject, recipe: &Recipe, starts: &Starts, cancel: &Cancel) -> Result<Vec<Finished>> {
    let denoising = recipe.denoising.as_ref();
    let guide = guide(&recipe.method);
    match (subject.engine(), denoising) {
        (None, asked) => subject.plain(asked, starts, cancel),
        (Some(engine), Some(asked)) if asked.is_guided(guide) => {
            engine.guide_from(guide, asked, starts, recipe.novelty, &recipe.settings, cancel)
        }
        (Some(engine), _) => {
            let novelty = vec![recipe.novelty; starts.samples.len()];
            let (settings, guard) = (&recipe.settings, recipe.guard.as_ref());
            let steered = engine.steer_guarded(&recipe.method, starts, &novelty, settings, guard, cancel)?;
            engine.pictures(steered, denoising.map_or(0, |d| d.preview_every), cancel)
        }
    }
}

/// Judges what was made and, if the guard is to do so, makes again from other noise what is unusual.
fn guarded(
    subject: &Subject,
    (recipe, guard): (&Recipe, &Guard),
    samples: &[u64],
    mut finished: Vec<Finished>,
    cancel: &Cancel,
) -> Result<Vec<Finished>> {
    let sampler = sampler_of(&**subject.generator())?;
    let judge = |all: &mut [Finished]| -> Result<()> {
        if all.iter().all(|f| f.steered.watched.is_some()) {
            return Ok(());
        }
        let states: Vec<f32> = all.iter().flat_map(Finished::state).copied().collect();
        let seen = guard.watch(sampler, &states)?;
        all.iter_mut().zip(seen).for_each(|(f, watched)| f.steered.watched = Some(watched));
        Ok(())
    };
    judge(&mut finished)?;
    if guard.action == Action::Resample {
        let width = subject.generator().spec().latent_width;
        // What is not finite is no copy: it stays, and its status says what it is.
        let caught = |f: &Finished| {
            f.steered.watched.is_some_and(Watched::is_unusual) && f.picture.iter().all(|v| v.is_finite())
        };
        let again = resampled(finished, caught, |places, round| {
            let whole = subject.needs_whole_tiles();
            let wanted: Vec<u64> = if whole { samples.to_vec() } else { places.iter().map(|i| samples[*i]).collect() };
            let starts = Starts { samples: &wanted, noise: fresh(&wanted, round, width) };
            let mut made = made(subject, recipe, &starts, cancel)?;
            judge(&mut made)?;
            Ok(made.into_iter().enumerate().filter(|(i, _)| !whole || places.contains(i)).map(|(_, f)| f).collect())
        })?;
        let one = |(mut f, resampled): (Finished, usize)| {
            f.steered.watched = f.steered.watched.map(|w| Watched { caught: w.caught + resampled, resampled, ..w });
            f
        };
        finished = again.into_iter().map(one).collect();
    }
    finished.iter_mut().for_each(|f| f.steered.settle_guard());
    Ok(finished)
}

/// The pictures as they came, but for those that a test wants spoilt.
pub(super) fn as_made(finished: &mut [Finished]) {
    for f in finished {
        f.picture[0] = failpoint!("generator", f.steered.sample).unwrap_or(f.picture[0]);
    }
}

/// Measures the samples of a tile again, as the recipe says.
fn remeasure(engine: &Engine, how: &str, finished: &mut [Finished]) -> Result<()> {
    let held_out = engine.held_out()?;
    if held_out.how() != how {
        let message = format!("the recipe measures again by {how}, this version by {}", held_out.how());
        return Err(Error::config("remeasure", message));
    }
    let latents = finished.iter().flat_map(|f| &f.steered.latent).copied().collect();
    let states: Vec<f32> = finished.iter().flat_map(Finished::state).copied().collect();
    let latents = Latents::new(latents, engine.generator.spec().latent_width);
    let found = held_out.novelty(&latents, Some(&states))?;
    let known = |f: &Finished| f.steered.status != Status::Unmeasured;
    finished.iter_mut().zip(found).for_each(|(f, novelty)| f.remeasured = novelty.filter(|_| known(f)));
    Ok(())
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
        novelty_remeasured: None,
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
        guard: steered.watched,
    }
}

/// The row of a sample of a model without a reward: nothing was asked and nothing measured.
pub fn plain_row(steered: &Steered) -> SampleRow {
    SampleRow {
        seed: steered.sample,
        file: None,
        sha256: None,
        novelty_asked: None,
        novelty_predicted: None,
        psi_predicted: None,
        novelty_reached: None,
        novelty_remeasured: None,
        likeness: None,
        beyond: None,
        psi_k: None,
        measured: None,
        descriptors: Shown::of(|_| None),
        distance: 0.0,
        angle: 0.0,
        steps: steered.steps,
        latent: Vec::new(),
        effective_sizes: Vec::new(),
        attempts: steered.attempts,
        status: steered.status,
        missed: steered.missed,
        guard: steered.watched,
    }
}
