//! What can be compared: pictures in a folder, a run folder, a zip file or an IDX file; rows of numbers in an .npz,
//! .safetensors or .parquet file.

use crate::data::{Packed, parse_idx};
use crate::error::{Error, Result};
use crate::evaluate::Features;
use crate::limits;
use crate::render::Picture;
use crate::store::{self, Arrays, Weights};
use crate::table::{Values, read_parquet};
use std::path::{Path, PathBuf};

/// Samples as they were given.
pub struct Source {
    /// Where they lie.
    pub path: PathBuf,
    /// The samples.
    pub samples: Samples,
    /// SHA-256 over them.
    pub sha256: String,
    /// What lies there and was not read, in words.
    pub remark: Option<String>,
}

/// Samples.
pub enum Samples {
    /// Pictures, all of one shape.
    Pictures(Vec<Picture>),
    /// Rows of numbers.
    Rows(Features),
}

impl Source {
    /// Reads what lies at `path`: at most `limit` samples, the first. `columns` are the columns of a table, or the name of an
    /// array.
    ///
    /// # Errors
    /// [`Error::Input`] naming what cannot be read, [`Error::Io`].
    pub fn read(path: &Path, columns: &[String], limit: Option<usize>) -> Result<Self> {
        let limit = limit.unwrap_or(usize::MAX);
        let (samples, remark) = match ending(path).as_str() {
            _ if path.is_dir() => folder(path, columns, limit)?,
            "zip" => pictures(path, limit)?,
            "npz" => (Samples::Rows(array(path, columns, limit)?), None),
            "safetensors" => (Samples::Rows(tensor(path, columns, limit)?), None),
            "parquet" => (Samples::Rows(table(path, columns, limit)?), None),
            _ if is_idx(path) => (Samples::Pictures(idx(path, limit)?), None),
            _ => {
                let expected = "a folder or .zip of pictures, a run folder, an IDX file, or rows in .npz, .safetensors or .parquet";
                let found = match (path.exists(), ending(path).as_str()) {
                    (false, _) => "nothing there",
                    (true, "hdf5" | "h5") => "an HDF5 file; showers are compared in the domain calo",
                    (true, _) => "another kind of file",
                };
                return Err(Error::input(path, format!("expected {expected}, found {found}")));
            }
        };
        let count = samples.count();
        if count < 2 {
            return Err(Error::input(path, format!("expected at least 2 samples, found {count}")));
        }
        if let Samples::Pictures(pictures) = &samples {
            let shape = |p: &Picture| [p.channels, p.height, p.width];
            let first = shape(&pictures[0]);
            if let Some(at) = pictures.iter().position(|p| shape(p) != first) {
                let found = shape(&pictures[at]);
                let message =
                    format!("picture {at} has the shape {found:?}, the first has {first:?}; make them alike first");
                return Err(Error::input(path, message));
            }
        }
        let sha256 = samples.sha256();
        Ok(Self { path: path.to_owned(), samples, sha256, remark })
    }

    /// The pictures, if it has some.
    pub fn pictures(&self) -> Option<&[Picture]> {
        match &self.samples {
            Samples::Pictures(pictures) => Some(pictures),
            Samples::Rows(_) => None,
        }
    }
}

impl Samples {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Pictures(pictures) => pictures.len(),
            Self::Rows(rows) => rows.rows(),
        }
    }

    fn sha256(&self) -> String {
        let bytes: Vec<u8> = match self {
            Self::Pictures(pictures) => pictures.iter().flat_map(|p| p.pixels.iter().copied()).collect(),
            Self::Rows(rows) => rows.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        store::sha256_hex(&bytes)
    }
}

fn ending(path: &Path) -> String {
    path.extension().map_or(String::new(), |e| e.to_string_lossy().to_ascii_lowercase())
}

fn is_idx(path: &Path) -> bool {
    path.is_file() && path.file_name().is_some_and(|n| n.to_string_lossy().contains("ubyte"))
}

/// A folder: of pictures, or of a run, whose pictures or rows are taken.
fn folder(path: &Path, columns: &[String], limit: usize) -> Result<(Samples, Option<String>)> {
    let run = path.join("plan.toml").is_file();
    if run && !columns.is_empty() {
        let tables = ["samples.parquet", "descriptors.parquet"].map(|name| path.join(name));
        let Some(file) = tables.iter().find(|file| file.is_file()) else {
            return Err(Error::input(path, "expected samples.parquet or descriptors.parquet of a run, found neither"));
        };
        return Ok((Samples::Rows(table(file, columns, limit)?), None));
    }
    let images = path.join("images");
    let folder = if run && images.is_dir() { images.as_path() } else { path };
    pictures(folder, limit)
}

/// The first `limit` pictures of a folder or a .zip file.
fn pictures(path: &Path, limit: usize) -> Result<(Samples, Option<String>)> {
    let mut packed = Packed::open(path)?;
    packed.truncate(limit);
    let mut read = Vec::with_capacity(packed.count());
    packed.decode(None, |picture| {
        read.push(picture);
        Ok(())
    })?;
    let skipped = packed.skipped();
    let remark = (!skipped.is_empty()).then(|| format!("{}: {skipped}", crate::error::shown(path)));
    Ok((Samples::Pictures(read), remark))
}

fn idx(path: &Path, limit: usize) -> Result<Vec<Picture>> {
    let set = parse_idx(&store::read_bounded(path, limits::DATASET_BYTES)?, path)?;
    (0..set.count().min(limit)).map(|i| set.picture(i)).collect()
}

/// Which of several arrays: the one asked for, or the only one.
fn only<'a>(path: &Path, asked: &[String], known: &[&'a str]) -> Result<&'a str> {
    let list = || known.iter().map(|n| format!("\"{}\"", n.escape_debug())).collect::<Vec<_>>().join(", ");
    match (asked, known) {
        ([], [one]) => Ok(*one),
        ([], _) => Err(Error::key("columns", format!("{} holds {}; say which", crate::error::shown(path), list()))),
        ([name, ..], _) => known.iter().copied().find(|n| n == name).ok_or_else(|| {
            Error::key_found("columns", name, format!("{} holds {}", crate::error::shown(path), list()))
        }),
    }
}

/// Rows from the values of an array of this shape; axes after the first are one row.
fn rows(path: &Path, name: &str, shape: &[usize], values: Vec<f32>, limit: usize) -> Result<Features> {
    let width: usize = shape.iter().skip(1).product();
    if shape.len() < 2 || width == 0 {
        let message =
            format!("\"{}\" has the shape {shape:?}, expected [samples, values of each]", name.escape_debug());
        return Err(Error::input(path, message));
    }
    let kept = values.len().min(width.saturating_mul(limit));
    let values = values[..kept].to_vec();
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        let (row, column, found) = (at / width, at % width, values[at]);
        let message =
            format!("\"{}\": row {row}, value {column} is {found}, expected finite numbers", name.escape_debug());
        return Err(Error::input(path, message));
    }
    Ok(Features { values, width })
}

fn array(path: &Path, asked: &[String], limit: usize) -> Result<Features> {
    let arrays = Arrays::read_npz(path)?;
    let known: Vec<&str> = arrays.arrays.keys().map(String::as_str).collect();
    let name = only(path, asked, &known)?;
    let array = &arrays.arrays[name];
    rows(path, name, &array.shape, array.values.iter().map(|v| *v as f32).collect(), limit)
}

fn tensor(path: &Path, asked: &[String], limit: usize) -> Result<Features> {
    let weights = Weights::read(path)?;
    let known: Vec<&str> = weights.names().collect();
    let name = only(path, asked, &known)?;
    let tensor = weights.require(name)?;
    rows(path, name, &tensor.shape, tensor.values.clone(), limit)
}

/// Columns of numbers of a table as rows; all that are numbers if none are named.
fn table(path: &Path, asked: &[String], limit: usize) -> Result<Features> {
    let (table, _) = read_parquet(path)?;
    let numbers = |values: &Values| -> Option<Vec<Option<f64>>> {
        match values {
            Values::F64(v) => Some(v.clone()),
            Values::I64(v) => Some(v.iter().map(|v| v.map(|v| v as f64)).collect()),
            Values::U64(v) => Some(v.iter().map(|v| v.map(|v| v as f64)).collect()),
            Values::Bool(_) | Values::Text(_) => None,
        }
    };
    let known: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
    let taken = match asked {
        [] => table.columns().iter().filter_map(|c| Some((c.name.clone(), numbers(&c.values)?))).collect::<Vec<_>>(),
        asked => {
            let one = |name: &String| {
                let column = table.column(name).ok_or_else(|| {
                    let near = crate::error::did_you_mean(name, known.clone());
                    Error::key_found("columns", name, format!("{} has no such column{near}", crate::error::shown(path)))
                })?;
                let values = numbers(&column.values);
                let values = values.ok_or_else(|| Error::key_found("columns", name, "expected a column of numbers"))?;
                Ok((name.clone(), values))
            };
            asked.iter().map(one).collect::<Result<_>>()?
        }
    };
    if taken.is_empty() {
        return Err(Error::input(path, "expected columns of numbers, found none"));
    }
    let mut values = Vec::new();
    for row in 0..table.rows().min(limit) {
        for (name, column) in &taken {
            let value = column[row].filter(|v| v.is_finite()).ok_or_else(|| {
                let message =
                    format!("column \"{}\", row {row} is empty or not finite; name other columns", name.escape_debug());
                Error::input(path, message)
            })?;
            values.push(value as f32);
        }
    }
    Ok(Features { values, width: taken.len() })
}
