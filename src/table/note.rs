//! What a column says, in words.

use serde::Serialize;
use std::borrow::Cow;

/// The entry of a column in the dictionary of columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The column's name. `{i}` in it stands for a number, as in `z_{i}`.
    pub name: Cow<'static, str>,
    /// The unit; `1` for a plain number, `text` for words.
    pub unit: &'static str,
    /// The values it can have.
    pub range: &'static str,
    /// What it says.
    pub meaning: Cow<'static, str>,
    /// When there is no value.
    pub empty: &'static str,
}

impl Note {
    /// An entry, in the order of the printed dictionary.
    pub const fn new(
        name: &'static str,
        unit: &'static str,
        range: &'static str,
        meaning: &'static str,
        empty: &'static str,
    ) -> Self {
        Self { name: Cow::Borrowed(name), unit, range, meaning: Cow::Borrowed(meaning), empty }
    }

    /// Whether this is the entry of the column called `name`.
    pub fn is_of(&self, name: &str) -> bool {
        match self.name.split_once("{i}") {
            None => self.name == name,
            Some((before, after)) => {
                let middle = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                middle.is_some_and(|number| number.parse::<f64>().is_ok_and(f64::is_finite))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_numbers_only() {
        let note = Note::new("z_{i}", "", "", "", "");
        assert!(note.is_of("z_0") && note.is_of("z_127") && note.is_of("z_0.25"));
        assert!(!note.is_of("z_norm") && !note.is_of("z_") && !note.is_of("z_{i}") && !note.is_of("z_inf"));
        let plain = Note::new("psi", "", "", "", "");
        assert!(plain.is_of("psi") && !plain.is_of("psi_k"));
    }
}
