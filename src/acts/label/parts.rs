//! The files of labels: readings, kept in parts so that an interrupted labelling can continue.

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::noise;
use crate::reward::{Place, Quantity, QuantityRow, Reading, label_latents};
use crate::store::{self, WeightTensor, Weights};
use crate::tensors::{host, rows};
use crate::units::Latents;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Latents in one part file.
const PART: usize = 512;
/// Latents in one estimator call.
pub const CALL: usize = 16;

/// The part files of a labelled set. Each holds [`PART`] latents, the last one perhaps fewer, and has a record that is
/// written after it: `labels-RECIPE-00000000-512.safetensors` and `.json`.
pub struct Parts {
    folder: PathBuf,
    recipe: String,
    row: &'static QuantityRow,
    seed: u64,
    total: usize,
}

/// The record of a part, written last.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PartRecord {
    format: u32,
    recipe: String,
    first: usize,
    count: usize,
    sha256: String,
    /// Number of latents without a reading.
    undefined: u64,
}

/// A finished part on disk.
#[derive(Clone, Debug)]
pub struct PartState {
    /// SHA-256 and name of its files.
    pub files: Vec<(String, String)>,
    /// Number of latents without a reading.
    pub undefined: u64,
}

impl Parts {
    /// The parts of a table of `total` latents of a model, kept in `folder`.
    pub fn new(
        folder: &Path,
        model_sha256: &str,
        device: &str,
        quantity: &dyn Quantity,
        seed: u64,
        total: usize,
    ) -> Self {
        // The count is not in the recipe, so a longer table can continue a shorter one.
        let (row, how) = (quantity.row(), quantity.how());
        // For psi the estimator alone: tables were named that way when there was no other quantity.
        let what = if row.name == "psi" { how } else { format!("{} {how}", row.name) };
        let recipe = format!("{model_sha256} {what} {seed} {} {device}", noise::SCHEME);
        let recipe = store::sha256_hex(recipe.as_bytes());
        Self { folder: folder.to_owned(), recipe, row, seed, total }
    }

    /// Number of parts.
    pub fn len(&self) -> usize {
        self.total.div_ceil(PART)
    }

    /// Number of latents in a part.
    pub fn count(&self, part: usize) -> usize {
        PART.min(self.total - part * PART)
    }

    fn name(&self, part: usize, kind: &str) -> String {
        format!("labels-{:.12}-{:08}-{}.{kind}", self.recipe, part * PART, self.count(part))
    }

    /// The state of a part on disk; `None` if it was not made yet. With `hash` the file is read and compared with its
    /// hash.
    ///
    /// # Errors
    /// What is wrong with the part, as text for a message; the part is then made again.
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

    /// The readings of a finished part, one list for each latent, see [`Labels`](crate::reward::Labels). `None` if the
    /// part is missing or damaged.
    pub fn read(&self, part: usize) -> Option<Vec<Vec<f64>>> {
        self.state(part, true).ok()??;
        read_part(&self.folder.join(self.name(part, "safetensors")), tensor(self.row), self.count(part))
    }

    /// Measures a part and writes it. Returns each latent's index and whether it has a reading.
    ///
    /// # Errors
    /// When the quantity cannot be measured, a file cannot be written, or the run is stopped.
    pub fn make(
        &self,
        part: usize,
        generator: &dyn Generator,
        quantity: &dyn Quantity,
        cancel: &Cancel,
    ) -> Result<Vec<(u64, bool)>> {
        let first = part * PART;
        let latents = label_latents(self.seed, first..first + self.count(part), generator.spec().latent_width);
        let readings = compute(&latents, generator, quantity, cancel, first)?;
        let bytes = table_bytes(self.row, &readings)?;
        store::write_atomic(&self.folder.join(self.name(part, "safetensors")), &bytes)?;
        let record = PartRecord {
            format: 1,
            recipe: self.recipe.clone(),
            first,
            count: self.count(part),
            sha256: store::sha256_hex(&bytes),
            undefined: readings.iter().filter(|s| s.is_empty()).count() as u64,
        };
        let text = serde_json::to_string_pretty(&record).map_err(|e| Error::Bug(e.to_string()))?;
        store::write_atomic(&self.folder.join(self.name(part, "json")), text.as_bytes())?;
        Ok(readings.iter().zip(first as u64..).map(|(s, i)| (i, !s.is_empty())).collect())
    }
}

fn compute(
    latents: &Latents,
    generator: &dyn Generator,
    quantity: &dyn Quantity,
    cancel: &Cancel,
    done: usize,
) -> Result<Vec<Vec<f64>>> {
    let d = latents.width();
    let mut readings: Vec<Vec<f64>> = Vec::new();
    for call in latents.values().chunks(CALL * d) {
        cancel.check(|| format!("{done} labels are kept"))?;
        // The last call is filled up with zeros, so that every call has the same shape.
        let mut filled = call.to_vec();
        filled.resize(CALL * d, 0.0);
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
    // The file stores f32. Rounding here makes a resumed labelling give the same numbers as an unbroken one.
    Ok(readings.into_iter().map(|s| s.into_iter().map(|v| f64::from(v as f32)).collect()).collect())
}

/// Name of the tensor in a table's file.
fn tensor(row: &QuantityRow) -> &'static str {
    if row.of_spectrum { "singular_values" } else { "values" }
}

/// The file of a table of readings, one row for each latent.
///
/// # Errors
/// [`Error::Bug`].
pub fn table_bytes(row: &QuantityRow, readings: &[Vec<f64>]) -> Result<Vec<u8>> {
    // A latent without a reading becomes a row of -1. A number that may itself be negative comes after a 1.
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
