//! What the pictures of a data set show, beyond one class: a table with a line of JSON for each picture, which has its
//! `name` and attributes of any kind (`{"name": "0/1.png", "head": "afro", "skin": 0.4}`).

use super::{DataConfig, Packed, edm::check_name};
use crate::error::{Error, Result, did_you_mean};
use crate::limits;
use crate::store;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The key that names the picture.
const NAME: &str = "name";

/// Columns of such a table, a value for each picture in the order of [`super::Dataset`].
#[derive(Debug)]
pub struct Attributes {
    /// The file, for messages.
    pub place: PathBuf,
    /// The pictures' names.
    pub names: Vec<String>,
    columns: BTreeMap<String, Vec<Value>>,
}

impl Attributes {
    /// Reads the columns `wanted` of the table that `config` names below `root`. Each picture must have exactly one line, and
    /// each line its picture.
    ///
    /// # Errors
    /// [`Error::Key`] if the config names no table; [`Error::Input`] naming file and line, or the picture; [`Error::Io`].
    pub fn read(config: &DataConfig, root: &Path, wanted: &BTreeSet<&str>) -> Result<Self> {
        let Some(file) = &config.attributes else {
            let message = "missing; expected the table of what the pictures show, as in \"truth.jsonl\"";
            return Err(Error::key("attributes", message));
        };
        if config.kind == "idx" {
            let message = "the pictures of an IDX file have no names; take a set of the kind \"edm\" or \"folder\"";
            return Err(Error::key("attributes", message));
        }
        let mut packed = config.listed(root)?;
        check_name(file).map_err(|rule| Error::key("attributes", format!("{rule}, found \"{file}\"")))?;
        let set = root.join(&config.path);
        let (place, bytes) = match packed.beside(file, limits::LABELS_BYTES)? {
            Some(bytes) => (set.join(file), bytes),
            None => (root.join(file), store::read_bounded(&root.join(file), limits::LABELS_BYTES)?),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| Error::input(&place, "expected UTF-8 text"))?;
        parse(text, place, &packed, wanted)
    }

    /// The values of a column that was asked for.
    pub fn column(&self, name: &str) -> &[Value] {
        self.columns.get(name).map_or(&[], Vec::as_slice)
    }
}

fn parse(text: &str, place: PathBuf, packed: &Packed, wanted: &BTreeSet<&str>) -> Result<Attributes> {
    let names: Vec<String> = packed.names().map(str::to_owned).collect();
    let at: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
    let mut rows: Vec<Option<Vec<Value>>> = vec![None; names.len()];
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |message: String| Error::input(&place, format!("line {}: {message}", number + 1));
        let mut row: Map<String, Value> = serde_json::from_str(line)
            .map_err(|e| bad(format!("expected {{\"name\": …, and the attributes}}: {e}")))?;
        let Some(Value::String(name)) = row.remove(NAME) else {
            return Err(bad("expected \"name\", the picture's, found none".to_owned()));
        };
        let told = name.escape_debug();
        let slot = at.get(name.as_str()).and_then(|i| rows.get_mut(*i));
        let slot = slot.ok_or_else(|| bad(format!("there is no picture \"{told}\"")))?;
        if slot.is_some() {
            return Err(bad(format!("\"{told}\" has two lines")));
        }
        let value = |column: &&str| {
            row.remove(*column).ok_or_else(|| {
                let known: Vec<&str> = row.keys().map(String::as_str).collect();
                bad(format!("\"{told}\" has no \"{}\"{}", column.escape_debug(), did_you_mean(column, known)))
            })
        };
        *slot = Some(wanted.iter().map(value).collect::<Result<_>>()?);
    }
    let mut columns: BTreeMap<String, Vec<Value>> = wanted.iter().map(|w| ((*w).to_owned(), Vec::new())).collect();
    for (name, row) in names.iter().zip(rows) {
        let row = row.ok_or_else(|| Error::input(&place, format!("no line for \"{}\"", name.escape_debug())))?;
        // A sorted map: its columns come in the order in which the values of a row were taken.
        columns.values_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
    Ok(Attributes { place, names, columns })
}
