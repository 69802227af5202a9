//! The acts, one folder each: what can be asked for, the recipe, the tiles, and what is made of the tiles at the end.

pub mod columns;
pub mod describe;
pub mod evaluate;
pub mod generate;
pub mod import;
pub mod label;
pub mod showers;
pub mod study;

use crate::error::{Error, Result, did_you_mean};
use crate::run::{Plan, Work};
use serde::Serialize;
use serde::de::DeserializeOwned;
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
fn keys<K: DeserializeOwned + Serialize>(plan: &Plan) -> Result<K> {
    let bad = |message: String| Error::key("work", message);
    let keys = K::deserialize(plan.work.clone()).map_err(|e: toml::de::Error| bad(e.message().replace('\n', " ")))?;
    match serde_json::to_value(&plan.work).ok().and_then(|given| unread(&given, &keys)) {
        Some(key) => Err(bad(format!("unknown field `{key}`"))),
        None => Ok(keys),
    }
}

/// The first key of `given` that is not among those of `read`, which was read from it. Serde refuses unknown keys itself,
/// but not where the keys of components lie side by side with others.
pub fn unread(given: &serde_json::Value, read: &impl Serialize) -> Option<String> {
    fn find(given: &serde_json::Value, read: &serde_json::Value) -> Option<String> {
        match (given, read) {
            (serde_json::Value::Object(given), serde_json::Value::Object(read)) => given.iter().find_map(|(k, v)| {
                let inner = |found: &serde_json::Value| find(v, found).map(|rest| format!("{k}.{rest}"));
                read.get(k).map_or_else(|| Some(k.clone()), inner)
            }),
            (serde_json::Value::Array(given), serde_json::Value::Array(read)) => {
                given.iter().zip(read).find_map(|(given, read)| find(given, read))
            }
            _ => None,
        }
    }
    find(given, &serde_json::to_value(read).ok()?)
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
