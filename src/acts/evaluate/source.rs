//! What can be compared: pictures in a folder, a run folder, a zip file or an IDX file; rows of numbers in an .npz,
//! .safetensors or .parquet file.

use crate::data::{Packed, parse_idx, parse_idx_labels};
use crate::error::{Error, Result};
use crate::evaluate::Features;
use crate::limits;
use crate::render::Picture;
use crate::store::{self, Array, Arrays, Weights};
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
    /// The class of each sample, if that lies beside it: in the array `labels` of an `.npz` of pictures, or the IDX file of labels
    /// that is named after one of pictures.
    pub labels: Option<Vec<u32>>,
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
        let mut labels = None;
        let (samples, remark) = match ending(path).as_str() {
            _ if path.is_dir() => folder(path, columns, limit)?,
            "zip" => pictures(path, limit)?,
            "npz" => {
                let (samples, classes) = array(path, columns, limit)?;
                labels = classes;
                (samples, None)
            }
            "safetensors" => (Samples::Rows(tensor(path, columns, limit)?), None),
            "parquet" => table(path, columns, limit)?,
            _ if is_idx(path) => {
                labels = idx_labels(path, limit)?;
                (Samples::Pictures(idx(path, limit)?), None)
            }
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
            let after = remark.map_or(String::new(), |remark| format!("; {remark}"));
            return Err(Error::input(path, format!("expected at least 2 samples, found {count}{after}")));
        }
        if let Some(classes) = labels.as_ref().filter(|classes| classes.len() != count) {
            let message = format!("expected a label for each of {count} pictures, found {}", classes.len());
            return Err(Error::input(path, message));
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
        Ok(Self { path: path.to_owned(), samples, sha256, labels, remark })
    }

    /// Pictures that were made here, all of one shape; `name` stands for their place in messages.
    pub fn made(name: &str, pictures: Vec<Picture>) -> Self {
        let samples = Samples::Pictures(pictures);
        Self { path: name.into(), sha256: samples.sha256(), samples, labels: None, remark: None }
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

    /// The bytes of sample i, by which it is told whether two are the same.
    pub fn bytes(&self, i: usize) -> Vec<u8> {
        match self {
            Self::Pictures(pictures) => pictures[i].pixels.clone(),
            Self::Rows(rows) => rows.row(i).iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// Whether all values of each channel of sample i are equal. A row of one number is not flat.
    pub fn is_flat(&self, i: usize) -> bool {
        match self {
            Self::Pictures(pictures) => {
                let p = &pictures[i];
                p.pixels.chunks_exact(p.channels.max(1)).all(|pixel| pixel == &p.pixels[..p.channels])
            }
            Self::Rows(rows) => rows.width > 1 && rows.row(i).iter().all(|v| *v == rows.row(i)[0]),
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
        return table(file, columns, limit);
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

/// The labels in the file that is named after an IDX file of pictures, as those of MNIST are.
fn idx_labels(path: &Path, limit: usize) -> Result<Option<Vec<u32>>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = path.with_file_name(name.replace("images-idx3", "labels-idx1"));
    if file == path || !file.is_file() {
        return Ok(None);
    }
    let labels = parse_idx_labels(&store::read_bounded(&file, limits::DATASET_BYTES)?, &file)?;
    Ok(Some(labels.into_iter().take(limit).map(u32::from).collect()))
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

/// Names of the arrays of a file of pictures, and of their classes.
const PICTURES: &str = "images";
const LABELS: &str = "labels";

/// Rows of an array; or the pictures of a file that holds `images`, bytes of `[n, height, width]` or `[n, height, width,
/// channels]`, with the classes under `labels`.
fn array(path: &Path, asked: &[String], limit: usize) -> Result<(Samples, Option<Vec<u32>>)> {
    let arrays = Arrays::read_npz(path)?;
    if let Some(images) = arrays.arrays.get(PICTURES).filter(|_| asked.is_empty()) {
        let classes = arrays.arrays.get(LABELS).map(|labels| classes(path, labels, limit)).transpose()?;
        return Ok((Samples::Pictures(image_array(path, images, limit)?), classes));
    }
    let known: Vec<&str> = arrays.arrays.keys().map(String::as_str).collect();
    let name = only(path, asked, &known)?;
    let array = &arrays.arrays[name];
    let found = rows(path, name, &array.shape, array.values.iter().map(|v| *v as f32).collect(), limit)?;
    Ok((Samples::Rows(found), None))
}

fn image_array(path: &Path, images: &Array, limit: usize) -> Result<Vec<Picture>> {
    let bad = |message: String| Error::input(path, format!("\"{PICTURES}\": {message}"));
    let (count, shape) = match images.shape[..] {
        [n, height, width] => (n, [1, height, width]),
        [n, height, width, channels @ (1 | 3)] => (n, [channels, height, width]),
        _ => {
            let message =
                format!("expected [n, height, width] or [n, height, width, 1 or 3], found {:?}", images.shape);
            return Err(bad(message));
        }
    };
    if count.min(limit) > limits::DATASET_ITEMS {
        return Err(Error::input(path, format!("{count} samples, at most {} are read", limits::DATASET_ITEMS)));
    }
    let size: usize = shape.iter().product();
    let byte = |v: &f64| v.fract() == 0.0 && (0.0..=255.0).contains(v);
    if size == 0 || images.values.iter().any(|v| !byte(v)) {
        return Err(bad("expected bytes, 0 to 255".to_owned()));
    }
    let one = |values: &[f64]| Picture::from_pixels(values.iter().map(|v| *v as u8).collect(), shape);
    images.values.chunks_exact(size).take(limit).map(one).collect()
}

fn classes(path: &Path, labels: &Array, limit: usize) -> Result<Vec<u32>> {
    let one = |v: &f64| (v.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(v)).then_some(*v as u32);
    let all: Option<Vec<u32>> = labels.values.iter().take(limit).map(one).collect();
    let message = || format!("\"{LABELS}\": expected whole numbers from 0, one for each picture");
    all.ok_or_else(|| Error::input(path, message()))
}

fn tensor(path: &Path, asked: &[String], limit: usize) -> Result<Features> {
    let weights = Weights::read(path)?;
    let known: Vec<&str> = weights.names().collect();
    let name = only(path, asked, &known)?;
    let tensor = weights.require(name)?;
    rows(path, name, &tensor.shape, tensor.values.clone(), limit)
}

/// Columns of numbers of a table as rows; all that are numbers if none are named. A row in which one of them is undefined (empty
/// or not finite) is left out and counted.
fn table(path: &Path, asked: &[String], limit: usize) -> Result<(Samples, Option<String>)> {
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
    let (mut values, count) = (Vec::new(), table.rows().min(limit));
    // For each column, the rows in which it was the first to be undefined.
    let mut undefined = vec![0usize; taken.len()];
    for row in 0..count {
        let one = |(_, column): &(String, Vec<Option<f64>>)| column[row].map(|v| v as f32).filter(|v| v.is_finite());
        match taken.iter().position(|column| one(column).is_none()) {
            Some(at) => undefined[at] += 1,
            None => values.extend(taken.iter().filter_map(one)),
        }
    }
    let left: usize = undefined.iter().sum();
    let remark = (left > 0).then(|| {
        let each = taken.iter().zip(&undefined).filter(|(_, n)| **n > 0);
        let each: Vec<String> = each.map(|((name, _), n)| format!("{} in {n}", name.escape_debug())).collect();
        let place = crate::error::shown(path);
        format!("{place}: {left} of {count} rows left out, where a column is undefined: {}", each.join(", "))
    });
    Ok((Samples::Rows(Features { values, width: taken.len() }), remark))
}
