//! The folder of a description: one process at a time, one recipe.

use crate::error::{Error, Result, shown};
use crate::store;
use std::fs::{File, TryLockError};
use std::path::Path;

/// Creates `folder`, takes its lock, and writes `recipe.toml` or checks that it is the same.
///
/// # Errors
/// [`Error::Busy`] where another process works there, [`Error::Config`] where it holds another recipe.
pub fn claim(folder: &Path, recipe: &str) -> Result<File> {
    store::create_dir(folder)?;
    let path = folder.join("run.lock");
    let open = File::options().create(true).truncate(false).write(true).read(true).open(&path);
    let lock = open.map_err(|e| Error::io(&path, "open", e))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::Busy { path: folder.to_owned(), holder: format!("it holds {}", shown(&path)) });
        }
        Err(TryLockError::Error(e)) => return Err(Error::io(&path, "lock", e)),
    }
    let path = folder.join("recipe.toml");
    if !path.exists() {
        store::write_atomic(&path, recipe.as_bytes())?;
        return Ok(lock);
    }
    let found = store::read_bounded(&path, crate::limits::CONFIG_BYTES)?;
    if found == recipe.as_bytes() {
        return Ok(lock);
    }
    let found = String::from_utf8_lossy(&found).into_owned();
    let differs = recipe.lines().find(|l| !found.lines().any(|f| f == *l)).unwrap_or("an absent key");
    let message = format!(
        "this folder was made with another recipe (now: {differs}); choose another --outdir or remove the folder"
    );
    Err(Error::config(shown(&path), message))
}
