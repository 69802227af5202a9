//! Pictures that were looked at, kept so that a second look costs nothing: files below `.studio/cache`, the oldest going
//! first when there are too many. The name of a picture, the id of its recipe and its seed, says everything that its bytes
//! depend on.

use crate::acts::generate::{SampleRow, Shot};
use crate::error::{Error, Result};
use crate::limits;
use crate::store;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Where they lie, and which there are.
pub struct Shelf {
    folder: PathBuf,
    most: u64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    entries: BTreeMap<String, Entry>,
    bytes: u64,
    uses: u64,
}

struct Entry {
    bytes: u64,
    used: u64,
    row: SampleRow,
    /// The file itself, where it could not be written: a full disk stops no looking.
    png: Option<Vec<u8>>,
}

/// `ID` of a picture: 16 hexadecimal digits of its recipe and its seed.
pub fn is_id(id: &str) -> bool {
    let Some((run, seed)) = id.split_once('-') else { return false };
    run.len() == 16
        && run.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && (1..=20).contains(&seed.len())
        && seed.bytes().all(|b| b.is_ascii_digit())
}

impl Shelf {
    /// The shelf in `folder`, with what an earlier studio left there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, limits::SHELF_BYTES)
    }

    fn open_with(folder: &Path, most: u64) -> Result<Self> {
        store::create_dir(folder)?;
        store::remove_unfinished(folder)?;
        let list = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list", e))?;
        let mut found: Vec<(SystemTime, String, u64, SampleRow)> =
            list.flatten().filter_map(|e| read(&e.path())).collect();
        found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut held = Held::default();
        for (_, id, bytes, row) in found {
            held.add(id, bytes, row, None);
        }
        Ok(Self { folder: folder.to_owned(), most, held: Mutex::new(held) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of what is here.
    pub fn bytes(&self) -> u64 {
        self.held().bytes
    }

    /// Keeps a picture and returns its row.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn put(&self, id: &str, shot: Shot) -> Result<()> {
        let Shot { row, png } = shot;
        let text = serde_json::to_vec(&row).map_err(|e| Error::Bug(format!("a row: {e}")))?;
        let bytes = (text.len() + png.as_ref().map_or(0, Vec::len)) as u64;
        // The row is written last: without it, there is no picture.
        let written = png
            .as_ref()
            .map_or(Ok(()), |png| store::write_atomic(&self.path(id, "png"), png))
            .and_then(|()| store::write_atomic(&self.path(id, "json"), &text));
        let mut held = self.held();
        held.add(id.to_owned(), bytes, row, png.filter(|_| written.is_err()));
        while held.bytes > self.most && held.entries.len() > 1 {
            let Some(oldest) = held.entries.iter().min_by_key(|e| e.1.used).map(|e| e.0.clone()) else { break };
            held.remove(&oldest);
            for kind in ["json", "png"] {
                let _ = std::fs::remove_file(self.path(&oldest, kind));
            }
        }
        Ok(())
    }

    /// The row of a picture that is here.
    pub fn row(&self, id: &str) -> Option<SampleRow> {
        let mut held = self.held();
        held.uses += 1;
        let now = held.uses;
        let entry = held.entries.get_mut(id)?;
        entry.used = now;
        Some(entry.row.clone())
    }

    /// The file of a picture that is here, if it has one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn png(&self, id: &str) -> Result<Option<Vec<u8>>> {
        match self.held().entries.get(id) {
            None => return Ok(None),
            Some(entry) if entry.row.sha256.is_none() => return Ok(None),
            Some(Entry { png: Some(png), .. }) => return Ok(Some(png.clone())),
            Some(_) => {}
        }
        let path = self.path(id, "png");
        std::fs::read(&path).map(Some).map_err(|e| Error::io(path, "read", e))
    }

    /// Where the file of a picture that is here lies.
    pub fn file(&self, id: &str) -> Option<PathBuf> {
        self.held().entries.get(id).filter(|e| e.png.is_none() && e.row.sha256.is_some())?;
        Some(self.path(id, "png"))
    }

    fn path(&self, id: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{id}.{kind}"))
    }
}

impl Held {
    fn add(&mut self, id: String, bytes: u64, row: SampleRow, png: Option<Vec<u8>>) {
        self.remove(&id);
        self.uses += 1;
        self.bytes += bytes;
        self.entries.insert(id, Entry { bytes, used: self.uses, row, png });
    }

    fn remove(&mut self, id: &str) {
        if let Some(old) = self.entries.remove(id) {
            self.bytes -= old.bytes;
        }
    }
}

/// A picture of an earlier studio: when it was kept, its id, its bytes and its row.
fn read(path: &Path) -> Option<(SystemTime, String, u64, SampleRow)> {
    let id = path.file_name()?.to_str()?.strip_suffix(".json").filter(|id| is_id(id))?.to_owned();
    let text = store::read_bounded(path, limits::CONFIG_BYTES).ok()?;
    let row: SampleRow = serde_json::from_slice(&text).ok()?;
    let png = match row.sha256 {
        Some(_) => std::fs::metadata(path.with_extension("png")).ok()?.len(),
        None => 0,
    };
    let at = std::fs::metadata(path).ok()?.modified().ok()?;
    Some((at, id, text.len() as u64 + png, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seed: u64) -> SampleRow {
        serde_json::from_value(serde_json::json!({
            "seed": seed, "file": null, "sha256": "ab", "novelty_asked": null, "novelty_predicted": null,
            "psi_predicted": null, "novelty_reached": 4.5, "beyond": 0.0, "psi_k": 1.0, "distance": 0.0, "angle": 0.0,
            "steps": 0, "status": "ok",
        }))
        .unwrap_or_else(|e| unreachable!("{e}"))
    }

    fn id(seed: u64) -> String {
        format!("0123456789abcdef-{seed}")
    }

    #[test]
    fn an_id_is_never_a_path() {
        assert!(is_id(&id(0)) && is_id(&id(u64::MAX)));
        for other in [
            "",
            "-",
            "0123456789abcdef",
            "0123456789abcdef-",
            "0123456789abcdeF-1",
            "../../../etc/passwd-1",
            "0123456789abcdef-../x",
            "0123456789abcde-1",
            "0123456789abcdef-1.png",
            "0123456789abcdef-1\0",
        ] {
            assert!(!is_id(other), "{other}");
        }
    }

    #[test]
    fn the_picture_looked_at_longest_ago_goes_first() -> Result<()> {
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let shelf = Shelf::open_with(folder.path(), 3000)?;
        let png = vec![7u8; 500];
        for seed in 0..3 {
            shelf.put(&id(seed), Shot { row: row(seed), png: Some(png.clone()) })?;
        }
        assert_eq!(shelf.png(&id(0))?, Some(png.clone()));
        assert_eq!(shelf.row(&id(0)), Some(row(0)));
        for seed in 3..5 {
            shelf.put(&id(seed), Shot { row: row(seed), png: Some(png.clone()) })?;
        }
        let here = |shelf: &Shelf| (0..5).map(|s| shelf.row(&id(s)).is_some()).collect::<Vec<_>>();
        assert_eq!(here(&shelf), [true, false, false, true, true]);
        assert_eq!(shelf.png(&id(1))?, None);
        // An unfinished file and a stranger's are no pictures.
        for name in [".isoline-x.tmp", "0123456789abcdef-9.json", "notes.txt"] {
            store::write_atomic(&folder.path().join(name), b"x")?;
        }
        drop(shelf);
        assert_eq!(here(&Shelf::open_with(folder.path(), 3000)?), [true, false, false, true, true]);
        Ok(())
    }

    #[test]
    fn a_disk_that_takes_nothing_stops_no_looking() -> Result<()> {
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let shelf = Shelf::open(&folder.path().join("cache"))?;
        std::fs::remove_dir(folder.path().join("cache")).map_err(|e| Error::io("cache", "remove", e))?;
        store::write_atomic(&folder.path().join("cache"), b"a file in its place")?;
        shelf.put(&id(1), Shot { row: row(1), png: Some(vec![1, 2]) })?;
        assert_eq!(shelf.png(&id(1))?, Some(vec![1, 2]));
        Ok(())
    }
}
