//! Reads with a bound.

use crate::error::{Error, Result, explain_toml};
use crate::limits;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::path::Path;

/// Opens a regular file: opening a pipe would wait for its other end, reading a device would never end.
///
/// # Errors
/// [`Error::Io`] when it cannot be opened; [`Error::Input`] when it is no regular file.
pub fn open_file(path: &Path) -> Result<std::fs::File> {
    let meta = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
    if !meta.is_file() {
        return Err(Error::input(path, "expected a file, found a folder or a special file"));
    }
    std::fs::File::open(path).map_err(|e| Error::io(path, "open", e))
}

/// The bytes of a regular file of at most `limit` bytes.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::Input`] when it is no regular file or larger.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open_file(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, "read", e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::input(path, format!("larger than the {limit} bytes that a file of this kind may have")));
    }
    Ok(bytes)
}

/// Parses a TOML file of at most [`limits::CONFIG_BYTES`] into its raw config type.
///
/// # Errors
/// [`Error::Config`] at `file:line:column`, with a suggestion for a misspelt key.
pub fn read_toml<C: DeserializeOwned>(path: &Path) -> Result<(C, String)> {
    let bytes = read_bounded(path, limits::CONFIG_BYTES)?;
    let place = crate::error::shown(path);
    let text = String::from_utf8(bytes).map_err(|_| Error::config(&place, "expected UTF-8 text"))?;
    Ok((parse_toml(&text, &place)?, text))
}

/// Parses TOML text that `place` names in messages.
///
/// # Errors
/// As [`read_toml`].
pub fn parse_toml<C: DeserializeOwned>(text: &str, place: &str) -> Result<C> {
    toml::from_str(text).map_err(|e| Error::config(format!("{place}{}", position(text, &e)), explain_toml(e.message())))
}

/// `:line:column` of a TOML error.
fn position(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return String::new() };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!(":{line}:{column}")
}
