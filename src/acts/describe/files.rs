//! The files of a description's tiles.

use super::block::{FORMAT, Sample, open, pack, samples};
use super::recipe::Recipe;
use crate::error::{Error, Result};
use crate::run::Lookup;
use crate::store;
use std::path::Path;

/// The files of a description's tiles by one estimator: `tiles/ESTIMATOR/tile-0000007.npz` below the run directory.
/// Each file is written in one go and says which run and tile it belongs to, so it serves as its own record.
pub struct TileFiles<'a> {
    folder: &'a Path,
    estimator: &'a str,
    run_id: &'a str,
}

impl<'a> TileFiles<'a> {
    /// The files below the run directory `folder`.
    pub fn new(folder: &'a Path, estimator: &'a str, run_id: &'a str) -> Self {
        Self { folder, estimator, run_id }
    }

    /// Path of a tile's file below the run directory.
    pub fn path(&self, tile: u64) -> String {
        format!("{}/tile-{tile:07}.npz", Self::below(self.estimator))
    }

    /// Folder of an estimator's tiles below the run directory.
    pub fn below(estimator: &str) -> String {
        format!("tiles/{estimator}")
    }

    /// Looks up a tile's file and returns those of its samples that are in `wanted`, ascending.
    pub fn find(&self, tile: u64, wanted: &[u64]) -> Lookup<Vec<Sample>> {
        let path = self.path(tile);
        let full = self.folder.join(&path);
        if full.symlink_metadata().is_err() {
            return Lookup::Nothing;
        }
        let damaged = |e: Error| match e {
            Error::Input { message, .. } => Lookup::Damaged(format!("{path} is not whole: {message}")),
            other => Lookup::Damaged(other.to_string()),
        };
        let (head, arrays) = match open(&full) {
            Ok(opened) => opened,
            Err(e) => return damaged(e),
        };
        if head.format > FORMAT {
            let found = head.format;
            return Lookup::Foreign(format!("{path} has format {found}, expected {FORMAT}; a newer isoline wrote it"));
        }
        if head.run_id != self.run_id {
            let found = head.run_id.escape_debug();
            return Lookup::Foreign(format!("{path} belongs to run {found}, expected {}", self.run_id));
        }
        let (about, mut samples) = match samples(&full, arrays) {
            Ok(found) => found,
            Err(e) => return damaged(e),
        };
        if about.tile != Some(tile) || about.estimator != self.estimator {
            return Lookup::Damaged(format!("{path} is another tile's"));
        }
        samples.retain(|s| wanted.contains(&s.number));
        match samples.len() == wanted.len() {
            true => Lookup::Whole(samples),
            false => Lookup::Damaged(format!("{path} lacks samples")),
        }
    }

    /// Writes a tile's file, which is also its record.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, tile: u64, recipe: &Recipe, samples: &[Sample]) -> Result<()> {
        let about = recipe.about(self.run_id, Some(tile), self.estimator, samples);
        store::write_atomic(&self.folder.join(self.path(tile)), &pack(&about, samples)?)
    }
}
