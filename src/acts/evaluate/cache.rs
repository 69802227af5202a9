//! Features that a network has read before, kept by the hash of everything they depend on: the pictures, the network with its
//! preprocessing, the device, and the version of the program. What is kept is what would be computed, to the bit; a file that is
//! damaged or is not what its name says is computed again, and said.

use super::extract::Extracted;
use crate::error::{Error, Result, shown};
use crate::evaluate::Features;
use crate::generator::cache_folder;
use crate::store;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Raised whenever the same network would read other features off the same pictures, within one version of the program.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " 1");
/// Bytes that the folder may hold; beyond them the files that were used longest ago are removed.
const MOST: u64 = 4 << 30;
/// Metadata of a file: the key, and the hash of its tensors.
const KEY: &str = "isoline.key";
const SUM: &str = "isoline.sha256";
/// Names of the tensors.
const FEATURES: &str = "features";
const PROBABILITIES: &str = "probabilities";
const SPATIAL: &str = "spatial";

/// Where features are kept, or nowhere.
pub struct FeatureCache {
    folder: Option<PathBuf>,
    device: String,
    most: u64,
    remarks: RefCell<Vec<String>>,
}

impl FeatureCache {
    /// The user's cache, for features computed on `device`; none if it is not wanted, or there is no place for it.
    pub fn new(wanted: bool, device: &str) -> Self {
        let folder = cache_folder().filter(|_| wanted).map(|f| f.join("features"));
        Self { folder, device: device.to_owned(), most: MOST, remarks: RefCell::default() }
    }

    /// Nowhere: everything is computed.
    pub fn none() -> Self {
        Self::new(false, "")
    }

    /// What was found damaged or could not be kept.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.borrow().clone()
    }

    /// The features of `subject`, `count` rows: what is kept of it, or what `make` gives, which is kept then.
    ///
    /// # Errors
    /// Those of `make`. A cache that cannot be read or written is said and otherwise left aside.
    pub fn kept(&self, subject: &str, count: usize, make: impl FnOnce() -> Result<Extracted>) -> Result<Extracted> {
        let Some(folder) = &self.folder else { return make() };
        let key = store::sha256_hex(format!("{VERSION} {} {subject}", self.device).as_bytes());
        let file = folder.join(format!("{key}.safetensors"));
        if file.is_file() {
            match read(&file, &key, count) {
                Ok(found) => {
                    // The time of its last use; where it cannot be set, the file counts as older than it is.
                    let opened = std::fs::File::options().append(true).open(&file);
                    let _ = opened.and_then(|f| f.set_modified(SystemTime::now()));
                    return Ok(found);
                }
                Err(why) => self.say(format!("{}: {why}; the features were computed again", shown(&file))),
            }
        }
        let made = make()?;
        if let Err(e) = self.put(folder, &file, &key, &made) {
            self.say(format!("features were not kept: {e}"));
        }
        Ok(made)
    }

    fn say(&self, remark: String) {
        self.remarks.borrow_mut().push(remark);
    }

    fn put(&self, folder: &Path, file: &Path, key: &str, made: &Extracted) -> Result<()> {
        let bytes = written(key, made)?;
        if bytes.len() as u64 > self.most {
            return Ok(());
        }
        store::create_dir(folder)?;
        store::write_atomic(file, &bytes)?;
        self.shorten(folder)
    }

    /// Removes the files that were used longest ago until no more than `most` bytes are left.
    fn shorten(&self, folder: &Path) -> Result<()> {
        let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list", e))?;
        let mut files: Vec<(SystemTime, PathBuf, u64)> = entries
            .flatten()
            .map(|e| e.path())
            .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
            .filter_map(|path| {
                let about = path.metadata().ok()?;
                Some((about.modified().ok()?, path, about.len()))
            })
            .collect();
        files.sort();
        let mut all: u64 = files.iter().map(|f| f.2).sum();
        for (_, path, bytes) in files {
            if all <= self.most {
                break;
            }
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, "remove", e))?;
            all -= bytes;
        }
        Ok(())
    }
}

fn parts(made: &Extracted) -> Vec<(&'static str, &Features)> {
    let all = [
        (FEATURES, Some(&made.features)),
        (PROBABILITIES, made.probabilities.as_ref()),
        (SPATIAL, made.spatial.as_ref()),
    ];
    all.into_iter().filter_map(|(name, rows)| Some((name, rows?))).collect()
}

fn bytes_of(rows: &Features) -> Vec<u8> {
    rows.values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// SHA-256 over the names, widths and values.
fn sum(made: &Extracted) -> String {
    let each = parts(made).into_iter().flat_map(|(name, rows)| {
        let mut bytes = format!("{name} {} ", rows.width).into_bytes();
        bytes.extend(bytes_of(rows));
        bytes
    });
    store::sha256_hex(&each.collect::<Vec<u8>>())
}

fn written(key: &str, made: &Extracted) -> Result<Vec<u8>> {
    let bug = |e: safetensors::SafeTensorError| Error::Bug(format!("features: {e}"));
    let data: Vec<(&str, Vec<u8>, Vec<usize>)> =
        parts(made).into_iter().map(|(name, rows)| (name, bytes_of(rows), vec![rows.rows(), rows.width])).collect();
    let views = data
        .iter()
        .map(|(name, bytes, shape)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(bug)?)))
        .collect::<Result<Vec<_>>>()?;
    let about = HashMap::from([(KEY.to_owned(), key.to_owned()), (SUM.to_owned(), sum(made))]);
    safetensors::serialize(views, Some(about)).map_err(bug)
}

/// What is kept in `file`, or why it is not what was kept under `key`.
fn read(file: &Path, key: &str, count: usize) -> Result<Extracted, String> {
    let bytes = store::read_bounded(file, crate::limits::DATASET_BYTES).map_err(|e| e.to_string())?;
    let damaged = |_| "is damaged".to_owned();
    let (_, about) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let about = about.metadata().as_ref();
    let said = |name: &str| about.and_then(|m| m.get(name)).map(String::as_str);
    if said(KEY) != Some(key) {
        return Err("is not what its name says".to_owned());
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let rows = |name: &str| {
        let tensor = tensors.tensor(name).ok()?;
        let &[rows, width] = tensor.shape() else { return None };
        let values = store::floats(tensor.dtype(), tensor.data())?;
        (rows == count && width > 0).then_some(Features { values, width })
    };
    let features = rows(FEATURES).ok_or("is damaged")?;
    let found = Extracted { features, probabilities: rows(PROBABILITIES), spatial: rows(SPATIAL) };
    match said(SUM) == Some(&sum(&found)) {
        true => Ok(found),
        false => Err("is damaged".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    fn made(first: f32) -> Extracted {
        let rows = |width: usize| Features { values: (0..3 * width).map(|v| first + v as f32).collect(), width };
        Extracted { features: rows(4), probabilities: Some(rows(2)), spatial: None }
    }

    fn cache(folder: &Path, most: u64) -> FeatureCache {
        FeatureCache { folder: Some(folder.to_owned()), device: "cpu".into(), most, remarks: RefCell::default() }
    }

    /// Kept once, read back to the bit; another subject, number of samples, or device is computed.
    #[test]
    fn what_is_kept_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, calls) = (cache(&dir.path().join("a/b"), MOST), Cell::new(0));
        let ask = |cache: &FeatureCache, subject: &str, first: f32| {
            let make = || {
                calls.set(calls.get() + 1);
                Ok(made(first))
            };
            cache.kept(subject, 3, make).unwrap()
        };
        assert_eq!(ask(&cache, "x", 1.0), made(1.0));
        assert_eq!(ask(&cache, "x", 2.0), made(1.0));
        assert_eq!(calls.get(), 1);
        assert_eq!(ask(&cache, "y", 2.0), made(2.0));
        let other = FeatureCache { device: "cuda".into(), ..self::cache(&dir.path().join("a/b"), MOST) };
        assert_eq!(ask(&other, "x", 3.0), made(3.0));
        assert_eq!((calls.get(), cache.remarks().len()), (3, 0));
        let none = FeatureCache { folder: None, ..self::cache(dir.path(), MOST) };
        assert_eq!(ask(&none, "x", 4.0), made(4.0));
    }

    /// A changed bit, a file cut short, and one of another key are computed again and said, and then replaced.
    #[test]
    fn damage_is_seen_and_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let ask = |subject: &str, first: f32| {
            let cache = cache(dir.path(), MOST);
            (cache.kept(subject, 3, || Ok(made(first))).unwrap(), cache.remarks())
        };
        ask("x", 1.0);
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let foreign = written(&"0".repeat(64), &made(9.0)).unwrap();
        for (bytes, says) in [
            (flipped, "is damaged"),
            (whole[..whole.len() / 2].to_vec(), "is damaged"),
            (Vec::new(), "is damaged"),
            (foreign, "is not what its name says"),
        ] {
            store::write_atomic(&file, &bytes).unwrap();
            let (found, remarks) = ask("x", 1.0);
            assert_eq!(found, made(1.0));
            assert!(remarks.len() == 1 && remarks[0].contains(says), "{remarks:?}");
            assert_eq!(ask("x", 5.0), (made(1.0), Vec::new()));
        }
        // A folder that is a file: said, and nothing is lost.
        let nowhere = cache(&file, MOST);
        assert_eq!(nowhere.kept("x", 3, || Ok(made(1.0))).unwrap(), made(1.0));
        assert!(nowhere.remarks()[0].contains("features were not kept"));
    }

    #[test]
    fn the_oldest_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let size = written(&"0".repeat(64), &made(0.0)).unwrap().len() as u64;
        let cache = cache(dir.path(), 2 * size + size / 2);
        let keep = |subject: &str| cache.kept(subject, 3, || Ok(made(1.0))).unwrap();
        let there = || std::fs::read_dir(dir.path()).unwrap().count();
        for (age, subject) in [(30, "a"), (20, "b")] {
            let before: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
            keep(subject);
            let new = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).find(|p| !before.contains(p));
            let file = std::fs::File::options().append(true).open(new.unwrap()).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        // Used again, so that the other one is the oldest.
        keep("a");
        keep("c");
        assert_eq!(there(), 2);
        let calls = Cell::new(0);
        for subject in ["a", "c"] {
            let make = || {
                calls.set(calls.get() + 1);
                Ok(made(1.0))
            };
            cache.kept(subject, 3, make).unwrap();
        }
        assert_eq!(calls.get(), 0);
    }
}
