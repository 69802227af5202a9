//! The acts, one folder each: what can be asked for, the recipe, the tiles, and what is made of the tiles at the end.

pub mod describe;
pub mod generate;
pub mod label;
pub mod study;

use crate::error::{Error, Result, did_you_mean};
use crate::run::{Plan, Work};
use std::path::Path;

/// Opens the tiles of a plan in a folder.
type Open = fn(&Plan, &Path) -> Result<Box<dyn Work>>;

/// One row of the table of acts.
pub struct ActRow {
    /// The name, as `kind` in a plan.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// The tiles of a plan in a folder.
    pub open: Open,
}

/// Every act that leaves a run directory.
pub static ACTS: &[ActRow] = &[generate::ROW, describe::ROW, label::ROW];

/// Reads the keys that a plan has for its own act.
fn keys<K: serde::de::DeserializeOwned>(plan: &Plan) -> Result<K> {
    K::deserialize(plan.work.clone()).map_err(|e: toml::de::Error| Error::key("work", e.message().replace('\n', " ")))
}

/// The tiles of a plan in `folder`.
///
/// # Errors
/// [`Error::Input`] for keys that this version did not write.
pub fn open(plan: &Plan, folder: &Path) -> Result<Box<dyn Work>> {
    let row = ACTS.iter().find(|k| k.name == plan.kind).ok_or_else(|| {
        let near = did_you_mean(&plan.kind, ACTS.iter().map(|k| k.name).collect::<Vec<_>>());
        Error::input(folder.join("plan.toml"), format!("unknown kind \"{}\"{near}", plan.kind.escape_debug()))
    })?;
    (row.open)(plan, folder).map_err(|e| of_plan(e, folder))
}

/// Turns an error about a key of the plan into one about the file `plan.toml` in `folder`.
pub fn of_plan(error: Error, folder: &Path) -> Error {
    match error {
        Error::Key { key, message, .. } => Error::input(folder.join("plan.toml"), format!("{key}: {message}")),
        other => other,
    }
}
