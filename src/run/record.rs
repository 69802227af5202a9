//! Records: what a finished tile holds, written last.

use crate::error::Result;
use crate::steering::Status;
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One sample, as in a record and as a row of `samples.parquet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRow {
    /// Seed, the sample's index.
    pub seed: u64,
    /// Picture, relative to the run directory; absent where a value was not finite.
    pub file: Option<String>,
    /// SHA-256 of the picture's file.
    pub sha256: Option<String>,
    /// Percentile asked for; absent for plain sampling.
    pub novelty_asked: Option<f64>,
    /// Percentile by the reward's word.
    pub novelty_predicted: Option<f64>,
    /// ψ_k by the reward's word, which says more than its percentile beyond the ends of the table.
    pub psi_predicted: Option<f64>,
    /// Percentile measured.
    pub novelty_reached: Option<f64>,
    /// Standard deviations beyond the calibration table; 0 inside it.
    pub beyond: Option<f64>,
    /// ψ_k measured.
    pub psi_k: Option<f64>,
    /// ψ measured.
    pub psi: Option<f64>,
    /// Local rank.
    pub nu: Option<f64>,
    /// Numerical rank r.
    pub rank: Option<f64>,
    /// Log-likelihood at the model rank.
    pub log_likelihood: Option<f64>,
    /// ‖z − z₀‖.
    pub distance: f64,
    /// Angle between z and z₀, degrees.
    pub angle: f64,
    /// Steering steps.
    pub steps: usize,
    /// How it ended.
    pub status: Status,
}

/// `records/tile-0000000.json`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The run it belongs to.
    pub run_id: String,
    /// The tile.
    pub tile: u64,
    /// Its finished samples, ascending by seed.
    pub samples: Vec<SampleRow>,
}

impl Record {
    /// Path below the run directory.
    pub fn path(tile: u64) -> String {
        format!("records/tile-{tile:07}.json")
    }

    /// The verified samples of a tile: those whose record parses, carries `run_id`, and whose
    /// pictures have the recorded hash. Damaged ones are simply not done.
    pub fn verified(folder: &Path, tile: u64, run_id: &str) -> Vec<SampleRow> {
        let Ok(bytes) = store::read_bounded(&folder.join(Self::path(tile)), 16 << 20) else { return Vec::new() };
        let Ok(record) = serde_json::from_slice::<Self>(&bytes) else { return Vec::new() };
        if record.run_id != run_id || record.tile != tile {
            return Vec::new();
        }
        let whole = |s: &SampleRow| match (&s.file, &s.sha256) {
            (Some(file), Some(hash)) => {
                *file == picture_path(s.seed) && store::sha256_file(&folder.join(file)).is_ok_and(|h| h == *hash)
            }
            (None, None) => s.status == Status::NonFinite,
            _ => false,
        };
        record.samples.into_iter().filter(whole).collect()
    }

    /// Writes the record: the commit of its tile.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| crate::error::Error::Bug(e.to_string()))?;
        store::write_atomic(&folder.join(Self::path(self.tile)), text.as_bytes())
    }
}

/// Picture of a seed below the run directory.
pub fn picture_path(seed: u64) -> String {
    format!("images/{seed:06}.png")
}
