//! Records: what a finished tile holds. A tile's record is written last.

use crate::error::{Error, Result, escaped};
use crate::limits;
use crate::store;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The same row with every number rounded so that a record can hold it, see [`decimal`].
///
/// # Errors
/// [`Error::Bug`] if a number that must be finite is not.
pub fn as_recorded<R: Serialize + DeserializeOwned>(row: &R) -> Result<R> {
    fn round(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Number(n) if n.is_f64() => {
                *value = n.as_f64().map_or(serde_json::Value::Null, |v| decimal(v).into());
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(round),
            serde_json::Value::Object(fields) => fields.values_mut().for_each(round),
            _ => {}
        }
    }
    let bug = |e: serde_json::Error| Error::Bug(format!("a sample cannot be recorded: {e}"));
    let mut value = serde_json::to_value(row).map_err(bug)?;
    round(&mut value);
    serde_json::from_value(value).map_err(bug)
}

/// `v` rounded to 15 significant digits and 22 decimals. Any JSON reader turns such a number back into the same bits:
/// its digits are a whole number below 2^53 and its power of ten is at most 10^22, so both are exact and the one
/// division rounds once. Otherwise a resumed run could differ from an unbroken one in the last bit of its table.
pub fn decimal(v: f64) -> f64 {
    let short: f64 = format!("{v:.14e}").parse().unwrap_or(v);
    if short.abs() < 1e-7 { format!("{short:.22}").parse().unwrap_or(short) } else { short }
}

/// A tile's record: `records/tile-0000000.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record<R> {
    /// Version of this format; 1.
    pub format: u32,
    /// The run it belongs to.
    pub run_id: String,
    /// The tile.
    pub tile: u64,
    /// SHA-256 of the three fields around it, as compact JSON. If the numbers were changed later, it no longer fits and
    /// the record counts as damaged.
    pub sha256: String,
    /// Its finished samples, ascending by seed.
    pub samples: Vec<R>,
}

/// What was found where a tile's record should be.
pub enum Lookup<T> {
    /// Nothing.
    Nothing,
    /// A whole record of this run.
    Whole(T),
    /// Something unusable, with the reason. The tile is made again.
    Damaged(String),
    /// A whole record of another run or a later version, with the reason. It is not ours to replace.
    Foreign(String),
}

impl<T> Lookup<T> {
    /// The same finding, with `of` applied to what is whole.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Nothing => Lookup::Nothing,
            Self::Whole(found) => Lookup::Whole(of(found)),
            Self::Damaged(why) => Lookup::Damaged(why),
            Self::Foreign(why) => Lookup::Foreign(why),
        }
    }
}

/// Path of a tile's record below the run directory.
pub fn record_path(tile: u64) -> String {
    format!("records/tile-{tile:07}.json")
}

impl<R: Serialize + DeserializeOwned> Record<R> {
    /// A record of this version; its numbers must be [`as_recorded`].
    pub fn new(run_id: &str, tile: u64, samples: Vec<R>) -> Self {
        let sha256 = Self::hash(run_id, tile, &samples);
        Self { format: 1, run_id: run_id.to_owned(), tile, sha256, samples }
    }

    fn hash(run_id: &str, tile: u64, samples: &[R]) -> String {
        // If the samples cannot be serialised, writing the record reports the error.
        store::sha256_hex(&serde_json::to_vec(&(run_id, tile, samples)).unwrap_or_default())
    }

    /// Looks for the record of a tile in `folder`.
    pub fn find(folder: &Path, tile: u64, run_id: &str) -> Lookup<Self> {
        let path = folder.join(record_path(tile));
        let bytes = match store::read_bounded(&path, limits::RECORD_BYTES) {
            Ok(bytes) => bytes,
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Lookup::Nothing,
            Err(e) => return Lookup::Damaged(e.to_string()),
        };
        Self::parse(&bytes, tile, run_id)
    }

    /// What the bytes of a record's file are, where the record of `tile` in the run `run_id` is expected.
    pub fn parse(bytes: &[u8], tile: u64, run_id: &str) -> Lookup<Self> {
        /// The part of a record that every version has.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            run_id: String,
        }
        match serde_json::from_slice::<Head>(bytes) {
            Err(_) => return Lookup::Damaged("is not a whole record".into()),
            Ok(head) if head.format > 1 => {
                return Lookup::Foreign(format!("has format {}, expected 1; a newer isoline wrote it", head.format));
            }
            Ok(head) if head.run_id != run_id => {
                return Lookup::Foreign(format!("belongs to run {}, expected {run_id}", head.run_id.escape_debug()));
            }
            Ok(_) => {}
        }
        match serde_json::from_slice::<Self>(bytes) {
            Ok(record) if record.tile != tile => Lookup::Damaged(format!("is the record of tile {}", record.tile)),
            Ok(record) if record.sha256 != Self::hash(run_id, tile, &record.samples) => {
                Lookup::Damaged("does not fit the hash in it".into())
            }
            Ok(record) => Lookup::Whole(record),
            Err(e) => Lookup::Damaged(format!("is not a whole record: {}", escaped(&e.to_string(), |_| false))),
        }
    }

    /// Writes the record. This commits the tile.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(record_path(self.tile));
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Bug(e.to_string()))?;
        failpoint!("record.before").map_err(|e| Error::io(&path, "write", e))?;
        store::write_atomic(&path, text.as_bytes())?;
        failpoint!("record.after").map_err(|e| Error::io(&path, "write", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_come_back_from_json_to_the_same_bits() -> Result<(), serde_json::Error> {
        let mut v = 0.123_456_789_012_345_68_f64;
        for i in 0..20_000 {
            v = (v * 1.37 + 0.011).sin();
            let scaled = decimal(v * 10f64.powi(i % 24 - 14));
            let back: f64 = serde_json::from_str(&serde_json::to_string(&scaled)?)?;
            assert_eq!(back.to_bits(), scaled.to_bits(), "{scaled:e}");
            assert_eq!(decimal(scaled).to_bits(), scaled.to_bits());
        }
        assert_eq!(decimal(0.0), 0.0);
        Ok(())
    }
}
