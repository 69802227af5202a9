//! Data sets as the tools of EDM and StyleGAN write them: a .zip file or folder of pictures with a `dataset.json`, which
//! holds `{"labels": [[name, class], …]}`, or `{"labels": null}` for pictures without classes. Pictures come in the order
//! of the bytes of their names, from a .zip file and from a folder alike.
//!
//! A key `classes` beside it may list the names of the classes, the first being that of class 0.

use super::{Dataset, Packed, folder};
use crate::error::{Error, Result};
use crate::limits;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The file with the classes.
const LABELS: &str = "dataset.json";

/// What is read of `dataset.json`. Other keys are left to other programs.
#[derive(Deserialize)]
struct File {
    #[serde(deserialize_with = "there")]
    labels: Option<Vec<(String, Value)>>,
    classes: Option<Vec<String>>,
}

/// An optional value whose key must be there all the same.
fn there<'a, D: serde::Deserializer<'a>>(from: D) -> Result<Option<Vec<(String, Value)>>, D::Error> {
    Option::deserialize(from)
}

/// Reads the data set at `path`, whose pictures were listed and sorted, as `shape` = `[channels, height, width]`, with the rules for size and colour of a folder.
/// Each picture must have exactly one label, and each label its picture.
pub fn read(mut packed: Packed, path: &Path, shape: [usize; 3]) -> Result<Dataset> {
    let place = path.join(LABELS);
    let Some(bytes) = packed.beside(LABELS, limits::LABELS_BYTES)? else {
        let message =
            "missing; a set of the kind \"edm\" has it beside its pictures, others are of the kind \"folder\"";
        return Err(Error::input(place, message));
    };
    let file: File = serde_json::from_slice(&bytes).map_err(|e| {
        let expected = "expected {\"labels\": [[name, class], …]}, or null for labels";
        Error::input(&place, format!("{expected}: {e}"))
    })?;
    let labels = match &file.labels {
        Some(listed) => Some(labels(listed, file.classes.as_deref(), &packed, &place)?),
        None => None,
    };
    let mut set = folder::read(packed, path, shape)?;
    set.labels = labels;
    set.class_names = file.classes;
    Ok(set)
}

/// The class of each picture, in their order.
fn labels(listed: &[(String, Value)], classes: Option<&[String]>, packed: &Packed, place: &Path) -> Result<Vec<u32>> {
    let bad = |message: String| Error::input(place, message);
    let most = classes.map_or(limits::CLASSES, <[String]>::len);
    let mut of: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, class) in listed {
        let told = name.escape_debug();
        check_name(name).map_err(|rule| bad(format!("\"{told}\" is no name of a picture: {rule}")))?;
        let Some(number) = class.as_u64().filter(|c| *c < most as u64) else {
            let shown: String = class.to_string().chars().take(60).collect();
            let range = format!("a whole number from 0 to {}", most.saturating_sub(1));
            return Err(bad(format!("\"{told}\": expected a class, {range}, found {shown}")));
        };
        if of.insert(name, number as u32).is_some() {
            return Err(bad(format!("\"{told}\" has two labels")));
        }
    }
    let label = |name: &str| of.remove(name).ok_or_else(|| bad(format!("no label for \"{}\"", name.escape_debug())));
    let found = packed.names().map(label).collect::<Result<Vec<u32>>>()?;
    match of.keys().next() {
        None => Ok(found),
        Some(name) => {
            let name = name.escape_debug();
            Err(bad(format!("\"{name}\" has a label, but there is no such picture; it may have been lost in copying")))
        }
    }
}

/// Whether a name leads to a picture below the set's folder and nowhere else; else what is wrong with it.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if name.split('/').any(odd) {
        return Err("expected parts between slashes, none of them empty, . or ..");
    }
    match name.contains(|c: char| c == '\\' || c == ':' || c.is_control()) {
        true => Err("expected slashes, and no backslash, colon or control character"),
        false => Ok(()),
    }
}

#[cfg(test)]
#[path = "edm_tests.rs"]
mod tests;
