//! The labelled set (theory, 12): latents from the prior and their spectra, in a resumable table.

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::geometry::JacobianEstimator;
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::store::{self, WeightTensor, Weights};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// `[labels]` of a reward config.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LabelConfig {
    /// Labelled latents, at least [`crate::limits::CALIBRATION_MIN`].
    pub count: usize,
    /// Name of the estimator.
    pub estimator: String,
    /// Key of the latents.
    #[serde(default)]
    pub seed: u64,
}

/// Latents and their singular values.
#[derive(Clone, Debug)]
pub struct Labels {
    /// `[n, d]`, row-major.
    pub latents: Vec<f32>,
    /// One per latent, descending; empty where the Jacobian was not finite.
    pub spectra: Vec<Vec<f64>>,
}

/// Latents per part file.
const PART: usize = 512;
/// Latents per estimator call.
const CALL: usize = 16;

/// Draws and labels latents. Finished parts in `work` that carry this recipe are read instead of
/// computed, so a stopped labelling goes on where it was.
///
/// # Errors
/// Of the estimator, of the disk, or [`Error::Interrupted`] with the finished parts kept.
pub fn label(
    config: &LabelConfig,
    generator: &dyn Generator,
    recipe: &str,
    estimator: &dyn JacobianEstimator,
    work: &Path,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<Labels> {
    let d = generator.spec().latent_width;
    let bar = progress.start(format!("labelling {} ({})", generator.spec().id, estimator.name()), config.count as u64);
    let mut labels =
        Labels { latents: Vec::with_capacity(config.count * d), spectra: Vec::with_capacity(config.count) };
    for first in (0..config.count).step_by(PART) {
        let count = PART.min(config.count - first);
        let latents: Vec<f32> =
            (first..first + count).flat_map(|i| noise::normals(config.seed, i as u64, Stream::Label, 0, d)).collect();
        let path = work.join(format!("{recipe:.12}-{first:08}-{count}.safetensors"));
        let spectra = match read_part(&path, count) {
            Some(spectra) => {
                bar.skip(count as u64);
                spectra
            }
            None => {
                let spectra = compute(&latents, d, generator, estimator, cancel, labels.spectra.len())?;
                write_part(&path, &spectra)?;
                bar.advance(count as u64);
                spectra
            }
        };
        labels.latents.extend(latents);
        labels.spectra.extend(spectra);
    }
    bar.finish();
    Ok(labels)
}

fn compute(
    latents: &[f32],
    d: usize,
    generator: &dyn Generator,
    estimator: &dyn JacobianEstimator,
    cancel: &Cancel,
    done: usize,
) -> Result<Vec<Vec<f64>>> {
    let mut spectra = Vec::new();
    for call in latents.chunks(CALL * d) {
        cancel.check(|| format!("{done} labels are kept"))?;
        // The last call is filled up, so that every call has the same shape.
        let mut filled = call.to_vec();
        filled.resize(CALL * d, 0.0);
        let found = estimator.spectra(generator, &filled)?;
        spectra
            .extend(found.into_iter().take(call.len() / d).map(|s| s.map(|s| s.singular_values).unwrap_or_default()));
    }
    // Stored in f32: round here, so that a resumed labelling gives the same numbers.
    Ok(spectra.into_iter().map(|s| s.into_iter().map(|v| f64::from(v as f32)).collect()).collect())
}

fn write_part(path: &Path, spectra: &[Vec<f64>]) -> Result<()> {
    let width = spectra.iter().map(Vec::len).max().unwrap_or(0);
    // A latent without a spectrum is a row of -1.
    let values = spectra.iter().flat_map(|s| (0..width).map(|i| s.get(i).map_or(-1.0, |v| *v as f32)));
    let tensor = WeightTensor { shape: vec![spectra.len(), width], values: values.collect() };
    store::write_atomic(path, &store::write_safetensors(&BTreeMap::from([("singular_values".to_owned(), tensor)]))?)
}

/// A part from disk, or `None` where it is absent or damaged (it is then made again).
fn read_part(path: &Path, count: usize) -> Option<Vec<Vec<f64>>> {
    let weights = Weights::read(path).ok()?;
    let tensor = weights.get("singular_values")?;
    let [rows, width] = tensor.shape[..] else { return None };
    let row = |r: &[f32]| if r[0] < 0.0 { Vec::new() } else { r.iter().map(|v| f64::from(*v)).collect() };
    (rows == count && width > 0).then(|| tensor.values.chunks_exact(width).map(row).collect())
}

impl Labels {
    /// ψ_k of every latent that has k positive singular values, with its index.
    pub fn psi_k(&self, k: usize) -> Vec<(usize, f64)> {
        self.spectra.iter().enumerate().filter_map(|(i, s)| crate::geometry::psi_k(s, k).map(|p| (i, p))).collect()
    }

    /// Latent `i`, of width `d`.
    pub fn latent(&self, i: usize, d: usize) -> &[f32] {
        &self.latents[i * d..(i + 1) * d]
    }
}

/// Checks `[labels]`.
pub(super) fn check(config: &LabelConfig, place: &str) -> Result<()> {
    let range = crate::limits::CALIBRATION_MIN..=crate::limits::SAMPLES;
    if range.contains(&config.count) {
        return Ok(());
    }
    Err(Error::config(
        format!("{place}: labels.count"),
        format!("expected {} to {}, found {}", range.start(), range.end(), config.count),
    ))
}
