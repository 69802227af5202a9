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
    /// These and those of `more` that are not among them, in that order.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        let known: std::collections::BTreeSet<u64> = self.list.iter().copied().collect();
        let new: Vec<u64> = more.list.iter().copied().filter(|s| !known.contains(s)).collect();
        if new.is_empty() {
            return self.clone();
        }
        let text = if new.len() == more.list.len() {
            more.text.clone()
        } else {
            new.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
        };
        Self { text: format!("{},{text}", self.text), list: self.list.iter().copied().chain(new).collect() }
    }

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

/// The largest seed. Tables keep seeds as 64-bit integers and many JSON readers as f64; both hold this one exactly.
pub const MOST: u64 = u64::MAX >> 12;

/// Parses a list of numbers and inclusive ranges. Seeds come in the order typed, each once.
///
/// # Errors
/// What is wrong, for a message.
pub fn parse_seeds(text: &str) -> Result<Vec<u64>, String> {
    let bad = |part: &str| format!("expected seeds as in 0-63,99, found \"{}\"", part.escape_debug());
    let mut seeds = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for part in text.split(',').map(str::trim) {
        let number = |t: &str| match t.trim().parse::<u64>() {
            Ok(n) if n > MOST => Err(format!("expected seeds up to {MOST} (2^52 - 1), found {n}")),
            Ok(n) => Ok(n),
            Err(_) => Err(bad(part)),
        };
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
