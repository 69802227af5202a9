//! The last events, so that a page that lost the connection can be told what it missed.

use super::Db;
use crate::error::Result;
use crate::limits;
use std::time::{SystemTime, UNIX_EPOCH};

/// An event as it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptEvent {
    /// Its number, larger than that of any earlier one.
    pub id: i64,
    /// What happened.
    pub kind: String,
    /// Its content.
    pub json: String,
}

impl Db {
    /// Keeps an event and returns its number. Only the last [`limits::EVENTS_KEPT`] stay.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn keep_event(&self, kind: &str, json: &str) -> Result<i64> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        self.with(|c| {
            c.execute("INSERT INTO events (at, kind, json) VALUES (?1, ?2, ?3)", (at, kind, json))?;
            let id = c.last_insert_rowid();
            if id % 256 == 0 {
                c.execute("DELETE FROM events WHERE id <= ?1", [id - limits::EVENTS_KEPT])?;
            }
            Ok(id)
        })
    }

    /// The number of the last event; 0 before the first.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn last_event(&self) -> Result<i64> {
        self.with(|c| c.query_row("SELECT coalesce(max(id), 0) FROM events", [], |row| row.get(0)))
    }

    /// Every event after number `last`, or `None` if some of them are gone, or `last` has never been.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn events_after(&self, last: i64) -> Result<Option<Vec<KeptEvent>>> {
        self.with(|c| {
            let ends = "SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM events";
            let (first, newest): (i64, i64) = c.query_row(ends, [], |r| Ok((r.get(0)?, r.get(1)?)))?;
            if last > newest || last + 1 < first {
                return Ok(None);
            }
            let mut ask = c.prepare("SELECT id, kind, json FROM events WHERE id > ?1 ORDER BY id")?;
            let rows = ask.query_map([last], |r| Ok(KeptEvent { id: r.get(0)?, kind: r.get(1)?, json: r.get(2)? }))?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_told_or_said_to_be_gone() -> Result<()> {
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let db = Db::open(folder.path())?;
        assert_eq!((db.last_event()?, db.events_after(0)?), (0, Some(Vec::new())));
        assert_eq!(db.events_after(1)?, None);
        let ids: Vec<i64> = (0..3).map(|i| db.keep_event("tile", &i.to_string())).collect::<Result<_>>()?;
        assert_eq!(ids, [1, 2, 3]);
        let after = |last| {
            Ok::<_, crate::error::Error>(db.events_after(last)?.map(|all| all.iter().map(|e| e.id).collect::<Vec<_>>()))
        };
        assert_eq!(after(0)?, Some(vec![1, 2, 3]));
        assert_eq!(after(2)?, Some(vec![3]));
        assert_eq!(after(3)?, Some(vec![]));
        assert_eq!(after(4)?, None);
        db.with(|c| c.execute("DELETE FROM events WHERE id <= 2", []))?;
        assert_eq!(after(1)?, None);
        assert_eq!(after(2)?, Some(vec![3]));
        // Numbers are never given twice, even when all are gone.
        db.with(|c| c.execute("DELETE FROM events", []))?;
        assert_eq!(db.keep_event("tile", "3")?, 4);
        Ok(())
    }
}
