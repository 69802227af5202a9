//! Models in memory while a run is planned and made.

use super::make::check;
use super::recipe::Recipe;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::find_model;
use crate::steer::Engine;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Models in memory, by the names of model and reward as a job gives them.
pub type Engines = BTreeMap<(String, Option<String>), Engine>;

/// The model called `name` with the reward of `recipe`, loaded if it is not in memory yet.
///
/// # Errors
/// Those of loading; [`Error::Input`] if it is not the one that the recipe names.
pub fn engine<'a>(engines: &'a mut Engines, name: &str, recipe: &Recipe, device: &Device) -> Result<&'a Engine> {
    let engine = match engines.entry((name.to_owned(), recipe.reward.clone())) {
        Entry::Occupied(found) => found.into_mut(),
        Entry::Vacant(empty) => empty.insert(Engine::load(&find_model(name)?, recipe.reward.as_deref(), device)?),
    };
    check(engine, recipe).map_err(|m| {
        let model = find_model(name).unwrap_or_else(|_| name.into());
        Error::input(model, format!("{m}; the run was planned with that one"))
    })?;
    Ok(engine)
}
