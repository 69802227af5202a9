//! The studio's own memory: one SQLite file below `.studio`. Whatever can be read from the run folders is only an index
//! here; the rest is events and settings.

mod choices;
mod events;
mod jobs;
mod marks;
mod pictures;
mod runs;
mod settings;
mod traits;

pub use events::KeptEvent;
pub use jobs::{JobRow, JobState};
#[cfg(test)]
pub use marks::Marks;
pub use marks::{Change, Changes};
pub use pictures::{Filter, Found, Sorting, place};
pub use runs::{Recorded, RunRow};

use crate::error::{Error, Result};
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What brings the file from each version to the next. A step that has been released is never changed.
static STEPS: &[&str] = &[
    "
    CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, json TEXT NOT NULL) STRICT;
    CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
",
    "
    CREATE TABLE runs (name TEXT PRIMARY KEY, kind TEXT NOT NULL, stamp TEXT NOT NULL, wanted INTEGER NOT NULL,
        done INTEGER NOT NULL, flagged INTEGER NOT NULL, damaged INTEGER NOT NULL, made_at REAL NOT NULL) STRICT;
    CREATE TABLE pictures (id TEXT PRIMARY KEY, run_id TEXT NOT NULL, seed TEXT NOT NULL, model TEXT NOT NULL, asked REAL,
        reached REAL, status TEXT NOT NULL, made_at REAL NOT NULL, row TEXT NOT NULL) STRICT;
    CREATE INDEX pictures_by_level ON pictures (reached, id);
    CREATE INDEX pictures_by_time ON pictures (made_at, id);
    CREATE TABLE places (picture TEXT NOT NULL, run TEXT NOT NULL, file TEXT, PRIMARY KEY (picture, run)) STRICT, WITHOUT ROWID;
    CREATE INDEX places_by_run ON places (run);
    CREATE TABLE marks (picture TEXT PRIMARY KEY, star INTEGER NOT NULL DEFAULT 0, binned INTEGER NOT NULL DEFAULT 0,
        alt TEXT NOT NULL DEFAULT '') STRICT;
    CREATE TABLE tags (picture TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (picture, tag)) STRICT, WITHOUT ROWID;
    CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL UNIQUE, position REAL NOT NULL, state TEXT NOT NULL,
        reason TEXT, tries INTEGER NOT NULL DEFAULT 0, tile_ms REAL, created REAL NOT NULL, started REAL, ended REAL) STRICT;
",
    "
    CREATE TABLE choices (id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, \"left\" TEXT NOT NULL, \"right\" TEXT NOT NULL,
        answer TEXT NOT NULL, blind INTEGER NOT NULL, at REAL NOT NULL) STRICT;
    CREATE INDEX choices_by_model ON choices (model, id);
    CREATE TABLE worths (picture TEXT PRIMARY KEY, model TEXT NOT NULL, worth REAL) STRICT, WITHOUT ROWID;
    CREATE TABLE traits (picture TEXT PRIMARY KEY, sha8 TEXT NOT NULL, named TEXT, small BLOB) STRICT, WITHOUT ROWID;
",
    "
    DROP INDEX pictures_by_time;
    CREATE INDEX pictures_in_order ON pictures (coalesce(reached, 1e9), id);
    CREATE INDEX pictures_by_age ON pictures (-made_at, id);
    CREATE INDEX pictures_by_seed ON pictures (seed, id);
",
];

/// The open file.
pub struct Db {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Db {
    /// Opens `folder/studio.db`, made or brought up to this version if need be. Before an older file is changed, a copy
    /// of it is put beside it.
    ///
    /// # Errors
    /// [`Error::Input`] for a file of a newer version, or one that is no database; [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, STEPS)
    }

    fn open_with(folder: &Path, steps: &[&str]) -> Result<Self> {
        let path = folder.join("studio.db");
        let fail = |e: rusqlite::Error| failure(&path, &e);
        let mut connection = Connection::open(&path).map_err(fail)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(fail)?;
        // The answer of this pragma is a row.
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(fail)?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").map_err(fail)?;
        let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
        let found = found as usize;
        if found > steps.len() {
            let message = format!(
                "a newer isoline wrote this (version {found}, this one knows {}); use that one, or move the file away",
                steps.len()
            );
            return Err(Error::input(&path, message));
        }
        if found > 0 && found < steps.len() {
            let copy = folder.join(format!("studio.db.v{found}"));
            if !copy.exists() {
                connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).map_err(fail)?;
            }
        }
        for (version, step) in steps.iter().enumerate().skip(found) {
            let change = connection.transaction().map_err(fail)?;
            change.execute_batch(step).map_err(fail)?;
            change.pragma_update(None, "user_version", version as u32 + 1).map_err(fail)?;
            change.commit().map_err(fail)?;
        }
        Ok(Self { path, connection: Mutex::new(connection) })
    }

    /// Removes the file in `folder`, so that the next one is made anew.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(folder: &Path) -> Result<()> {
        for name in ["studio.db", "studio.db-wal", "studio.db-shm"] {
            match std::fs::remove_file(folder.join(name)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(folder.join(name), "remove", e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Asks the database.
    fn with<T>(&self, ask: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut connection).map_err(|e| failure(&self.path, &e))
    }
}

/// What went wrong with the file.
fn failure(path: &Path, error: &rusqlite::Error) -> Error {
    let io = |kind: std::io::ErrorKind| Error::io(path, "use", std::io::Error::new(kind, error.to_string()));
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::input(path, format!("{error}; move it away, and the studio reads the run folders again"))
        }
        Some(ErrorCode::DiskFull) => io(std::io::ErrorKind::StorageFull),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            io(std::io::ErrorKind::PermissionDenied)
        }
        _ => io(std::io::ErrorKind::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"))
    }

    #[test]
    fn an_older_file_is_copied_and_brought_up() -> Result<()> {
        let folder = folder();
        let first = ["CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (7)"];
        drop(Db::open_with(folder.path(), &first)?);
        let both = [first[0], "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 3"];
        let db = Db::open_with(folder.path(), &both)?;
        let row = db.with(|c| c.query_row("SELECT x, y FROM a", [], |r| Ok((r.get(0)?, r.get(1)?))))?;
        assert_eq!(row, (7, 3));
        let old = Connection::open(folder.path().join("studio.db.v1")).map_err(|e| failure(folder.path(), &e))?;
        assert!(old.query_row("SELECT y FROM a", [], |r| r.get::<_, i64>(0)).is_err());
        drop(db);
        // A step that fails leaves the file as it was.
        let broken = [both[0], both[1], "INSERT INTO a VALUES (8, 8); INSERT INTO nowhere VALUES (1)"];
        assert!(Db::open_with(folder.path(), &broken).is_err());
        let db = Db::open_with(folder.path(), &both)?;
        assert_eq!(db.with(|c| c.query_row("SELECT count(*) FROM a", [], |r| r.get::<_, i64>(0)))?, 1);
        Ok(())
    }

    #[test]
    fn a_newer_or_a_foreign_file_is_refused() -> Result<()> {
        let folder = folder();
        drop(Db::open_with(folder.path(), &["CREATE TABLE a (x)", "CREATE TABLE b (x)"])?);
        let newer = Db::open_with(folder.path(), &["CREATE TABLE a (x)"]).map(drop);
        assert!(newer.is_err_and(|e| e.exit_code() == 3 && e.to_string().contains("newer isoline")));
        let path = folder.path().join("studio.db");
        crate::store::write_atomic(&path, &[b'x'; 4096])?;
        let foreign = Db::open_with(folder.path(), STEPS).map(drop);
        assert!(foreign.is_err_and(|e| e.exit_code() == 3), "a file of another kind");
        Ok(())
    }
}
