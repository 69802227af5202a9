//! NumPy's `.npz` format: named arrays of numbers, read within bounds and written without compression.

use super::read_bounded;
use crate::error::{Error, Result};
use crate::limits;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Largest size of an array file in bytes, both packed and unpacked.
const BYTES: u64 = 4 << 30;
/// Name of the text member that says what the arrays are; NumPy ignores it.
const ABOUT: &str = "isoline.json";

/// Numbers with a shape, row-major.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Array {
    /// The shape; any rank.
    pub shape: Vec<usize>,
    /// The values, as many as the shape says.
    pub values: Vec<f64>,
}

impl Array {
    /// An array of this shape with these values, row-major.
    pub fn new(shape: &[usize], values: Vec<f64>) -> Self {
        Self { shape: shape.to_vec(), values }
    }
}

/// The arrays of a file, and what the file says about them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Arrays {
    /// The arrays by name, without `.npy`.
    pub arrays: BTreeMap<String, Array>,
    /// A JSON text; empty in files from other programs.
    pub about: String,
}

impl Arrays {
    /// Adds an array.
    pub fn insert(&mut self, name: &str, shape: &[usize], values: Vec<f64>) {
        self.arrays.insert(name.to_owned(), Array::new(shape, values));
    }

    /// SHA-256 over the names, shapes and values of the arrays and over `about`.
    pub fn sha256(&self) -> String {
        let mut bytes = self.about.as_bytes().to_vec();
        for (name, array) in &self.arrays {
            bytes.extend(format!("\n{name} {:?}\n", array.shape).bytes());
            bytes.extend(array.values.iter().flat_map(|v| v.to_le_bytes()));
        }
        super::sha256_hex(&bytes)
    }

    /// The bytes of an `.npz` file in f64, with the members in the order of their names. The same arrays always give
    /// the same bytes.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn to_npz(&self) -> Result<Vec<u8>> {
        self.packed().map_err(|e| Error::Bug(format!("an array file could not be written: {e}")))
    }

    fn packed(&self) -> std::result::Result<Vec<u8>, zip::result::ZipError> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(true);
        for (name, array) in &self.arrays {
            zip.start_file(format!("{name}.npy"), options)?;
            zip.write_all(&npy_header(&array.shape))?;
            let bytes: Vec<u8> = array.values.iter().flat_map(|v| v.to_le_bytes()).collect();
            zip.write_all(&bytes)?;
        }
        if !self.about.is_empty() {
            zip.start_file(ABOUT, options)?;
            zip.write_all(self.about.as_bytes())?;
        }
        Ok(zip.finish()?.into_inner())
    }

    /// Reads an `.npz` file of arrays in C order: little-endian f2, f4, f8, i4 or i8, or bytes and booleans.
    ///
    /// # Errors
    /// [`Error::Input`] naming the array, [`Error::Io`].
    pub fn read_npz(path: &Path) -> Result<Self> {
        Self::parse_npz(path, read_bounded(path, BYTES)?)
    }

    /// The same from bytes that are already read; `path` is only for messages.
    ///
    /// # Errors
    /// Those of [`read_npz`](Self::read_npz).
    pub fn parse_npz(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let bad = |e: String| Error::input(path, format!("expected a whole .npz file: {e}"));
        if let Some(found) = super::told(&bytes).filter(|_| !bytes.starts_with(b"PK")) {
            return Err(Error::input(path, format!("expected an .npz file, found {found}")));
        }
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| bad(e.to_string()))?;
        if archive.len() > limits::TENSORS {
            return Err(bad(format!("{} members, at most {} are read", archive.len(), limits::TENSORS)));
        }
        let mut found = Self::default();
        let mut room = BYTES;
        for index in 0..archive.len() {
            let member = archive.by_index(index).map_err(|e| bad(e.to_string()))?;
            let name = String::from_utf8_lossy(member.name_raw()).into_owned();
            let shown = name.escape_debug().to_string();
            let mut bytes = Vec::new();
            member.take(room + 1).read_to_end(&mut bytes).map_err(|e| bad(format!("member \"{shown}\": {e}")))?;
            room =
                room.checked_sub(bytes.len() as u64).ok_or_else(|| bad(format!("more than {BYTES} bytes unpacked")))?;
            if name == ABOUT {
                found.about = String::from_utf8(bytes).map_err(|_| bad(format!("member \"{shown}\" is no UTF-8")))?;
            } else if let Some(name) = name.strip_suffix(".npy") {
                let array = parse_npy(&bytes).map_err(|e| bad(format!("array \"{}\": {e}", name.escape_debug())))?;
                found.arrays.insert(name.to_owned(), array);
            }
        }
        Ok(found)
    }
}

fn npy_header(shape: &[usize]) -> Vec<u8> {
    let sides: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}), }}", sides.trim_end());
    // Magic, version and length take 10 bytes; the data starts at a multiple of 64.
    text.push_str(&" ".repeat(63 - (10 + text.len()) % 64));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}

fn parse_npy(bytes: &[u8]) -> std::result::Result<Array, String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("no NumPy array")?;
    let (length, start) = match rest {
        [1, _, a, b, ..] => (u16::from_le_bytes([*a, *b]) as usize, 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 6),
        _ => return Err("unknown version of the format".into()),
    };
    let text = rest.get(start..).and_then(|r| r.get(..length)).ok_or("its header is cut short")?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is no text")?;
    let data = &rest[start + length..];
    let after = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    if !after("fortran_order").is_some_and(|v| v.starts_with("False")) {
        return Err("expected C order; save it with numpy.ascontiguousarray".into());
    }
    let kind = after("descr").and_then(|v| v.strip_prefix('\'')).and_then(|v| v.split('\'').next()).unwrap_or("");
    let sides = after("shape").and_then(|v| v.strip_prefix('(')).and_then(|v| v.split(')').next()).ok_or("no shape")?;
    let shape: Vec<usize> = sides
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|s| s.parse().map_err(|_| format!("shape ({})", sides.escape_debug())))
        .collect::<std::result::Result<_, String>>()?;
    let count = shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b)).ok_or("its shape is too large")?;
    let values = numbers(kind, data)
        .ok_or_else(|| format!("type \"{}\", expected floats or integers, little-endian", kind.escape_debug()))?;
    if values.len() != count {
        return Err(format!("{} values for shape {shape:?}", values.len()));
    }
    Ok(Array { shape, values })
}

fn numbers(kind: &str, data: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (whole, rest) = data.as_chunks::<N>();
        rest.is_empty().then(|| whole.iter().map(|b| f(*b)).collect())
    }
    match kind {
        "<f8" => each(data, f64::from_le_bytes),
        "<f4" => each(data, |b| f64::from(f32::from_le_bytes(b))),
        "<f2" => each(data, |b| half::f16::from_le_bytes(b).to_f64()),
        "<i8" => each(data, |b| i64::from_le_bytes(b) as f64),
        "<i4" => each(data, |b| f64::from(i32::from_le_bytes(b))),
        "|u1" | "|b1" => each(data, |[b]| f64::from(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Arrays {
        let mut arrays = Arrays { about: "{\"format\":1}".into(), ..Arrays::default() };
        arrays.insert("b", &[2, 3], vec![1.0, -2.5, 1e-300, f64::MAX, 0.1, 7.0]);
        arrays.insert("a", &[0], vec![]);
        arrays
    }

    #[test]
    fn there_and_back_to_the_bit() -> Result<()> {
        let bytes = sample().to_npz()?;
        assert_eq!(bytes, sample().to_npz()?);
        assert_eq!(Arrays::parse_npz(Path::new("x"), bytes)?, sample());
        Ok(())
    }

    #[test]
    fn damage_is_refused_without_a_panic() -> Result<()> {
        let bytes = sample().to_npz()?;
        for cut in 0..bytes.len() {
            assert!(
                matches!(Arrays::parse_npz(Path::new("x"), bytes[..cut].to_vec()), Err(Error::Input { .. })),
                "{cut}"
            );
        }
        // A flipped bit in the data does not fit the checksum of its member.
        let at = bytes.windows(8).position(|w| w == (-2.5f64).to_le_bytes()).unwrap_or(0);
        let mut flipped = bytes.clone();
        flipped[at + 3] ^= 1;
        assert!(Arrays::parse_npz(Path::new("x"), flipped).is_err());
        Ok(())
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let file = |header: &str, data: &[u8]| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            [&bytes, header.as_bytes(), data].concat()
        };
        let two = [1.0f32, 2.0].map(f32::to_le_bytes).concat();
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
        assert_eq!(parse_npy(&file(good, &two)), Ok(Array::new(&[2], vec![1.0, 2.0])));
        for (header, data, word) in [
            (good, &two[..4], "1 values for shape [2]"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }", &two[..], "C order"),
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", &two[..], "type \">f4\""),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (x,), }", &two[..], "shape"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }", &two[..], "too large"),
            ("", &[], "order"),
        ] {
            let error = parse_npy(&file(header, data)).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
