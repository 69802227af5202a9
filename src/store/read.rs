//! Reading files with an upper bound on their size.

use crate::error::{Error, Result, explain_toml};
use crate::limits;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::path::Path;

/// Opens a regular file, and nothing else: opening a pipe would wait for its other end, and a device could be read
/// forever.
///
/// # Errors
/// [`Error::Io`] if it cannot be opened; [`Error::Input`] if it is not a regular file.
pub fn open_file(path: &Path) -> Result<std::fs::File> {
    let meta = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
    if !meta.is_file() {
        return Err(Error::input(path, "expected a file, found a folder or a special file"));
    }
    std::fs::File::open(path).map_err(|e| Error::io(path, "open", e))
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Input`] if it is not a regular file, or too large.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open_file(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, "read", e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::input(path, format!("larger than the {limit} bytes that a file of this kind may have")));
    }
    Ok(bytes)
}

/// Parses a TOML file of at most [`limits::CONFIG_BYTES`] into `C`, and returns the text along with it.
///
/// # Errors
/// [`Error::Config`] at `file:line:column`, with a suggestion for a misspelt key.
pub fn read_toml<C: DeserializeOwned>(path: &Path) -> Result<(C, String)> {
    let bytes = read_bounded(path, limits::CONFIG_BYTES)?;
    let place = crate::error::shown(path);
    let other = super::told(&bytes)
        .filter(|found| !found.starts_with("a text"))
        .map(|found| Error::config(&place, format!("expected TOML, found {found}")));
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => return Err(other.unwrap_or_else(|| Error::config(&place, "expected UTF-8 text"))),
    };
    match parse_toml(&text, &place) {
        Ok(parsed) => Ok((parsed, text)),
        Err(error) => Err(other.unwrap_or(error)),
    }
}

/// Parses TOML text; `place` is its name in messages.
///
/// # Errors
/// Those of [`read_toml`].
pub fn parse_toml<C: DeserializeOwned>(text: &str, place: &str) -> Result<C> {
    check_depth(text, place)?;
    toml::from_str(text).map_err(|e| {
        let position = e.span().map_or(String::new(), |span| position(text, span.start));
        Error::config(format!("{place}{position}"), explain_toml(e.message()))
    })
}

/// Checks that TOML text is nested at most [`limits::CONFIG_DEPTH`] deep. This is done without a parser, because a
/// parser would take memory and stack for every level.
///
/// # Errors
/// [`Error::Config`] naming the line.
pub fn check_depth(text: &str, place: &str) -> Result<()> {
    let (mut brackets, mut dots, mut line) = (0usize, 0usize, 1usize);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // Skip strings and comments. Three quotes in a row look like an empty string and the start of another,
            // which makes no difference here.
            '"' | '\'' => loop {
                match chars.next() {
                    Some('\\') if c == '"' => drop(chars.next()),
                    Some('\n') => line += 1,
                    Some(other) if other != c => {}
                    _ => break,
                }
            },
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '[' | '{' => (brackets, dots) = (brackets + 1, 0),
            ']' | '}' => (brackets, dots) = (brackets.saturating_sub(1), 0),
            '.' => dots += 1,
            '=' | ',' => dots = 0,
            '\n' => (line, dots) = (line + 1, 0),
            _ => {}
        }
        if brackets + dots > limits::CONFIG_DEPTH {
            let message = format!("nested deeper than {} levels", limits::CONFIG_DEPTH);
            return Err(Error::config(format!("{place}:{line}"), message));
        }
    }
    Ok(())
}

/// The position of a byte in a text, as `:line:column`.
pub fn position(text: &str, byte: usize) -> String {
    let before = &text[..byte.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!(":{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings_and_comments() {
        let (deep, high) = ("[".repeat(17), "]".repeat(17));
        for good in [
            format!("a = \"{deep}\" # {deep}"),
            format!("a = '{deep}'\nb = \"\\\"{deep}\""),
            format!("a = \"\"\"\n{deep}\n\"\"\""),
            format!("scales = [{}]", "0.1, ".repeat(40)),
            "[a.b.c]\n".repeat(99),
            format!("a = {}{}", "[".repeat(16), "]".repeat(16)),
        ] {
            assert!(check_depth(&good, "x").is_ok(), "{good}");
        }
        for bad in [format!("\na = {deep}{high}"), format!("\na{} = 1", ".b".repeat(17)), format!("\n{deep}")] {
            let error = check_depth(&bad, "x.toml").unwrap_err();
            assert!(error.to_string().contains("x.toml:2") && error.exit_code() == 2, "{error}");
        }
    }
}
