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

    /// The text they were typed as.
    pub fn text(&self) -> &str {
        &self.text
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

/// Parses a list of numbers and inclusive ranges. A seed is any number of 64 bits. Seeds come in the order typed, each
/// once.
///
/// # Errors
/// What is wrong, for a message.
pub fn parse_seeds(text: &str) -> Result<Vec<u64>, String> {
    parse(text, |_| ())
}

/// A sentence about the seeds that `text` holds more than once; `None` where there are none.
///
/// # Errors
/// Those of [`parse_seeds`].
pub fn repeated(text: &str) -> Result<Option<String>, String> {
    let mut twice = std::collections::BTreeSet::new();
    parse(text, |seed| {
        twice.insert(seed);
    })?;
    let shown: Vec<String> = twice.iter().take(3).map(u64::to_string).collect();
    Ok(match twice.len() {
        0 => None,
        1 => Some(format!("seed {} was given twice; it is made once", shown[0])),
        n if n > shown.len() => {
            Some(format!("seeds {} and {} more were given twice; each is made once", shown.join(", "), n - shown.len()))
        }
        _ => Some(format!("seeds {} were given twice; each is made once", shown.join(", "))),
    })
}

/// Parses a list and tells `again` of each seed that was there before.
fn parse(text: &str, mut again: impl FnMut(u64)) -> Result<Vec<u64>, String> {
    let bad = |part: &str| format!("expected seeds as in 0-63,99, found \"{}\"", part.escape_debug());
    let mut ranges = Vec::new();
    let mut typed = 0u64;
    for part in text.split(',').map(str::trim) {
        let number = |t: &str| {
            t.trim().parse::<u64>().map_err(|e| match e.kind() {
                std::num::IntErrorKind::PosOverflow => {
                    format!("expected seeds up to {} (2^64 - 1), found {}", u64::MAX, t.trim().escape_debug())
                }
                _ => bad(part),
            })
        };
        let (first, last) = match part.split_once('-') {
            Some((a, b)) => (number(a)?, number(b)?),
            None => (number(part)?, number(part)?),
        };
        if last < first {
            return Err(bad(part));
        }
        // Those that are typed again count too, for they take their time as well.
        typed = typed.saturating_add((last - first).saturating_add(1));
        if typed > limits::SAMPLES as u64 {
            return Err(format!("more than {} seeds", limits::SAMPLES));
        }
        ranges.push((first, last));
    }
    let each = ranges.iter().flat_map(|(first, last)| *first..=*last);
    let mut sorted = ranges.clone();
    sorted.sort_unstable();
    if sorted.windows(2).all(|w| w[0].1 < w[1].0) {
        return Ok(each.collect());
    }
    let mut seen = std::collections::BTreeSet::new();
    let fresh = |seed: &u64| {
        let fresh = seen.insert(*seed);
        if !fresh {
            again(*seed);
        }
        fresh
    };
    Ok(each.filter(fresh).collect())
}

#[cfg(test)]
mod tests {
    use super::{parse_seeds, repeated};

    #[test]
    fn lists_and_ranges() {
        assert_eq!(parse_seeds("3, 0-2,1,9"), Ok(vec![3, 0, 1, 2, 9]));
        for bad in ["", "a", "5-3", "-1", "1,,2", "99999999999999999999", "0-99999999999"] {
            assert!(parse_seeds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seeds_typed_again_count_towards_the_most_there_may_be() {
        let half = "0-4999999";
        assert_eq!(parse_seeds(half).map(|s| s.len()), Ok(5_000_000));
        assert_eq!(parse_seeds(&[half; 1_000].join(",")), Err("more than 10000000 seeds".to_owned()));
        assert_eq!(parse_seeds("0-18446744073709551615"), Err("more than 10000000 seeds".to_owned()));
    }

    #[test]
    fn every_number_of_64_bits_is_a_seed() {
        assert_eq!(parse_seeds("18446744073709551614-18446744073709551615"), Ok(vec![u64::MAX - 1, u64::MAX]));
        let beyond = "expected seeds up to 18446744073709551615 (2^64 - 1), found 18446744073709551616";
        assert_eq!(parse_seeds("18446744073709551616"), Err(beyond.to_owned()));
    }

    #[test]
    fn seeds_given_twice_are_named() {
        assert_eq!(repeated("0-63,99"), Ok(None));
        assert_eq!(repeated("3,3,3"), Ok(Some("seed 3 was given twice; it is made once".into())));
        assert_eq!(repeated("0-9,4,2"), Ok(Some("seeds 2, 4 were given twice; each is made once".into())));
        let many = "seeds 0, 1, 2 and 7 more were given twice; each is made once";
        assert_eq!(repeated("0-9,0-9"), Ok(Some(many.into())));
    }
}
