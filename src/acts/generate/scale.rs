//! How large pictures are saved, and in which order the sheet shows them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::str::FromStr;

/// How pictures are enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// On the sheet only, to a size that is easy to look at.
    Auto,
    /// In their files: each pixel becomes a square of so many pixels. 1 changes nothing.
    Times(usize),
}

/// The greatest factor.
pub const MOST: usize = 64;

impl Scale {
    /// The factor by which files are enlarged, if they are.
    pub fn times(self) -> Option<usize> {
        match self {
            Self::Times(n) if n > 1 => Some(n),
            _ => None,
        }
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse::<usize>() {
            Ok(n) if (1..=MOST).contains(&n) => Ok(Self::Times(n)),
            Err(_) if text.trim() == "auto" => Ok(Self::Auto),
            _ => Err(format!("expected a whole number from 1 to {MOST}, or auto, found \"{}\"", text.escape_debug())),
        }
    }
}

impl Serialize for Scale {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Times(n) => to.serialize_u64(*n as u64),
        }
    }
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// As it may stand in a file.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        let text = match Written::deserialize(from)? {
            Written::Number(n) => n.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

/// The order of the seeds on a sheet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sort {
    /// As they were typed.
    #[default]
    Typed,
    /// By their number.
    Seed,
    /// By the novelty they reached, typical first.
    Novelty,
}

impl Sort {
    const ALL: [(&str, Self); 3] = [("typed", Self::Typed), ("seed", Self::Seed), ("novelty", Self::Novelty)];
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|o| o.0 == text.trim()).map(|o| o.1);
        found.ok_or_else(|| format!("expected typed, seed or novelty, found \"{}\"", text.escape_debug()))
    }
}

impl TryFrom<String> for Sort {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Sort> for String {
    fn from(order: Sort) -> Self {
        Sort::ALL.iter().find(|o| o.1 == order).map_or("typed", |o| o.0).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_orders_are_read_as_they_are_written() {
        for (text, scale) in [("auto", Scale::Auto), ("1", Scale::Times(1)), ("64", Scale::Times(64))] {
            assert_eq!(text.parse(), Ok(scale));
            let json = serde_json::to_string(&scale).unwrap();
            assert_eq!(serde_json::from_str::<Scale>(&json).unwrap(), scale);
        }
        for bad in ["0", "65", "-1", "1.5", "big", ""] {
            assert!(bad.parse::<Scale>().is_err(), "{bad}");
        }
        assert_eq!((Scale::Times(1).times(), Scale::Auto.times(), Scale::Times(3).times()), (None, None, Some(3)));
        for (text, order) in Sort::ALL {
            assert_eq!((text.parse(), String::from(order).as_str()), (Ok(order), text));
        }
        assert!("reached".parse::<Sort>().unwrap_err().contains("typed, seed or novelty"));
    }
}
