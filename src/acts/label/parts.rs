//! The files of labels: readings, kept in parts so that an interrupted labelling can continue. A part that takes long is
//! kept from time to time while it is made, and when it is stopped.

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
use std::time::{Duration, Instant};

/// Latents in one part file.
const PART: usize = 512;
/// Latents in one estimator call.
pub const CALL: usize = 16;
/// Time after which what is made of a part is kept: no more than that is lost to a crash.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// The part files of a labelled set. Each holds [`PART`] latents, the last one perhaps fewer, and has a record that is
/// written after it: `labels-RECIPE-00000000-512.safetensors` and `.json`. An unfinished part has the same files, with a
/// smaller number at the end.
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

    fn name(&self, part: usize, count: usize, kind: &str) -> String {
        format!("labels-{:.12}-{:08}-{count}.{kind}", self.recipe, part * PART)
    }

    /// The state of a part on disk; `None` if it was not made yet. With `hash` the file is read and compared with its
    /// hash.
    ///
    /// # Errors
    /// What is wrong with the part, as text for a message; the part is then made again.
    pub fn state(&self, part: usize, hash: bool) -> Result<Option<PartState>, String> {
        self.state_of(part, self.count(part), hash)
    }

    /// What is kept of a part that is not finished: the number of its first latents whose readings are there, whole calls
    /// of them so that those still to come have one shape, and their files.
    pub fn kept(&self, part: usize, hash: bool) -> Option<(usize, PartState)> {
        let mut counts = (1..self.count(part).div_ceil(CALL)).rev().map(|calls| calls * CALL);
        counts.find_map(|n| Some((n, self.state_of(part, n, hash).ok()??)))
    }

    fn state_of(&self, part: usize, count: usize, hash: bool) -> Result<Option<PartState>, String> {
        let record = self.name(part, count, "json");
        let path = self.folder.join(&record);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = store::read_bounded(&path, crate::limits::CONFIG_BYTES).map_err(|e| e.to_string())?;
        let found: PartRecord =
            serde_json::from_slice(&bytes).map_err(|_| format!("{record} is not a whole record"))?;
        let whole =
            found.format == 1 && found.recipe == self.recipe && (found.first, found.count) == (part * PART, count);
        if !whole {
            return Err(format!("{record} is the record of another part"));
        }
        let table = self.name(part, count, "safetensors");
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
        self.read_of(part, self.count(part))
    }

    fn read_of(&self, part: usize, count: usize) -> Option<Vec<Vec<f64>>> {
        read_part(&self.folder.join(self.name(part, count, "safetensors")), tensor(self.row), count)
    }

    /// Measures what is missing of a part and writes it. `tell` is given each latent's index, whether it has a reading, and
    /// whether it ends a call. What was measured before a stop or a failure is kept.
    ///
    /// # Errors
    /// When the quantity cannot be measured, a file cannot be written, or the run is stopped.
    pub fn make(
        &self,
        part: usize,
        generator: &dyn Generator,
        quantity: &dyn Quantity,
        tell: &mut dyn FnMut(u64, bool, bool) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let (first, count) = (part * PART, self.count(part));
        let mut readings = self.begun(part);
        let mut on_disk = readings.len();
        let latents = label_latents(self.seed, first..first + count, generator.spec().latent_width);
        let mut last = Instant::now();
        while readings.len() < count {
            let made = failpoint!("label.call")
                .map_err(|e| Error::io(&self.folder, "label in", e))
                .and_then(|()| cancel.check(|| format!("{} labels are kept", first + readings.len())))
                .and_then(|()| call(&latents, readings.len(), generator, quantity));
            let ended = made.is_err();
            if let Ok(made) = &made {
                for (i, reading) in made.iter().enumerate() {
                    let index = (first + readings.len() + i) as u64;
                    tell(index, !reading.is_empty(), i + 1 == made.len())?;
                }
                readings.extend_from_slice(made);
            }
            if readings.len() == count || ((ended || last.elapsed() >= KEEP_EVERY) && readings.len() > on_disk) {
                self.write(part, &readings)?;
                on_disk = readings.len();
                self.tidy(part, on_disk)?;
                last = Instant::now();
            }
            made?;
        }
        Ok(())
    }

    /// The readings that are kept of a part.
    fn begun(&self, part: usize) -> Vec<Vec<f64>> {
        self.kept(part, true).and_then(|(n, _)| self.read_of(part, n)).unwrap_or_default()
    }

    /// Removes what was kept of a part when it had fewer readings than `now`.
    fn tidy(&self, part: usize, now: usize) -> Result<()> {
        let kinds = ["json", "safetensors"];
        let before = (1..now.div_ceil(CALL)).flat_map(|calls| kinds.map(|kind| self.name(part, calls * CALL, kind)));
        for path in before.map(|name| self.folder.join(name)).filter(|path| path.exists()) {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, "remove", e))?;
        }
        Ok(())
    }

    /// Writes the first readings of a part, and then their record.
    fn write(&self, part: usize, readings: &[Vec<f64>]) -> Result<()> {
        let (first, count) = (part * PART, readings.len());
        let bytes = table_bytes(self.row, readings)?;
        store::write_atomic(&self.folder.join(self.name(part, count, "safetensors")), &bytes)?;
        let record = PartRecord {
            format: 1,
            recipe: self.recipe.clone(),
            first,
            count,
            sha256: store::sha256_hex(&bytes),
            undefined: readings.iter().filter(|s| s.is_empty()).count() as u64,
        };
        let text = serde_json::to_string_pretty(&record).map_err(|e| Error::Bug(e.to_string()))?;
        store::write_atomic(&self.folder.join(self.name(part, count, "json")), text.as_bytes())
    }
}

/// The readings of the latents from `first` on, of one call.
fn call(latents: &Latents, first: usize, generator: &dyn Generator, quantity: &dyn Quantity) -> Result<Vec<Vec<f64>>> {
    let d = latents.width();
    let wanted = &latents.values()[first * d..(first + CALL).min(latents.len()) * d];
    // The last call is filled up with zeros, so that every call has the same shape.
    let mut filled = wanted.to_vec();
    filled.resize(CALL * d, 0.0);
    let found = readings_at(filled, generator, quantity)?.into_iter().take(wanted.len() / d);
    let reading = |found: Option<Reading>| match found {
        None => Vec::new(),
        Some(Reading::Spectrum(spectrum)) => spectrum.singular_values,
        Some(Reading::Value(value)) => vec![1.0, value],
    };
    // The file stores f32. Rounding here makes a resumed labelling give the same numbers as an unbroken one.
    Ok(found.map(reading).map(|s| s.into_iter().map(|v| f64::from(v as f32)).collect()).collect())
}

/// Reads the quantity at latents `[n × d]`, or at the pictures that they make.
///
/// # Errors
/// When it cannot be measured.
pub fn readings_at(
    latents: Vec<f32>,
    generator: &dyn Generator,
    quantity: &dyn Quantity,
) -> Result<Vec<Option<Reading>>> {
    let points = match quantity.row().place {
        Place::Latent => latents,
        Place::Picture => host(generator.states(rows(latents, generator.spec().latent_width, generator.device())))?,
    };
    quantity.read(generator, &points)
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
