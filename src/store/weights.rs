//! Safetensors files, read within bounds and checked before use.

use super::head::{like_safetensors, told};
use super::{float8, header, read_bounded};
use crate::error::{Error, Result};
use crate::limits;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor {
    /// The shape, as in the file.
    pub shape: Vec<usize>,
    /// Row-major values; floats of other types than f32 are cast to it.
    pub values: Vec<f32>,
}

/// All tensors of a safetensors file, by name.
#[derive(Clone, Debug)]
pub struct Weights {
    file: PathBuf,
    tensors: BTreeMap<String, WeightTensor>,
    cast: BTreeSet<String>,
    unread: BTreeMap<String, String>,
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
        let length = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
        if !like_safetensors(bytes)
            && let Some(found) = told(bytes)
        {
            return Err(bad(format!("expected a safetensors file, found {found}")));
        }
        let header = match length {
            None => Err(format!("expected a safetensors file, found {} bytes; it is cut short", bytes.len())),
            Some(n) if n > limits::HEADER_BYTES => {
                let most = limits::HEADER_BYTES;
                Err(format!("header of {n} bytes, at most {most} are read; it is not a safetensors file"))
            }
            Some(n) if n > bytes.len() as u64 - 8 => {
                Err(format!("header of {n} bytes in a file of {}; it is cut short", bytes.len()))
            }
            Some(n) => Ok(n as usize),
        };
        let header = header.map_err(bad)?;
        let (header, data) = bytes[8..].split_at(header);
        let listed = header::read(header, data.len()).map_err(bad)?;
        let mut weights = Self::empty(file);
        for (name, info) in &listed {
            let (from, to) = info.data_offsets;
            let Some(values) = floats(info.dtype, &data[from..to]) else {
                weights.unread.insert(name.clone(), info.dtype.to_string());
                continue;
            };
            if let Some(scale) = scale_of(name, info.dtype, &listed) {
                let found = format!("{} with a scale of its own in \"{}\"", info.dtype, scale.escape_debug());
                weights.unread.insert(name.clone(), found);
                continue;
            }
            weights.insert(name, info.shape.clone(), values, info.dtype == Dtype::F32)?;
        }
        Ok(weights)
    }

    /// Adds a tensor; `as_it_was` says that its values were f32 in the file.
    ///
    /// # Errors
    /// [`Error::Input`] for a value that is not finite.
    pub fn insert(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>, as_it_was: bool) -> Result<()> {
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            let (name, value) = (name.escape_debug(), values[i]);
            let message = format!(
                "tensor \"{name}\": value {i} is {value}, expected finite numbers; the file is damaged or the training diverged"
            );
            return Err(Error::input(&self.file, message));
        }
        if !as_it_was {
            self.cast.insert(name.to_owned());
        }
        self.tensors.insert(name.to_owned(), WeightTensor { shape, values });
        Ok(())
    }

    /// Notes a tensor whose values are not read, and what was found instead of floats, as in "I8".
    pub fn insert_unread(&mut self, name: &str, found: String) {
        self.unread.insert(name.to_owned(), found);
    }

    /// No tensors yet; `file` is only for messages.
    pub fn empty(file: &Path) -> Self {
        Self { file: file.to_owned(), tensors: BTreeMap::new(), cast: BTreeSet::new(), unread: BTreeMap::new() }
    }

    /// The same tensors and remarks with `rename` over every name; those for which it is `None` are left out.
    #[must_use]
    pub fn renamed(self, rename: impl Fn(&str) -> Option<String>) -> Self {
        let named = |name: String| rename(&name);
        Self {
            tensors: self.tensors.into_iter().filter_map(|(n, t)| Some((named(n)?, t))).collect(),
            cast: self.cast.into_iter().filter_map(named).collect(),
            unread: self.unread.into_iter().filter_map(|(n, f)| Some((named(n)?, f))).collect(),
            file: self.file,
        }
    }

    /// Adds all that `other` holds; of two tensors of one name that one is kept.
    pub fn absorb(&mut self, other: Self) {
        self.tensors.extend(other.tensors);
        self.cast.extend(other.cast);
        self.unread.extend(other.unread);
    }

    /// Names of the tensors that were not f32 in the file.
    pub fn cast(&self) -> &BTreeSet<String> {
        &self.cast
    }

    /// Tensors of the file whose values are not read, by name, and what was found instead of floats: whole numbers,
    /// bits, or floats that mean something only together with a scale.
    pub fn unread(&self) -> &BTreeMap<String, String> {
        &self.unread
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

/// The tensor of the file that scales the eight-bit floats of `name`, if there is one. Files that were quantised put it
/// beside them, as `x.weight_scale` or `x.scale_weight` beside `x.weight`; without it the values are wrong.
fn scale_of<'a>(name: &str, dtype: Dtype, listed: &'a [(String, TensorInfo)]) -> Option<&'a str> {
    float8::value(dtype, 0)?;
    let (module, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    let beside = |other: &str| {
        let inside = match module {
            "" => Some(other),
            _ => other.strip_prefix(module).and_then(|rest| rest.strip_prefix('.')),
        };
        inside.is_some_and(|rest| rest == "scale" || (rest.contains("scale") && rest.contains(leaf)))
    };
    let mut names = listed.iter().map(|(other, _)| other.as_str());
    names.find(|other| *other == "scaled_fp8" || (*other != name && beside(other)))
}

/// Little-endian floats of eight to 64 bits as f32. `None` for any other type, which no layer reads.
pub fn floats(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|b| f(*b)).collect()
    }
    Some(match dtype {
        Dtype::F32 => each(data, f32::from_le_bytes),
        Dtype::F64 => each(data, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => each(data, |b| half::f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => each(data, |b| half::bf16::from_le_bytes(b).to_f32()),
        other => {
            float8::value(other, 0)?;
            return data.iter().map(|b| float8::value(other, *b)).collect();
        }
    })
}

/// The bytes of a safetensors file with `tensors` in the order of their names. The same tensors always give the same
/// bytes.
///
/// # Errors
/// [`Error::Bug`] if a shape and its values disagree.
pub fn write_safetensors(tensors: &BTreeMap<String, WeightTensor>) -> Result<Vec<u8>> {
    write_safetensors_halved(tensors, |_| false)
}

/// The same, with the tensors that `halved` says rounded to f16, half as long.
///
/// # Errors
/// [`Error::Bug`] if a shape and its values disagree.
pub fn write_safetensors_halved(
    tensors: &BTreeMap<String, WeightTensor>,
    halved: impl Fn(&str) -> bool,
) -> Result<Vec<u8>> {
    let bytes = |(name, t): (&String, &WeightTensor)| -> Vec<u8> {
        match halved(name) {
            true => t.values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
            false => t.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    };
    let raw: Vec<Vec<u8>> = tensors.iter().map(bytes).collect();
    let views = tensors
        .iter()
        .zip(&raw)
        .map(|((name, t), bytes)| {
            let kind = if halved(name) { Dtype::F16 } else { Dtype::F32 };
            safetensors::tensor::TensorView::new(kind, t.shape.clone(), bytes).map(|v| (name.as_str(), v))
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
    fn halved_tensors_are_rounded_and_the_others_are_not() -> Result<()> {
        let values = vec![1.0, 0.1, -3.3e-5, 1e-9];
        let tensor = || WeightTensor { shape: vec![4], values: values.clone() };
        let tensors = BTreeMap::from([("a".to_owned(), tensor()), ("b".to_owned(), tensor())]);
        let read = Weights::parse(Path::new("x"), &write_safetensors_halved(&tensors, |name| name == "a")?)?;
        assert_eq!(read.require("b")?.values, values);
        for (found, value) in read.require("a")?.values.iter().zip(&values) {
            // Eleven bits above 2⁻¹⁴, and steps of 2⁻²⁴ below.
            assert!((found - value).abs() <= (value.abs() / 2048.0).max(0.5f32.powi(25)), "{found} and not {value}");
        }
        Ok(())
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
