//! The recipe in a run directory: written once, and compared ever after.

use super::{read_bounded, sha256_hex, write_atomic};
use crate::error::{Error, Result, shown};
use crate::limits;
use std::path::Path;

/// Writes `text` as `folder/recipe.toml`, or checks that the folder already holds the same recipe. Returns the run id.
///
/// # Errors
/// [`Error::Config`] naming each key that differs, with both values.
pub fn claim(folder: &Path, text: &str) -> Result<String> {
    let path = folder.join("recipe.toml");
    match found(&path)? {
        None => write_atomic(&path, text.as_bytes())?,
        Some(found) if found == text => {}
        Some(found) => {
            let message = format!(
                "this folder was made with another recipe: {}; choose another folder, or remove this one",
                differences(&found, text)
            );
            return Err(Error::config(shown(&path), message));
        }
    }
    Ok(run_id(text))
}

/// Checks that `folder` holds the recipe `text`, without writing anything. Returns the run id.
///
/// # Errors
/// [`Error::Input`] if the recipe is missing or differs.
pub fn claimed(folder: &Path, text: &str) -> Result<String> {
    let path = folder.join("recipe.toml");
    match found(&path)? {
        Some(found) if found == text => Ok(run_id(text)),
        Some(found) => Err(Error::input(path, format!("differs from the plan: {}", differences(&found, text)))),
        None => Err(Error::input(path, "missing; give the folder that isoline generate or isoline plan has written")),
    }
}

/// The run id: the first 16 hex digits of the recipe's SHA-256.
pub fn run_id(text: &str) -> String {
    sha256_hex(text.as_bytes())[..16].to_owned()
}

fn found(path: &Path) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_bounded(path, limits::CONFIG_BYTES)?;
    String::from_utf8(bytes).map(Some).map_err(|_| Error::input(path, "expected a recipe, found no UTF-8 text"))
}

/// The keys in which two recipes differ, as in `novelty was 90, is 10, tile was 16, is 8`.
pub fn differences(found: &str, now: &str) -> String {
    let Ok(found) = toml::from_str::<toml::Table>(found) else { return "the one here is damaged".into() };
    let (found, now) = (flat(found), flat(toml::from_str(now).unwrap_or_default()));
    let mut keys: Vec<&String> = found.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let shown = |value: Option<&String>| value.map_or("absent".to_owned(), Clone::clone);
    let (hashes, keys): (Vec<&String>, Vec<&String>) =
        keys.into_iter().filter(|k| found.get(*k) != now.get(*k)).partition(|k| k.ends_with("sha256"));
    let each = keys.iter().map(|k| format!("{k} was {}, is {}", shown(found.get(*k)), shown(now.get(*k))));
    let each: Vec<String> = each.collect();
    // A hash says nothing to people, and where a name differs too it adds nothing.
    match hashes.first() {
        _ if !each.is_empty() => each.join(", "),
        Some(key) => format!("the files of the {} have changed since", key.trim_end_matches("_sha256")),
        None => "the same keys are written differently".into(),
    }
}

/// Dotted keys with the text of their values. Long values, such as hashes, are cut.
fn flat(table: toml::Table) -> std::collections::BTreeMap<String, String> {
    let mut flat = std::collections::BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                flat.extend(self::flat(inner).into_iter().map(|(k, v)| (format!("{key}.{k}"), v)))
            }
            other => {
                let text = other.to_string();
                let short = if text.chars().count() > 24 {
                    text.chars().take(14).chain("…\"".chars()).collect()
                } else {
                    text
                };
                flat.insert(key.escape_debug().to_string(), short.replace(char::is_control, " "));
            }
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_differs_is_named_with_both_values() {
        let text = differences(
            "tile = 16\nmodel = \"a\"\n[s]\nsteps = 3\n",
            "tile = 16\nmodel = \"b\"\nnovelty = 10.0\n[s]\nsteps = 4\n",
        );
        assert_eq!(text, "model was \"a\", is \"b\", novelty was absent, is 10.0, s.steps was 3, is 4");
    }
}
