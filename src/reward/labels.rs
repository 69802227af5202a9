//! The labelled set (theory, 12): latents from the prior and what was measured of them, in a resumable table.

use super::quantities::{Place, Quantity, QuantityRow, Reading};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::store::{self, WeightTensor, Weights};
use crate::tensors::{host, rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

/// Latents and what was measured of them.
#[derive(Clone, Debug)]
pub struct Labels {
    /// `[n, d]`, row-major.
    pub latents: Vec<f32>,
    /// One per latent: singular values, descending, or for a quantity without a spectrum 1 and the number. Empty where a
    /// value was not finite.
    pub readings: Vec<Vec<f64>>,
    row: &'static QuantityRow,
}

/// Latents per part file.
const PART: usize = 512;
/// Latents per estimator call.
pub const LABEL_CALL: usize = 16;

/// The part files of a labelled set, each [`PART`] latents long but the last, and each with a record that is written after
/// it: `labels-RECIPE-00000000-512.safetensors` and `.json`.
pub struct LabelParts {
    folder: PathBuf,
    recipe: String,
    row: &'static QuantityRow,
    seed: u64,
    total: usize,
}

/// The last file of a part.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PartRecord {
    format: u32,
    recipe: String,
    first: usize,
    count: usize,
    sha256: String,
    /// Latents without a reading.
    undefined: u64,
}

/// A finished part.
#[derive(Clone, Debug)]
pub struct PartState {
    /// SHA-256 and name of its files.
    pub files: Vec<(String, String)>,
    /// Latents without a reading.
    pub undefined: u64,
}

impl LabelParts {
    /// The parts in `folder` of `total` latents of a model.
    pub fn new(
        folder: &Path,
        model_sha256: &str,
        device: &str,
        quantity: &dyn Quantity,
        seed: u64,
        total: usize,
    ) -> Self {
        // The count is no part of the recipe: a longer table goes on from a shorter one.
        let (row, how) = (quantity.row(), quantity.how());
        // Of the first quantity by its estimator alone, as tables were named when there was no other.
        let what = if row.name == psi() { how } else { format!("{} {how}", row.name) };
        let recipe = format!("{model_sha256} {what} {seed} {} {device}", noise::SCHEME);
        let recipe = store::sha256_hex(recipe.as_bytes());
        Self { folder: folder.to_owned(), recipe, row, seed, total }
    }

    /// Number of parts.
    pub fn len(&self) -> usize {
        self.total.div_ceil(PART)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Latents of a part.
    pub fn count(&self, part: usize) -> usize {
        PART.min(self.total - part * PART)
    }

    fn name(&self, part: usize, kind: &str) -> String {
        format!("labels-{:.12}-{:08}-{}.{kind}", self.recipe, part * PART, self.count(part))
    }

    /// What is on disk of a part; `None` where it was not made yet. With `hash` the file is read and compared.
    ///
    /// # Errors
    /// What is wrong with the part; it is to be made again.
    pub fn state(&self, part: usize, hash: bool) -> Result<Option<PartState>, String> {
        let record = self.name(part, "json");
        let path = self.folder.join(&record);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = store::read_bounded(&path, crate::limits::CONFIG_BYTES).map_err(|e| e.to_string())?;
        let found: PartRecord =
            serde_json::from_slice(&bytes).map_err(|_| format!("{record} is not a whole record"))?;
        let whole = found.format == 1
            && found.recipe == self.recipe
            && (found.first, found.count) == (part * PART, self.count(part));
        if !whole {
            return Err(format!("{record} is the record of another part"));
        }
        let table = self.name(part, "safetensors");
        let path = self.folder.join(&table);
        if !path.is_file() {
            return Err(format!("{table} is missing"));
        }
        if hash && store::sha256_file(&path).map_err(|e| e.to_string())? != found.sha256 {
            return Err(format!("{table} has another hash than its record says"));
        }
        let files = vec![(found.sha256, table), (store::sha256_hex(&bytes), record)];
        Ok(Some(PartState { files, undefined: found.undefined }))
    }

    /// The readings of a finished part, see [`Labels::readings`]; `None` where it is absent or damaged.
    pub fn read(&self, part: usize) -> Option<Vec<Vec<f64>>> {
        self.state(part, true).ok()??;
        read_part(&self.folder.join(self.name(part, "safetensors")), tensor(self.row), self.count(part))
    }

    /// The latents of a part, row-major.
    fn latents(&self, part: usize, d: usize) -> Vec<f32> {
        let first = part * PART;
        let indices = first..first + self.count(part);
        indices.flat_map(|i| noise::normals(self.seed, i as u64, Stream::Label, 0, d)).collect()
    }

    /// Measures a part and writes it; gives each latent's index and whether it has a reading.
    ///
    /// # Errors
    /// Of the quantity, of the disk, or a stop.
    pub fn make(
        &self,
        part: usize,
        generator: &dyn Generator,
        quantity: &dyn Quantity,
        cancel: &Cancel,
    ) -> Result<Vec<(u64, bool)>> {
        let d = generator.spec().latent_width;
        let readings = compute(&self.latents(part, d), d, generator, quantity, cancel, part * PART)?;
        let bytes = table_bytes(self.row, &readings)?;
        store::write_atomic(&self.folder.join(self.name(part, "safetensors")), &bytes)?;
        let record = PartRecord {
            format: 1,
            recipe: self.recipe.clone(),
            first: part * PART,
            count: self.count(part),
            sha256: store::sha256_hex(&bytes),
            undefined: readings.iter().filter(|s| s.is_empty()).count() as u64,
        };
        let text = serde_json::to_string_pretty(&record).map_err(|e| Error::Bug(e.to_string()))?;
        store::write_atomic(&self.folder.join(self.name(part, "json")), text.as_bytes())?;
        Ok(readings.iter().zip((part * PART) as u64..).map(|(s, i)| (i, !s.is_empty())).collect())
    }
}

/// Draws and labels latents. Finished parts in `work` are read instead of computed, so a stopped labelling goes on where it
/// was.
///
/// # Errors
/// Of the quantity, of the disk, or [`Error::Interrupted`] with the finished parts kept.
#[allow(clippy::too_many_arguments)]
pub fn label(
    config: &LabelConfig,
    generator: &dyn Generator,
    model_sha256: &str,
    device_class: &str,
    quantity: &dyn Quantity,
    work: &Path,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<Labels> {
    let d = generator.spec().latent_width;
    let parts = LabelParts::new(work, model_sha256, device_class, quantity, config.seed, config.count);
    let title = format!("labelling {} ({}, {})", generator.spec().id, quantity.row().name, quantity.how());
    let bar = progress.start(title, config.count as u64);
    let (latents, readings) = (Vec::with_capacity(config.count * d), Vec::with_capacity(config.count));
    let mut labels = Labels { latents, readings, row: quantity.row() };
    for part in 0..parts.len() {
        let count = parts.count(part) as u64;
        let readings = match parts.read(part) {
            Some(readings) => {
                bar.skip(count);
                readings
            }
            None => {
                parts.make(part, generator, quantity, cancel)?;
                bar.advance(count);
                parts.read(part).ok_or_else(|| Error::Bug(format!("label part {part} was written and is not there")))?
            }
        };
        labels.latents.extend(parts.latents(part, d));
        labels.readings.extend(readings);
    }
    bar.finish();
    Ok(labels)
}

fn compute(
    latents: &[f32],
    d: usize,
    generator: &dyn Generator,
    quantity: &dyn Quantity,
    cancel: &Cancel,
    done: usize,
) -> Result<Vec<Vec<f64>>> {
    let mut readings: Vec<Vec<f64>> = Vec::new();
    for call in latents.chunks(LABEL_CALL * d) {
        cancel.check(|| format!("{done} labels are kept"))?;
        // The last call is filled up, so that every call has the same shape.
        let mut filled = call.to_vec();
        filled.resize(LABEL_CALL * d, 0.0);
        let points = match quantity.row().place {
            Place::Latent => filled,
            Place::Picture => host(generator.generate(rows(filled, d, generator.device())))?,
        };
        let reading = |found: Option<Reading>| match found {
            None => Vec::new(),
            Some(Reading::Spectrum(spectrum)) => spectrum.singular_values,
            Some(Reading::Value(value)) => vec![1.0, value],
        };
        readings.extend(quantity.read(generator, &points)?.into_iter().take(call.len() / d).map(reading));
    }
    // Stored in f32: round here, so that a resumed labelling gives the same numbers.
    Ok(readings.into_iter().map(|s| s.into_iter().map(|v| f64::from(v as f32)).collect()).collect())
}

/// Name of a table's tensor.
fn tensor(row: &QuantityRow) -> &'static str {
    if row.of_spectrum { "singular_values" } else { "values" }
}

/// The file of a table of readings.
///
/// # Errors
/// [`Error::Bug`].
pub fn table_bytes(row: &QuantityRow, readings: &[Vec<f64>]) -> Result<Vec<u8>> {
    // A latent without a reading is a row of -1; a number that may be negative stands behind a 1.
    let width = readings.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let values = readings.iter().flat_map(|s| (0..width).map(|i| s.get(i).map_or(-1.0, |v| *v as f32)));
    let table = WeightTensor { shape: vec![readings.len(), width], values: values.collect() };
    store::write_safetensors(&BTreeMap::from([(tensor(row).to_owned(), table)]))
}

fn read_part(path: &Path, name: &str, count: usize) -> Option<Vec<Vec<f64>>> {
    let weights = Weights::read(path).ok()?;
    let tensor = weights.get(name)?;
    let [rows, width] = tensor.shape[..] else { return None };
    let row = |r: &[f32]| if r[0] < 0.0 { Vec::new() } else { r.iter().map(|v| f64::from(*v)).collect() };
    (rows == count && width > 0).then(|| tensor.values.chunks_exact(width).map(row).collect())
}

impl Labels {
    /// The quantity of every latent that has one, with its index; a ψ_k at the model rank `k`.
    pub fn values(&self, k: usize) -> Vec<(usize, f64)> {
        let value = |r: &[f64]| if self.row.of_spectrum { crate::geometry::psi_k(r, k) } else { r.get(1).copied() };
        self.readings.iter().enumerate().filter_map(|(i, r)| value(r).map(|v| (i, v))).collect()
    }

    /// The spectra, none for a quantity without them.
    pub fn spectra(&self) -> &[Vec<f64>] {
        if self.row.of_spectrum { &self.readings } else { &[] }
    }

    /// Latent `i`, of width `d`.
    pub fn latent(&self, i: usize, d: usize) -> &[f32] {
        &self.latents[i * d..(i + 1) * d]
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
