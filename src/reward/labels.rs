//! The labelled set (theory, 12): latents from the prior, and what was measured at each of them.

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
    /// Number of labelled latents, at least [`crate::limits::CALIBRATION_MIN`].
    pub count: usize,
    /// What is measured; `isoline list quantities` shows the choices.
    #[serde(default = "psi")]
    pub quantity: String,
    /// Name of the estimator.
    pub estimator: String,
    /// Seed of the latents.
    #[serde(default)]
    pub seed: u64,
}

fn psi() -> String {
    "psi".into()
}

/// The latents of labels, `[n, width]`. Each is keyed by its own index, so a range does not depend on where it starts.
pub fn label_latents(seed: u64, indices: Range<usize>, width: usize) -> Latents {
    Latents::new(indices.flat_map(|i| noise::normals(seed, i as u64, Stream::Label, 0, width)).collect(), width)
}

/// Latents, and what was measured at each of them.
#[derive(Clone, Debug)]
pub struct Labels {
    /// The latents, `[n, d]`.
    pub latents: Latents,
    /// One per latent: the singular values, descending; or, for a quantity without a spectrum, the two values 1 and the
    /// number. Empty where a value was not finite.
    readings: Vec<Vec<f64>>,
    row: &'static QuantityRow,
}

impl Labels {
    /// The labelled set of the first latents of `seed`; `readings` holds one entry per latent, in index order.
    pub fn new(row: &'static QuantityRow, seed: u64, readings: Vec<Vec<f64>>, width: usize) -> Self {
        Self { latents: label_latents(seed, 0..readings.len(), width), readings, row }
    }

    /// (index, value) of every latent for which the quantity is defined; a ψ_k is taken at the model rank `k`.
    pub fn values(&self, k: usize) -> Vec<(usize, f64)> {
        let value = |r: &[f64]| if self.row.of_spectrum { crate::geometry::psi_k(r, k) } else { r.get(1).copied() };
        self.readings.iter().enumerate().filter_map(|(i, r)| value(r).map(|v| (i, v))).collect()
    }

    /// The singular values of every label; empty for a quantity without a spectrum.
    pub fn spectra(&self) -> &[Vec<f64>] {
        if self.row.of_spectrum { &self.readings } else { &[] }
    }
}

/// Checks `[labels]`; `place` names the config in messages.
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
