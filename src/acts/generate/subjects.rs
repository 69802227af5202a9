//! Models in memory while a run is planned and made.

use super::make::check;
use super::recipe::Recipe;
use super::subject::Subject;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::find_model;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Models in memory, by the names of model and reward as a job gives them, and by whether they are with a reward.
pub type Subjects = BTreeMap<(String, Option<String>, bool), Subject>;

/// The model called `name` as `recipe` needs it, loaded if it is not in memory yet.
///
/// # Errors
/// Those of loading; [`Error::Input`] if it is not the one that the recipe names.
pub fn subject<'a>(subjects: &'a mut Subjects, name: &str, recipe: &Recipe, device: &Device) -> Result<&'a Subject> {
    let subject = match subjects.entry((name.to_owned(), recipe.reward.clone(), recipe.has_reward())) {
        Entry::Occupied(found) => found.into_mut(),
        Entry::Vacant(empty) => empty.insert(Subject::of_recipe(recipe, &find_model(name)?, device)?),
    };
    check(subject, recipe).map_err(|m| {
        let model = find_model(name).unwrap_or_else(|_| name.into());
        Error::input(model, format!("{m}; the run was planned with that one"))
    })?;
    Ok(subject)
}
