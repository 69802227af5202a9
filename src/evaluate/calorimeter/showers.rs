//! Sets of showers, and the challenge's HDF5 files that hold them.
//!
//! A file has two data sets: `incident_energies`, `[N, 1]` or `[N]`, and `showers`, `[N, V]`, in f32 or f64, contiguous
//! or in chunks, compressed or not. [`ShowerFile`] hands out rows in blocks, so that a file of any size can be
//! measured; [`Showers::read`] reads all of it.
//!
//! What is refused: an incident energy that is not above 0, a voxel that is not finite, a number of voxels that does
//! not fit the geometry. A *negative* voxel is let through. Generators make them, that is a fault of the shower and not
//! of the file, and [`check`](super::check) counts them; [`Showers::cut`] sets them to 0.

use super::Geometry;
use crate::error::{Error, Result, did_you_mean};
use crate::{limits, store};
use hdf5_pure::{DType, Dataset, File, FileBuilder};
use std::path::{Path, PathBuf};

/// How many times smaller deflate can make anything.
const DEFLATE: u64 = 1032;
/// Names of the two data sets.
const ENERGIES: &str = "incident_energies";
const SHOWERS: &str = "showers";
/// Bytes of one chunk before compression, roughly.
const CHUNK_BYTES: usize = 2 << 20;
/// Level of compression: level 4 gains a twentieth on simulated showers and takes four times as long.
const LEVEL: u32 = 1;

/// Showers with the energies of the particles that made them, both in MeV.
#[derive(Clone, Debug, PartialEq)]
pub struct Showers {
    /// Energy of each incident particle, `[N]`, above 0.
    pub energies: Vec<f64>,
    /// Energy in each voxel, `[N, V]` row-major, finite; see the module for negative ones.
    pub voxels: Vec<f32>,
    /// V.
    pub width: usize,
}

/// How many voxels were set to 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// They were below 0.
    pub negative: usize,
    /// They were above 0 and below the cut.
    pub below: usize,
}

impl Showers {
    /// N.
    pub fn len(&self) -> usize {
        self.energies.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.energies.is_empty()
    }

    /// The voxels of shower i, `[V]`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.voxels[i * self.width..(i + 1) * self.width]
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// Those of [`ShowerFile::open`] and [`ShowerFile::rows`].
    pub fn read(path: &Path, geometry: &Geometry) -> Result<Self> {
        let file = ShowerFile::open(path, geometry)?;
        file.rows(0, file.len())
    }

    /// Sets voxels below `cut` MeV to 0, as the read-out of the detector would, and counts them.
    pub fn cut(&mut self, cut: f64) -> Cut {
        let mut found = Cut::default();
        for v in self.voxels.iter_mut().filter(|v| **v != 0.0 && f64::from(**v) < cut) {
            match *v < 0.0 {
                true => found.negative += 1,
                false => found.below += 1,
            }
            *v = 0.0;
        }
        found
    }

    /// Writes the challenge's file: energies in f64, voxels in f32, in compressed chunks of whole rows.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Bug`] if the two lengths do not belong together.
    pub fn write(&self, path: &Path) -> Result<()> {
        if self.is_empty() || self.voxels.len() != self.len() * self.width {
            let (n, v, width) = (self.len(), self.voxels.len(), self.width);
            return Err(Error::Bug(format!("{n} showers of {width} voxels cannot have {v} voxels")));
        }
        let (n, width) = (self.len() as u64, self.width as u64);
        let rows = (CHUNK_BYTES as u64 / (4 * width)).clamp(1, n);
        let mut file = FileBuilder::new();
        file.create_dataset(ENERGIES).with_f64_data(&self.energies).with_shape(&[n, 1]);
        let showers = file.create_dataset(SHOWERS);
        showers.with_f32_data(&self.voxels).with_shape(&[n, width]);
        showers.with_chunks(&[rows, width]).with_shuffle().with_deflate(LEVEL);
        let bytes = file.finish().map_err(|e| Error::Bug(format!("HDF5 for {}: {e}", path.display())))?;
        store::write_atomic(path, &bytes)
    }
}

/// An open file of showers. Only the energies are in memory.
pub struct ShowerFile {
    path: PathBuf,
    showers: Dataset,
    energies: Vec<f64>,
    width: usize,
    block: usize,
    wide: bool,
}

impl ShowerFile {
    /// Opens a file, checks it against `geometry`, and reads its energies.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] for a file that is not what the module says.
    pub fn open(path: &Path, geometry: &Geometry) -> Result<Self> {
        let wrong = |message: String| Error::input(path, message);
        // The system's errors are told by their own names, so the file is opened here first.
        let length = store::open_file(path)?.metadata().map_err(|e| Error::io(path, "read", e))?.len();
        let file = File::open_streaming(path).map_err(|e| refused(path, &e))?;
        let dataset = |name: &str| match file.dataset(name) {
            Ok(dataset) => Ok(dataset),
            Err(e) => Err(missing(path, &file, name, &e)),
        };
        let (energies, showers) = (dataset(ENERGIES)?, dataset(SHOWERS)?);
        let count = match shape(path, ENERGIES, &energies)?.as_slice() {
            [n] | [n, 1] => *n,
            other => return Err(wrong(format!("{ENERGIES}: expected the shape [N, 1], found {other:?}"))),
        };
        let width = match shape(path, SHOWERS, &showers)?.as_slice() {
            [n, width] if *n == count => *width,
            [n, _] => return Err(wrong(format!("expected as many showers as energies, found {n} and {count}"))),
            other => {
                let advice = "one row of voxels for each shower";
                return Err(wrong(format!("{SHOWERS}: expected the shape [N, V], found {other:?}; {advice}")));
            }
        };
        if let Some(message) = geometry.misfit(width as usize) {
            return Err(wrong(message));
        }
        if !(1..=limits::SAMPLES as u64).contains(&count) {
            return Err(wrong(format!("expected 1 to {} showers, found {count}", limits::SAMPLES)));
        }
        if let Some(message) = too_many(count, width, length) {
            return Err(wrong(format!("{message}; {DAMAGED}")));
        }
        for (name, dataset) in [(ENERGIES, &energies), (SHOWERS, &showers)] {
            within(path, name, dataset, length)?;
        }
        let energies = checked(path, ENERGIES, energies.read_f64_rows(0, count), 0, count as usize, 1)?;
        if let Some((i, e)) = energies.iter().enumerate().find(|(_, e)| !(e.is_finite() && **e > 0.0)) {
            return Err(wrong(format!("{ENERGIES}: expected energies in MeV above 0, found {e} for shower {i}")));
        }
        let unreadable = |e: hdf5_pure::Error| wrong(format!("{SHOWERS}: {}; {DAMAGED}", line(&e)));
        let wide = matches!(showers.dtype().map_err(unreadable)?, DType::F64);
        let chunk = showers.chunk_shape().map_err(unreadable)?.map_or(1, |c| c.first().copied().unwrap_or(1));
        let chunk = chunk.clamp(1, count) as usize;
        // Whole chunks, since a part of one costs as much as all of it.
        let block = (CHUNK_BYTES / (4 * width as usize)).next_multiple_of(chunk).max(chunk);
        Ok(Self { path: path.to_owned(), showers, energies, width: width as usize, block, wide })
    }

    /// How many showers it holds.
    pub fn len(&self) -> usize {
        self.energies.len()
    }

    /// Never: such a file is refused.
    pub fn is_empty(&self) -> bool {
        self.energies.is_empty()
    }

    /// The energies of all incident particles in MeV.
    pub fn energies(&self) -> &[f64] {
        &self.energies
    }

    /// How many rows to ask for at a time, starting at a multiple of it: whole chunks of the file, and about 2 MiB of
    /// voxels where the chunks are smaller.
    pub fn block(&self) -> usize {
        self.block
    }

    /// The showers from `start` on, `count` of them or as many as there are.
    ///
    /// # Errors
    /// [`Error::Input`] where the file is damaged or a voxel is not finite.
    pub fn rows(&self, start: usize, count: usize) -> Result<Showers> {
        let (start, end) = (start.min(self.len()), start.saturating_add(count).min(self.len()));
        let mut voxels = Vec::with_capacity((end - start) * self.width);
        let mut at = start;
        while at < end {
            let rows = (self.block - at % self.block).min(end - at);
            let (from, count) = (at as u64, rows as u64);
            match self.wide {
                // Wide values are held for one block only.
                true => {
                    let wide = self.checked(self.showers.read_f64_rows(from, count), at, rows)?;
                    voxels.extend(wide.iter().map(|v| *v as f32));
                }
                false => voxels.extend(self.checked(self.showers.read_f32_rows(from, count), at, rows)?),
            }
            at += rows;
        }
        if let Some(i) = voxels.iter().position(|v| !v.is_finite()) {
            let (row, voxel) = (start + i / self.width, i % self.width);
            let message = format!(
                "{SHOWERS}: expected finite energies in f32, found {} in voxel {voxel} of shower {row}",
                voxels[i]
            );
            return Err(Error::input(&self.path, message));
        }
        Ok(Showers { energies: self.energies[start..end].to_vec(), voxels, width: self.width })
    }

    /// [`checked`] for the showers.
    fn checked<T>(&self, found: Result<Vec<T>, hdf5_pure::Error>, start: usize, rows: usize) -> Result<Vec<T>> {
        checked(&self.path, SHOWERS, found, start, rows, self.width)
    }
}

/// The message about a file that does not open.
fn refused(path: &Path, error: &hdf5_pure::Error) -> Error {
    let head = store::read_head(path).unwrap_or_default();
    let message = match store::told(&head).filter(|_| !head.starts_with(b"\x89HDF\r\n\x1a\n")) {
        Some(what) => format!("expected an HDF5 file, found {what}"),
        None if head.starts_with(b"\x89HDF") => format!("{}; {DAMAGED}", line(error)),
        None => "expected an HDF5 file, found other bytes; check the path".into(),
    };
    Error::input(path, message)
}

/// What to do about a file that begins as HDF5 and cannot be read.
const DAMAGED: &str = "it may be cut short, so fetch it again; or copy it with h5py and its default libver";

/// The message about a data set that is not there, or is not one.
fn missing(path: &Path, file: &File, name: &str, error: &hdf5_pure::Error) -> Error {
    let root = file.root();
    let Ok(found) = root.datasets() else {
        return Error::input(path, format!("{}; {DAMAGED}", line(error)));
    };
    if found.iter().any(|f| f == name) {
        return Error::input(path, format!("{name}: {}; {DAMAGED}", line(error)));
    }
    let groups = root.groups().unwrap_or_default();
    let known = match (found.is_empty(), groups.is_empty()) {
        (true, true) => "; the file is empty".to_owned(),
        (true, false) => format!("; the file has the groups {}", groups.join(", ")),
        _ => did_you_mean(name, found.iter().map(String::as_str)),
    };
    Error::input(path, format!("expected the data sets {ENERGIES} and {SHOWERS}, found no {name}{known}"))
}

/// The shape of a data set whose numbers can be read.
fn shape(path: &Path, name: &str, dataset: &Dataset) -> Result<Vec<u64>> {
    let wrong = |e: hdf5_pure::Error| Error::input(path, format!("{name}: {}; {DAMAGED}", line(&e)));
    match dataset.dtype().map_err(wrong)? {
        DType::F32 | DType::F64 => dataset.shape().map_err(wrong),
        _ => Err(Error::input(path, format!("{name}: expected numbers in f32 or f64; convert them with h5py"))),
    }
}

/// What is wrong where a file of `length` bytes claims more than it can hold: rows that were never written.
fn too_many(count: u64, width: u64, length: u64) -> Option<String> {
    let claimed = count.saturating_mul(width).saturating_mul(4);
    (claimed > DEFLATE.saturating_mul(length))
        .then(|| format!("expected {count} showers of {width} voxels, found a file of {length} bytes"))
}

/// Refuses chunks that end behind the end of the file, before anybody makes room for them.
fn within(path: &Path, name: &str, dataset: &Dataset, length: u64) -> Result<()> {
    let wrong = |message: String| Error::input(path, format!("{name}: {message}; {DAMAGED}"));
    if dataset.chunk_shape().map_err(|e| wrong(line(&e)))?.is_none() {
        return Ok(());
    }
    let chunks = dataset.chunks().map_err(|e| wrong(line(&e)))?;
    match chunks.iter().find(|c| c.address.saturating_add(c.storage_size) > length) {
        Some(c) => {
            let (size, at) = (c.storage_size, c.address);
            Err(wrong(format!("expected a chunk within the file's {length} bytes, found {size} bytes at {at}")))
        }
        None => Ok(()),
    }
}

/// Rows of `width` values each, from row `start` on, if they are as many as were asked for. (The library gives an empty
/// list for some types that it does not convert.)
fn checked<T>(
    path: &Path,
    name: &str,
    found: Result<Vec<T>, hdf5_pure::Error>,
    start: usize,
    rows: usize,
    width: usize,
) -> Result<Vec<T>> {
    let found = found.map_err(|e| Error::input(path, format!("{name}: {}; {DAMAGED}", line(&e))))?;
    if found.len() != rows * width {
        let message =
            format!("{name}: expected {rows} rows of {width} values from row {start} on, found {} values", found.len());
        return Err(Error::input(path, format!("{message}; {DAMAGED}")));
    }
    Ok(found)
}

/// A message of the HDF5 library on one line.
fn line(error: &hdf5_pure::Error) -> String {
    format!("cannot be read: {error}").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::features::fixture;
    use super::super::geometry;
    use super::*;

    /// A geometry of 8 + 160 + … voxels, and showers whose voxels say where they stand.
    fn set(n: usize) -> (Geometry, Showers) {
        let geometry = geometry("photons").unwrap();
        let width = geometry.voxels();
        let voxels = (0..n * width).map(|i| if i % 3 == 0 { 0.0 } else { i as f32 * 0.37 }).collect();
        (geometry, Showers { energies: (0..n).map(|i| 256.0 * (i + 1) as f64).collect(), voxels, width })
    }

    fn temporary() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    /// A file made of these data sets: name, shape, values.
    fn made(path: &Path, sets: &[(&str, &[u64], &[f64])]) {
        let mut file = FileBuilder::new();
        for (name, shape, values) in sets {
            file.create_dataset(name).with_f64_data(values).with_shape(shape);
        }
        store::write_atomic(path, &file.finish().unwrap()).unwrap();
    }

    #[test]
    fn what_is_written_is_read_back_in_blocks_and_whole() {
        let folder = temporary();
        let path = folder.path().join("showers.hdf5");
        // More rows than one chunk has, and than one step of the reader.
        let (geometry, set) = set(3000);
        set.write(&path).unwrap();
        assert_eq!(Showers::read(&path, &geometry).unwrap(), set);
        let file = ShowerFile::open(&path, &geometry).unwrap();
        assert_eq!((file.len(), file.energies()), (3000, &set.energies[..]));
        let part = file.rows(1421, 900).unwrap();
        assert_eq!((part.len(), part.row(17)), (900, set.row(1438)));
        assert_eq!(file.rows(2990, usize::MAX).unwrap().row(9), set.row(2999));
        assert!(file.rows(3000, 1).unwrap().is_empty());
    }

    /// Files of calorimeter/make_h5.py, written by h5py 3.16: seven golden showers in each.
    #[test]
    fn what_h5py_writes_is_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/calorimeter");
        let geometry = geometry("photons").unwrap();
        let expected = fixture::showers(0, 7, 1.0);
        let kinds = ["contiguous-f64", "contiguous-f32", "gzip-f32", "gzip-shuffle-f64", "resizable-f32"];
        for kind in kinds.into_iter().chain(["checksum-f32", "big-endian-f32"]) {
            let found = Showers::read(&folder.join(format!("{kind}.hdf5")), &geometry).unwrap();
            let energies: Vec<f64> = (0..7).map(|i| 256.0 * f64::from(1 << i)).collect();
            assert_eq!((found.energies, found.width), (energies, 368), "{kind}");
            for (a, b) in found.voxels.iter().zip(&expected.voxels) {
                // The same in f64 but for the sine of another library; then rounded to f32.
                assert!((a - b).abs() <= 2.0 * f32::EPSILON * b.abs() + 1e-6, "{kind}: {a} and not {b}");
            }
        }
        for (kind, words) in [
            ("half", "incident_energies: expected numbers in f32 or f64; convert them with h5py"),
            ("latest-f32", "or copy it with h5py and its default libver"),
        ] {
            let error = Showers::read(&folder.join(format!("{kind}.hdf5")), &geometry).unwrap_err().to_string();
            assert!(error.ends_with(words), "{error}");
        }
    }

    #[test]
    fn a_cut_counts_what_it_removes() {
        let mut set = Showers { energies: vec![1.0], voxels: vec![-0.5, 0.0, 0.4, 1.0, 7.0], width: 5 };
        assert_eq!(set.cut(1.0), Cut { negative: 1, below: 1 });
        assert_eq!(set.voxels, [0.0, 0.0, 0.0, 1.0, 7.0]);
    }

    #[test]
    fn a_bad_file_is_refused_in_one_line() {
        let folder = temporary();
        let path = folder.path().join("x.hdf5");
        let geometry = geometry("photons").unwrap();
        let message = |sets: &[(&str, &[u64], &[f64])]| {
            made(&path, sets);
            let message = match Showers::read(&path, &geometry) {
                Err(e) => e.to_string(),
                Ok(_) => "read".into(),
            };
            assert!(!message.contains('\n'), "{message}");
            message.split_once("x.hdf5: ").unwrap().1.to_owned()
        };
        let row = vec![1.0; 368];
        let mut nan = vec![1.0; 2 * 368];
        nan[368 + 7] = f64::NAN;
        let mut large = row.clone();
        large[3] = 1e39;
        assert_eq!(
            message(&[("energy", &[1, 1], &[5.0]), ("showers", &[1, 368], &row)]),
            "expected the data sets incident_energies and showers, found no incident_energies; known: energy, showers"
        );
        assert_eq!(
            message(&[("incident_energies", &[1, 1], &[5.0]), ("shower", &[1, 368], &row)]),
            "expected the data sets incident_energies and showers, found no showers; did you mean \"shower\"?"
        );
        for (energy, words) in [(0.0, "found 0 for shower 0"), (-5.0, "found -5 for"), (f64::NAN, "found NaN for")] {
            let found = message(&[("incident_energies", &[1, 1], &[energy]), ("showers", &[1, 368], &row)]);
            assert!(found.starts_with("incident_energies: expected energies in MeV above 0") && found.contains(words));
        }
        assert_eq!(
            message(&[("incident_energies", &[2, 1], &[5.0, 5.0]), ("showers", &[2, 368], &nan)]),
            "showers: expected finite energies in f32, found NaN in voxel 7 of shower 1"
        );
        assert!(message(&[("incident_energies", &[1], &[5.0]), ("showers", &[1, 368], &large)]).contains("in voxel 3"));
        let pions = vec![1.0; 533];
        assert!(
            message(&[("incident_energies", &[1, 1], &[5.0]), ("showers", &[1, 533], &pions)])
                .ends_with("found 533; the geometry pions has 533 voxels")
        );
        assert_eq!(
            message(&[("incident_energies", &[2, 1], &[5.0, 5.0]), ("showers", &[1, 368], &row)]),
            "expected as many showers as energies, found 1 and 2"
        );
        assert!(
            message(&[("incident_energies", &[1, 1], &[5.0]), ("showers", &[368], &row)])
                .contains("showers: expected the shape [N, V], found [368]")
        );
        assert!(
            message(&[("incident_energies", &[1, 2], &[5.0, 5.0]), ("showers", &[1, 368], &row)])
                .contains("incident_energies: expected the shape [N, 1], found [1, 2]")
        );
        let mut file = FileBuilder::new();
        file.create_dataset("incident_energies").with_f64_data(&[5.0]);
        file.create_dataset("showers").with_i32_data(&[1; 368]).with_shape(&[1, 368]);
        store::write_atomic(&path, &file.finish().unwrap()).unwrap();
        let error = Showers::read(&path, &geometry).unwrap_err().to_string();
        assert!(error.ends_with("showers: expected numbers in f32 or f64; convert them with h5py"), "{error}");
    }

    #[test]
    fn a_small_file_cannot_claim_memory() {
        let folder = temporary();
        let path = folder.path().join("x.hdf5");
        let geometry = geometry("photons").unwrap();
        // Zeros compress best of all, and are still read.
        let mut file = FileBuilder::new();
        file.create_dataset(ENERGIES).with_f64_data(&vec![5.0; 20_000]).with_chunks(&[20_000]).with_deflate(9);
        let zeros = file.create_dataset(SHOWERS);
        zeros.with_f32_data(&vec![0.0; 20_000 * 368]).with_shape(&[20_000, 368]);
        zeros.with_chunks(&[20_000, 368]).with_deflate(9);
        let bytes = file.finish().unwrap();
        assert!(bytes.len() < 60_000);
        store::write_atomic(&path, &bytes).unwrap();
        assert_eq!(Showers::read(&path, &geometry).unwrap().len(), 20_000);
        let length = bytes.len() as u64;
        assert!(too_many(20_000, 368, length).is_none());
        let refused = too_many(9_000_000, 368, 1672).unwrap();
        assert_eq!(refused, "expected 9000000 showers of 368 voxels, found a file of 1672 bytes");
        let dataset = File::open_streaming(&path).unwrap().dataset(SHOWERS).unwrap();
        assert!(within(&path, SHOWERS, &dataset, length).is_ok());
        let message = within(&path, SHOWERS, &dataset, 4096).unwrap_err().to_string();
        assert!(message.contains("showers: expected a chunk within the file's 4096 bytes, found"), "{message}");
    }

    #[test]
    fn no_hdf5_and_half_a_file_are_told_apart() {
        let folder = temporary();
        let path = folder.path().join("x.hdf5");
        let (geometry, set) = set(40);
        let message = || {
            let message = Showers::read(&path, &geometry).unwrap_err().to_string();
            assert!(!message.contains('\n'), "{message}");
            message.split_once("x.hdf5: ").unwrap().1.to_owned()
        };
        assert!(message().starts_with("could not read"));
        for (bytes, words) in [
            (&b""[..], "expected an HDF5 file, found an empty file"),
            (b"<html>no</html>", "expected an HDF5 file, found a web page"),
            (&[7; 4096], "expected an HDF5 file, found other bytes"),
        ] {
            store::write_atomic(&path, bytes).unwrap();
            let found = message();
            assert!(found.starts_with(words), "{found}");
        }
        set.write(&path).unwrap();
        let whole = store::read_bounded(&path, 1 << 20).unwrap();
        for part in [9, 100, whole.len() / 2, whole.len() - 1] {
            store::write_atomic(&path, &whole[..part]).unwrap();
            let found = message();
            assert!(
                (found.contains("cannot be read") || found.contains("expected a chunk within"))
                    && found.ends_with(DAMAGED),
                "{part} of {}: {found}",
                whole.len()
            );
        }
    }
}
