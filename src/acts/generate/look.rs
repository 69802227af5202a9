//! Single pictures, made to be looked at: any seeds at any levels of one model in one go. What is made is the file that a
//! run of the same recipe writes, to the byte.

use super::keys::JobKeys;
use super::likeness::Likeness;
use super::make::{as_made, make, plain_row, row};
use super::recipe::{PictureRecipe, Recipe};
use super::row::SampleRow;
use super::subject::Subject;
use super::subjects::{Subjects, subject};
use super::vary::{Vary, centre, starts};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::render::{Picture, png};
use crate::run::as_recorded;
use crate::steer::{Finished, Starts, Status, seed_noise};
use crate::store;
use crate::units::Percentile;
use serde::{Deserialize, Serialize};

/// The recipes of a model's pictures, with everything left as it usually is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Templates {
    /// Without steering.
    pub plain: Recipe,
    /// Steered; its novelty is filled in. `None` for a model without a reward.
    pub steered: Option<Recipe>,
}

impl Templates {
    /// The recipes of `subject`, which is the model called `model` with the reward called `reward`.
    ///
    /// # Errors
    /// Those of [`Recipe::of`].
    pub fn of(subject: &Subject, model: &str, reward: Option<&str>, device: DeviceName) -> Result<Self> {
        let keys = JobKeys { model: model.to_owned(), reward: reward.map(str::to_owned), ..JobKeys::default() };
        let steered = JobKeys { novelty: Some(Percentile::MEDIAN), ..keys.clone() };
        let taught = subject.engine().is_some();
        Ok(Self {
            plain: Recipe::of(&keys, subject, None, device)?,
            steered: taught.then(|| Recipe::of(&steered, subject, None, device)).transpose()?,
        })
    }

    /// The recipe of variations.
    pub fn around(&self, vary: Vary) -> Recipe {
        Recipe { vary: Some(vary), ..self.plain.clone() }
    }

    /// The recipe of a picture at `novelty`, or of an unsteered one; `None` where the model cannot be steered.
    pub fn recipe(&self, novelty: Option<Percentile>) -> Option<Recipe> {
        match (novelty, &self.steered) {
            (None, _) => Some(self.plain.clone()),
            (Some(_), None) => None,
            (Some(_), Some(steered)) => Some(Recipe { novelty, ..steered.clone() }),
        }
    }
}

/// A picture with its row.
pub struct Shot {
    /// What a record would say of it.
    pub row: SampleRow,
    /// The file; `None` where a value was not finite.
    pub png: Option<Vec<u8>>,
}

/// Makes the pictures of `(seed, novelty)`, in their order. On a device that sees tiles of one shape the samples are filled
/// up to one, so at most a tile of them is taken at once.
///
/// # Errors
/// [`Error::Key`] for a novelty of a model that cannot be steered, or for more than a tile; when the device fails or the work
/// is stopped.
pub fn look(
    subject: &Subject,
    templates: &Templates,
    wanted: &[(u64, Option<Percentile>)],
    cancel: &Cancel,
) -> Result<Vec<Shot>> {
    let tile = templates.plain.tile;
    if wanted.is_empty() || wanted.len() > tile {
        return Err(Error::key("seeds", format!("expected 1 to {tile} at once, found {}", wanted.len())));
    }
    subject.check_memory(tile)?;
    let mut shots: Vec<Option<Shot>> = wanted.iter().map(|_| None).collect();
    // A sample without novelty in one call with others would be steered to the middle.
    for steered in [false, true] {
        let places: Vec<usize> = (0..wanted.len()).filter(|i| wanted[*i].1.is_some() == steered).collect();
        let mut asked: Vec<(u64, Option<Percentile>)> = places.iter().map(|i| wanted[*i]).collect();
        let Some(first) = asked.first().copied() else { continue };
        if subject.needs_whole_tiles() {
            asked.resize(tile, first);
        }
        let made = together(subject, templates, &asked, cancel)?;
        for (place, finished) in places.into_iter().zip(&made) {
            let novelty = wanted[place].1;
            let recipe = templates.recipe(novelty).ok_or_else(|| no_reward(subject))?;
            shots[place] = Some(shot(subject, &recipe, finished, None)?);
        }
    }
    Ok(shots.into_iter().flatten().collect())
}

/// Makes the variations `numbers` of a latent of this model, as a run of their recipe does.
///
/// # Errors
/// Those of making the latent again; [`Error::Key`] for more than a tile.
pub fn look_around(
    subjects: &mut Subjects,
    (model, templates): (&str, &Templates),
    (vary, numbers): (&Vary, &[u64]),
    device: &(DeviceName, Device),
    cancel: &Cancel,
) -> Result<Vec<Shot>> {
    let recipe = templates.around(vary.clone());
    if numbers.is_empty() || numbers.len() > recipe.tile {
        return Err(Error::key("vary", format!("expected 1 to {} at once, found {}", recipe.tile, numbers.len())));
    }
    let width = subject(subjects, model, &recipe, &device.1)?.generator().spec().latent_width;
    if width < 2 {
        return Err(Error::key("vary", "a latent of one value has no direction to turn in"));
    }
    let centre = centre(vary, model, subjects, device, width, cancel)?;
    let subject = subject(subjects, model, &recipe, &device.1)?;
    let mut samples = numbers.to_vec();
    if subject.needs_whole_tiles() {
        samples.resize(recipe.tile, numbers[0]);
    }
    let finished = make(subject, &recipe, &starts(&recipe, Some(&centre), &samples, width), cancel)?;
    finished.iter().take(numbers.len()).map(|f| shot(subject, &recipe, f, None)).collect()
}

/// One call of the network for all of `asked`, which are all steered or all plain.
fn together(
    subject: &Subject,
    templates: &Templates,
    asked: &[(u64, Option<Percentile>)],
    cancel: &Cancel,
) -> Result<Vec<Finished>> {
    let samples: Vec<u64> = asked.iter().map(|a| a.0).collect();
    let novelty: Vec<Option<Percentile>> = asked.iter().map(|a| a.1).collect();
    let starts = Starts { samples: &samples, noise: seed_noise(&samples, subject.generator().spec().latent_width) };
    let template = match (&templates.steered, novelty[0]) {
        (None, Some(_)) => return Err(no_reward(subject)),
        (Some(steered), Some(_)) => steered,
        (_, None) => &templates.plain,
    };
    let mut finished = match subject.engine() {
        None => subject.plain(None, &starts, cancel)?,
        Some(engine) => {
            let steered = engine.steer_from(&template.method, &starts, &novelty, &template.settings, cancel)?;
            engine.pictures(steered, 0, cancel)?
        }
    };
    as_made(&mut finished);
    Ok(finished)
}

fn no_reward(subject: &Subject) -> Error {
    let id = &subject.generator().spec().id;
    Error::key(
        "novelty",
        format!("\"{id}\" has no reward, so nothing is known of novelty; make one with isoline train-reward"),
    )
}

/// The row and the file of a finished sample, which was compared with its unguided picture if there is a `likeness`.
///
/// # Errors
/// [`Error::Bug`].
pub(super) fn shot(
    subject: &Subject,
    recipe: &Recipe,
    finished: &Finished,
    likeness: Option<Likeness>,
) -> Result<Shot> {
    let (steered, values) = (&finished.steered, &finished.picture);
    let spec = subject.generator().spec();
    let mut row = subject.engine().map_or_else(|| plain_row(steered), |engine| row(engine, steered, recipe.novelty));
    row.effective_sizes.clone_from(&finished.effective_sizes);
    row.novelty_remeasured = finished.remeasured;
    row.likeness = likeness;
    if recipe.latents.is_some() && steered.latent.iter().all(|v| v.is_finite()) {
        row.latent.clone_from(&steered.latent);
    }
    let mut row = as_recorded(&row)?;
    if values.iter().any(|v| !v.is_finite()) {
        row.status = Status::NonFinite;
    }
    let mut png = None;
    if row.status != Status::NonFinite {
        let picture = Picture::from_values(values, spec.sample_shape, spec.range)?.enlarge(recipe.scale.unwrap_or(1));
        let bytes = png::encode(&picture, &text(recipe, steered.sample)?)?;
        row.sha256 = Some(store::sha256_hex(&bytes));
        png = Some(bytes);
    }
    Ok(Shot { row, png })
}

/// What a picture says about itself.
fn text(recipe: &Recipe, seed: u64) -> Result<png::PngText> {
    if !recipe.metadata {
        return Ok(png::PngText::default());
    }
    // The picture must be the same whether its latent is kept or not, and whether it is measured again or compared.
    let recipe = Recipe { latents: None, remeasure: None, identity: None, ..recipe.clone() };
    let own = PictureRecipe { schema: 1, seed, recipe };
    let json = serde_json::to_string(&own).map_err(|e| Error::Bug(e.to_string()))?;
    Ok(png::PngText { parameters: Some(own.parameters()), isoline: Some(json) })
}
