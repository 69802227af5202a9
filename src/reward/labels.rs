//! The labelled set (theory, 12): latents from the prior and what was measured of them.

use super::quantities::QuantityRow;
use crate::error::{Error, Result};
use crate::noise::{self, Stream};
use crate::units::Latents;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// `[labels]` of a reward config.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LabelConfig {
    /// Labelled latents, at least [`crate::limits::CALIBRATION_MIN`].
    pub count: usize,
    /// What is measured; see isoline list quantities.
    #[serde(default = "psi")]
    pub quantity: String,
    /// Name of the estimator.
    pub estimator: String,
    /// Key of the latents.
    #[serde(default)]
    pub seed: u64,
}

fn psi() -> String {
    "psi".into()
}

/// The latents of labels, `[n, width]`: each is its index's own noise.
pub fn label_latents(seed: u64, indices: Range<usize>, width: usize) -> Latents {
    Latents::new(indices.flat_map(|i| noise::normals(seed, i as u64, Stream::Label, 0, width)).collect(), width)
}

/// Latents and what was measured of them.
#[derive(Clone, Debug)]
pub struct Labels {
    /// `[n, d]`
    pub latents: Latents,
    /// One per latent: singular values, descending, or for a quantity without a spectrum 1 and the number. Empty where a
    /// value was not finite.
    readings: Vec<Vec<f64>>,
    row: &'static QuantityRow,
}

impl Labels {
    /// The readings of a quantity on the first latents of `seed`.
    pub fn new(row: &'static QuantityRow, seed: u64, readings: Vec<Vec<f64>>, width: usize) -> Self {
        Self { latents: label_latents(seed, 0..readings.len(), width), readings, row }
    }

    /// The quantity of every latent that has one, with its index; a ψ_k at the model rank `k`.
    pub fn values(&self, k: usize) -> Vec<(usize, f64)> {
        let value = |r: &[f64]| if self.row.of_spectrum { crate::geometry::psi_k(r, k) } else { r.get(1).copied() };
        self.readings.iter().enumerate().filter_map(|(i, r)| value(r).map(|v| (i, v))).collect()
    }

    /// The spectra, none for a quantity without them.
    pub fn spectra(&self) -> &[Vec<f64>] {
        if self.row.of_spectrum { &self.readings } else { &[] }
    }
}

/// Checks `[labels]`.
pub(super) fn check(config: &LabelConfig, place: &str) -> Result<()> {
    super::quantity(&config.quantity, &config.estimator).map_err(|e| e.at(&format!("{place}: ")))?;
    let range = crate::limits::CALIBRATION_MIN..=crate::limits::SAMPLES;
    if range.contains(&config.count) {
        return Ok(());
    }
    Err(Error::config(
        format!("{place}: labels.count"),
        format!("expected {} to {}, found {}", range.start(), range.end(), config.count),
    ))
}
