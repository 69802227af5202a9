//! Showers in a calorimeter as a data set: their scores, and the place of their energies.

use crate::error::{Error, Result};
use crate::evaluate::calorimeter::{Geometry, Scores};
use crate::store;
use std::path::Path;

/// Showers that a generator learns, in host memory.
#[derive(Clone, Debug)]
pub struct ShowerSet {
    scores: Vec<f32>,
    width: usize,
    places: Vec<f32>,
    tables: Scores,
    sha256: String,
}

impl ShowerSet {
    /// Reads an HDF5 file of the CaloChallenge for a detector, fits the tables of scores to it, and turns it into scores;
    /// `seed` draws where a voxel is off.
    ///
    /// # Errors
    /// Those of reading and of [`Scores::fit`], with the file's name.
    pub fn read(path: &Path, geometry: &Geometry, seed: u64) -> Result<Self> {
        let showers = Scores::cut_showers(path, geometry)?;
        let at = |e: Error| match e {
            Error::Key { message, .. } => Error::input(path, message),
            other => other,
        };
        let tables = Scores::fit(&showers, geometry).map_err(at)?;
        let scores = tables.of(&showers, 0, seed).map_err(at)?;
        let places = showers.energies.iter().map(|e| tables.place(*e)).collect();
        let voxels = showers.voxels.iter().flat_map(|v| v.to_le_bytes());
        let energies = showers.energies.iter().flat_map(|e| e.to_le_bytes());
        let sha256 = store::sha256_hex(&energies.chain(voxels).collect::<Vec<u8>>());
        Ok(Self { scores, width: Scores::width(geometry), places, tables, sha256 })
    }

    /// How many showers there are.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// A fingerprint of energies and voxels, in order.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The scores of shower `i`.
    pub fn scores(&self, i: usize) -> &[f32] {
        &self.scores[i * self.width..(i + 1) * self.width]
    }

    /// Where the energy of shower `i` is in the range of all, from −1 to 1.
    pub fn place(&self, i: usize) -> f32 {
        self.places[i]
    }

    /// The tables that turn scores back into showers.
    pub fn tables(&self) -> &Scores {
        &self.tables
    }
}
