//! What a safetensors file holds, by its header alone: names, shapes and types, without the numbers.

use super::{head::like_safetensors, header, open_file, told};
use crate::error::{Error, Result};
use crate::limits;
use std::io::Read;
use std::path::Path;

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its sides.
    pub shape: Vec<usize>,
    /// The type of its numbers, as safetensors writes it: `F16`, `F32`, ….
    pub dtype: String,
}

impl Listed {
    /// Number of its values.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The tensors of a safetensors file.
///
/// # Errors
/// [`Error::Io`]; [`Error::Input`] for a file that is none, or cut short.
pub fn list_tensors(file: &Path) -> Result<Vec<Listed>> {
    let bad = |message: String| Error::input(file, message);
    let mut source = open_file(file)?;
    let size = source.metadata().map_err(|e| Error::io(file, "read", e))?.len();
    let mut head = vec![0; size.min(512) as usize];
    source.read_exact(&mut head).map_err(|e| Error::io(file, "read", e))?;
    if !like_safetensors(&head) {
        let found = told(&head).unwrap_or_else(|| format!("{size} bytes; it is cut short or of another kind"));
        return Err(bad(format!("expected a safetensors file, found {found}")));
    }
    let length = head.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
    if length > limits::HEADER_BYTES || length > size.saturating_sub(8) {
        return Err(bad(format!("header of {length} bytes in a file of {size}; it is cut short")));
    }
    let mut bytes = head.split_off(8);
    bytes.truncate(length as usize);
    let rest = length - bytes.len() as u64;
    source.take(rest).read_to_end(&mut bytes).map_err(|e| Error::io(file, "read", e))?;
    let data = usize::try_from(size - 8 - length).unwrap_or(usize::MAX);
    let listed = header::read(&bytes, data).map_err(bad)?;
    let one = |(name, info): (String, safetensors::tensor::TensorInfo)| Listed {
        name,
        shape: info.shape,
        dtype: info.dtype.to_string(),
    };
    Ok(listed.into_iter().map(one).collect())
}
