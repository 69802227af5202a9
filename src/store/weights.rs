//! Safetensors files, read within bounds and checked before use.

use super::read_bounded;
use crate::error::{Error, Result};
use crate::limits;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor {
    /// The shape, as in the file.
    pub shape: Vec<usize>,
    /// Row-major values; f16, bf16 and f64 are cast to f32.
    pub values: Vec<f32>,
}

/// All tensors of a safetensors file, by name.
#[derive(Clone, Debug)]
pub struct Weights {
    file: PathBuf,
    tensors: BTreeMap<String, WeightTensor>,
    cast: Vec<String>,
}

impl Weights {
    /// Reads a safetensors file.
    ///
    /// # Errors
    /// [`Error::Input`], naming the tensor where there is one, for a damaged file, an exceeded limit or a non-finite
    /// value; [`Error::Io`] if the file cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        Self::parse(file, &read_bounded(file, limits::WEIGHTS_BYTES)?)
    }

    /// The same from bytes that are already read; `file` is only for messages.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self> {
        let bad = |message: String| Error::input(file, message);
        let header = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
        match header {
            None => {
                return Err(bad(format!("expected a safetensors file, found {} bytes; it is cut short", bytes.len())));
            }
            Some(n) if n > limits::HEADER_BYTES => {
                return Err(bad(format!(
                    "header of {n} bytes, at most {} are read; it is not a safetensors file",
                    limits::HEADER_BYTES
                )));
            }
            Some(n) if n > bytes.len() as u64 - 8 => {
                return Err(bad(format!("header of {n} bytes in a file of {}; it is cut short", bytes.len())));
            }
            Some(_) => {}
        }
        let header = bytes.get(8..8 + header.unwrap_or(0) as usize).unwrap_or_default();
        if let Some(name) = twice(header) {
            let name = name.escape_debug();
            return Err(bad(format!("tensor \"{name}\" is listed twice; which of the two is meant cannot be told")));
        }
        let parsed = SafeTensors::deserialize(bytes).map_err(|e| bad(format!("not a whole safetensors file: {e}")))?;
        if parsed.len() > limits::TENSORS {
            return Err(bad(format!("{} tensors, at most {} are read", parsed.len(), limits::TENSORS)));
        }
        let (mut tensors, mut cast) = (BTreeMap::new(), Vec::new());
        for (name, view) in parsed.iter() {
            let shown = name.escape_debug();
            if name.len() > limits::NAME_BYTES || !name.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                return Err(bad(format!(
                    "tensor name \"{shown}\": expected at most {} bytes of printable ASCII",
                    limits::NAME_BYTES
                )));
            }
            if view.shape().len() > limits::RANK {
                return Err(bad(format!(
                    "tensor \"{shown}\": rank {}, at most {} is read",
                    view.shape().len(),
                    limits::RANK
                )));
            }
            let Some(values) = floats(view.dtype(), view.data()) else { continue };
            if let Some(i) = values.iter().position(|v| !v.is_finite()) {
                return Err(bad(format!(
                    "tensor \"{shown}\": value {i} is {}, expected finite numbers; the file is damaged or the training diverged",
                    values[i]
                )));
            }
            if view.dtype() != Dtype::F32 {
                cast.push(name.to_owned());
            }
            tensors.insert(name.to_owned(), WeightTensor { shape: view.shape().to_vec(), values });
        }
        cast.sort_unstable();
        Ok(Self { file: file.to_owned(), tensors, cast })
    }

    /// Weights from tensors already in memory. `cast` names those that had another float type; `file` is only for
    /// messages.
    pub fn from_tensors(file: &Path, tensors: BTreeMap<String, WeightTensor>, cast: Vec<String>) -> Self {
        Self { file: file.to_owned(), tensors, cast }
    }

    /// Names of the tensors that were not f32 in the file.
    pub fn cast(&self) -> &[String] {
        &self.cast
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&WeightTensor> {
        self.tensors.get(name)
    }

    /// The tensor called `name`, or an error with the file and the nearest name.
    pub fn require(&self, name: &str) -> Result<&WeightTensor> {
        self.get(name).ok_or_else(|| {
            let near = crate::error::did_you_mean(name, self.names().collect::<Vec<_>>());
            Error::input(&self.file, format!("tensor \"{name}\" is missing{near}"))
        })
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The file that the tensors were read from.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// The first key that appears twice in a JSON object. Readers differ in which of the two they take, so such a file is
/// refused. `None` also for anything that is no object, which is refused elsewhere.
fn twice(header: &[u8]) -> Option<String> {
    struct Keys;
    impl<'de> serde::de::Visitor<'de> for Keys {
        type Value = Option<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut seen, mut found) = (std::collections::BTreeSet::new(), None);
            while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                found = found.or(seen.replace(key));
            }
            Ok(found)
        }
    }
    let mut reader = serde_json::Deserializer::from_slice(header);
    serde::Deserializer::deserialize_map(&mut reader, Keys).ok().flatten()
}

/// Little-endian floats of any width as f32. `None` for integer and boolean tensors, which no layer reads.
pub fn floats(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|b| f(*b)).collect()
    }
    Some(match dtype {
        Dtype::F32 => each(data, f32::from_le_bytes),
        Dtype::F64 => each(data, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => each(data, |b| half::f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => each(data, |b| half::bf16::from_le_bytes(b).to_f32()),
        _ => return None,
    })
}

/// The bytes of a safetensors file with `tensors` in the order of their names. The same tensors always give the same
/// bytes.
///
/// # Errors
/// [`Error::Bug`] if a shape and its values disagree.
pub fn write_safetensors(tensors: &BTreeMap<String, WeightTensor>) -> Result<Vec<u8>> {
    let raw: Vec<(&str, Vec<u8>, &[usize])> = tensors
        .iter()
        .map(|(name, t)| (name.as_str(), t.values.iter().flat_map(|v| v.to_le_bytes()).collect(), t.shape.as_slice()))
        .collect();
    let views = raw
        .iter()
        .map(|(name, bytes, shape)| {
            safetensors::tensor::TensorView::new(Dtype::F32, shape.to_vec(), bytes).map(|v| (*name, v))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::Bug(format!("tensor shapes: {e}")))?;
    safetensors::serialize(views, None).map_err(|e| Error::Bug(format!("safetensors: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BTreeMap<String, WeightTensor> {
        BTreeMap::from([(
            "a.weight".to_owned(),
            WeightTensor { shape: vec![2, 3], values: vec![1.0, -2.0, 3.5, 0.0, 1e-30, 7.0] },
        )])
    }

    #[test]
    fn round_trip() -> Result<()> {
        let bytes = write_safetensors(&sample())?;
        let read = Weights::parse(Path::new("x"), &bytes)?;
        assert_eq!(read.get("a.weight"), sample().get("a.weight"));
        Ok(())
    }

    #[test]
    fn every_truncation_is_refused_without_a_panic() -> Result<()> {
        let bytes = write_safetensors(&sample())?;
        let refused = (0..bytes.len())
            .filter(|n| matches!(Weights::parse(Path::new("x"), &bytes[..*n]), Err(Error::Input { .. })))
            .count();
        assert_eq!(refused, bytes.len());
        Ok(())
    }

    #[test]
    fn non_finite_values_name_the_tensor() -> Result<()> {
        let mut tensors = sample();
        tensors.entry("a.weight".into()).and_modify(|t| t.values[4] = f32::NAN);
        let error = Weights::parse(Path::new("x"), &write_safetensors(&tensors)?).map(|_| ());
        let text = error.as_ref().map_err(|e| e.to_string()).err().unwrap_or_default();
        assert!(text.contains("a.weight") && text.contains("value 4 is NaN"), "{text}");
        Ok(())
    }
}
