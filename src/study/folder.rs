//! The folder of a description: one process at a time, one recipe.

use crate::error::Result;
use crate::run;
use crate::store::{self, Lock};
use std::path::Path;

/// Creates `folder`, takes its lock, and writes `recipe.toml` or checks that it is the same.
///
/// # Errors
/// [`crate::error::Error::Busy`] where another process works there, [`crate::error::Error::Config`] where
/// it holds another recipe.
pub fn claim(folder: &Path, recipe: &str) -> Result<Lock> {
    store::create_dir(folder)?;
    let lock = Lock::exclusive(&folder.join("run.lock"))?;
    run::claim(folder, recipe)?;
    Ok(lock)
}
