//! The index of the run folders. All of it can be read from the folders again.

use super::Db;
use crate::acts::generate::SampleRow;
use crate::error::Result;
use crate::studio::pictures::Picture;
use rusqlite::Connection;

/// A run folder below the studio's.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its path below the studio's folder.
    pub name: String,
    /// The act: `generate`, or another whose runs are listed and not looked into.
    pub kind: String,
    /// What it looked like when it was read: if it still looks so, nothing is new.
    pub stamp: String,
    /// Pictures that are planned.
    pub wanted: u64,
    /// Pictures that are there, or were found not to be finite.
    pub done: u64,
    /// Of them, those that are not as asked, or that the reward was not taught.
    pub flagged: u64,
    /// Records that cannot be read.
    pub damaged: u64,
    /// When it was planned, seconds since 1970.
    pub made_at: f64,
}

/// A recorded picture of a run.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its id.
    pub id: String,
    /// Its model.
    pub model: String,
    /// Its row.
    pub row: SampleRow,
    /// Its file, below the studio's folder.
    pub file: Option<String>,
    /// When it was made, seconds since 1970.
    pub made_at: f64,
}

impl Db {
    /// What is known of a run.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn run(&self, name: &str) -> Result<Option<RunRow>> {
        Ok(self.runs()?.into_iter().find(|r| r.name == name))
    }

    /// Every run that is known, the newest first.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn runs(&self) -> Result<Vec<RunRow>> {
        self.with(|c| {
            let mut ask = c.prepare(
                "SELECT name, kind, stamp, wanted, done, flagged, damaged, made_at FROM runs ORDER BY made_at DESC, name",
            )?;
            let rows = ask.query_map([], |r| {
                Ok(RunRow {
                    name: r.get(0)?,
                    kind: r.get(1)?,
                    stamp: r.get(2)?,
                    wanted: r.get::<_, i64>(3)? as u64,
                    done: r.get::<_, i64>(4)? as u64,
                    flagged: r.get::<_, i64>(5)? as u64,
                    damaged: r.get::<_, i64>(6)? as u64,
                    made_at: r.get(7)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Keeps what a run holds: its row, and those of its pictures that are new. With `whole`, pictures that are not among
    /// `found` are no longer in it.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn keep_run(&self, run: &RunRow, found: &[Recorded], whole: bool) -> Result<()> {
        self.with(|c| {
            let change = c.transaction()?;
            if whole {
                change.execute("DELETE FROM places WHERE run = ?1", [&run.name])?;
            }
            found.iter().try_for_each(|one| keep_picture(&change, &run.name, one))?;
            let RunRow { name, kind, stamp, wanted, done, flagged, damaged, made_at } = run;
            change.execute(
                "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                (name, kind, stamp, *wanted as i64, *done as i64, *flagged as i64, *damaged as i64, made_at),
            )?;
            if whole {
                forget_placeless(&change)?;
            }
            change.commit()
        })
    }

    /// Forgets a run whose folder is gone. Marks of its pictures stay: it may come back.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn forget_run(&self, name: &str) -> Result<()> {
        self.with(|c| {
            let change = c.transaction()?;
            change.execute("DELETE FROM places WHERE run = ?1", [name])?;
            change.execute("DELETE FROM runs WHERE name = ?1", [name])?;
            forget_placeless(&change)?;
            change.commit()
        })
    }

    /// A file of a run, below the studio's folder, if there is one.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn a_file(&self, run: &str) -> Result<Option<String>> {
        self.with(|c| {
            let mut ask = c.prepare("SELECT file FROM places WHERE run = ?1 AND file IS NOT NULL LIMIT 1")?;
            ask.query_map([run], |r| r.get(0))?.next().transpose()
        })
    }

    /// How many pictures of a run are there, and how many of them are flagged.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn count(&self, run: &str) -> Result<(u64, u64)> {
        self.with(|c| {
            let ask = "SELECT count(*), coalesce(sum(status NOT IN ('ok', 'unmeasured')), 0) FROM places
                JOIN pictures ON id = picture WHERE run = ?1";
            c.query_row(ask, [run], |r| Ok((r.get::<_, i64>(0)? as u64, r.get::<_, i64>(1)? as u64)))
        })
    }
}

fn keep_picture(c: &Connection, run: &str, one: &Recorded) -> rusqlite::Result<()> {
    let told = Picture::of(&one.row);
    let row = serde_json::to_string(&one.row).unwrap_or_default();
    let run_id = one.id.split('-').next().unwrap_or_default();
    c.prepare(
        "INSERT INTO pictures VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO UPDATE SET
            reached = excluded.reached, status = excluded.status, row = excluded.row",
    )?
    .execute((
        &one.id,
        run_id,
        // Twenty digits, so that text is in the order of the numbers.
        format!("{:020}", one.row.seed),
        &one.model,
        told.asked,
        told.reached,
        told.status,
        one.made_at,
        row,
    ))?;
    c.prepare("INSERT OR REPLACE INTO places VALUES (?1, ?2, ?3)")?.execute((&one.id, run, &one.file))?;
    Ok(())
}

fn forget_placeless(c: &Connection) -> rusqlite::Result<()> {
    c.execute("DELETE FROM pictures WHERE id NOT IN (SELECT picture FROM places)", []).map(drop)
}
