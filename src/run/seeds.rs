//! Seeds as typed: `0-63,99`.

use crate::limits;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;

/// Seeds, together with the text they were typed as. Only the text is written to files.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Seeds {
    text: String,
    list: Arc<[u64]>,
}

impl Seeds {
    /// The seeds in the order typed, each once.
    pub fn list(&self) -> &[u64] {
        &self.list
    }
}

impl TryFrom<String> for Seeds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(Self { list: parse_seeds(&text)?.into(), text })
    }
}

impl Serialize for Seeds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

/// Parses a list of numbers and inclusive ranges. Seeds come in the order typed, each once.
///
/// # Errors
/// What is wrong, for a message.
pub fn parse_seeds(text: &str) -> Result<Vec<u64>, String> {
    let bad = |part: &str| format!("expected seeds as in 0-63,99, found \"{}\"", part.escape_debug());
    let mut seeds = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for part in text.split(',').map(str::trim) {
        let number = |t: &str| t.trim().parse::<u64>().ok().filter(|n| *n <= u64::MAX >> 12).ok_or_else(|| bad(part));
        let (first, last) = match part.split_once('-') {
            Some((a, b)) => (number(a)?, number(b)?),
            None => (number(part)?, number(part)?),
        };
        if last < first {
            return Err(bad(part));
        }
        if last - first >= (limits::SAMPLES - seeds.len().min(limits::SAMPLES)) as u64 {
            return Err(format!("more than {} seeds", limits::SAMPLES));
        }
        seeds.extend((first..=last).filter(|s| seen.insert(*s)));
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::parse_seeds;

    #[test]
    fn lists_and_ranges() {
        assert_eq!(parse_seeds("3, 0-2,1,9"), Ok(vec![3, 0, 1, 2, 9]));
        for bad in ["", "a", "5-3", "-1", "1,,2", "99999999999999999999", "0-99999999999"] {
            assert!(parse_seeds(bad).is_err(), "{bad}");
        }
    }
}
