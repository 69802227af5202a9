//! Results of the network as its own program gives them, which an import is compared with.

use crate::error::{Error, Result, shown};
use crate::store;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of a file of reference values or of a fixed input.
const BYTES: u64 = 1 << 30;

/// A tensor of numbers of any kind.
#[derive(Clone, Debug)]
pub struct Array {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f64>,
}

/// All tensors of a safetensors file whose values are numbers.
///
/// # Errors
/// [`Error::Input`] for a file that cannot be read.
pub fn arrays(path: &Path) -> Result<BTreeMap<String, Array>> {
    let bytes = store::read_bounded(path, BYTES)?;
    let bad = |e: safetensors::SafeTensorError| Error::input(path, format!("not a safetensors file: {e}"));
    let file = SafeTensors::deserialize(&bytes).map_err(bad)?;
    let mut all = BTreeMap::new();
    for (name, view) in file.iter() {
        if let Some(values) = numbers(view.dtype(), view.data()) {
            all.insert(name.to_owned(), Array { shape: view.shape().to_vec(), values });
        }
    }
    Ok(all)
}

fn numbers(dtype: Dtype, data: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(data: &[u8], of: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.chunks_exact(N).filter_map(|c| c.try_into().ok()).map(of).collect()
    }
    Some(match dtype {
        Dtype::F64 => each(data, f64::from_le_bytes),
        Dtype::I64 => each(data, |b| i64::from_le_bytes(b) as f64),
        Dtype::I32 => each(data, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::U8 | Dtype::BOOL => each(data, |[b]| f64::from(b)),
        other => store::floats(other, data)?.into_iter().map(f64::from).collect(),
    })
}

/// A reference file.
pub struct Reference {
    /// The file.
    pub path: PathBuf,
    arrays: BTreeMap<String, Array>,
}

impl Reference {
    /// The file `given`, or the one beside the model that is named after it.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read or lacks `latents` or `outputs`.
    pub fn find(source: &Path, given: Option<&Path>) -> Result<Option<Self>> {
        let beside = source.with_extension("reference.safetensors");
        let path = match given {
            Some(path) => path.to_owned(),
            None if beside.is_file() => beside,
            None => return Ok(None),
        };
        let found = Self { arrays: arrays(&path)?, path };
        found.require("latents")?;
        found.outputs()?;
        Ok(Some(found))
    }

    fn require(&self, name: &str) -> Result<&Array> {
        let missing = || Error::input(&self.path, format!("no tensor \"{name}\"; isoline.export writes it"));
        self.arrays.get(name).ok_or_else(missing)
    }

    /// Values at which other inputs were held, by input.
    pub fn fixed(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.arrays.iter().filter_map(|(name, a)| name.strip_prefix("fixed.").map(|name| (name, a)))
    }

    /// The latents, `[n, d]` row-major.
    ///
    /// # Errors
    /// [`Error::Input`] for latents of another width than `d`.
    pub fn latents(&self, d: usize) -> Result<Vec<f32>> {
        let latents = self.require("latents")?;
        let width: usize = latents.shape.iter().skip(1).product();
        if width != d || latents.shape.is_empty() {
            let message = format!("latents: expected {d} values each, found the shape {:?}", latents.shape);
            return Err(Error::input(&self.path, message));
        }
        Ok(latents.values.iter().map(|v| *v as f32).collect())
    }

    /// The pictures of these latents, in f64 if the file has them so.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn outputs(&self) -> Result<&Array> {
        self.arrays.get("outputs_f64").map_or_else(|| self.require("outputs"), Ok)
    }

    /// Singular values of the first latents, `[m, d]`, if the file has them.
    pub fn singular_values(&self) -> Option<&Array> {
        self.arrays.get("singular_values").filter(|a| a.shape.len() == 2)
    }

    /// The file in words.
    pub fn told(&self) -> String {
        shown(&self.path)
    }
}
