//! The queue.

use super::Db;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// Its tiles are being made.
    Running,
    /// It waits until somebody resumes it.
    Paused,
    /// Another isoline works in its folder.
    Elsewhere,
    /// All of its pictures are there.
    Done,
    /// It could not be made.
    Failed,
    /// Somebody stopped it.
    Stopped,
}

impl JobState {
    /// Every state, with its name.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Queued, "queued"),
        (Self::Running, "running"),
        (Self::Paused, "paused"),
        (Self::Elsewhere, "elsewhere"),
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Stopped, "stopped"),
    ];

    /// As the database has it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|s| s.0 == self).map_or("", |s| s.1)
    }

    fn of(name: &str) -> Self {
        Self::ALL.iter().find(|s| s.1 == name).map_or(Self::Paused, |s| s.0)
    }

    /// Whether nothing more happens to it by itself.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Stopped)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its number.
    pub id: i64,
    /// Its run folder, below the studio's.
    pub run: String,
    /// Its place in the queue.
    pub position: f64,
    /// Where it stands.
    pub state: JobState,
    /// Why it stands there, where that is not plain.
    pub reason: Option<String>,
    /// Times in a row that a tile of it failed.
    pub tries: i64,
    /// Milliseconds that a tile usually takes.
    pub tile_ms: Option<f64>,
    /// When it was asked for, begun and ended, seconds since 1970.
    pub times: (f64, Option<f64>, Option<f64>),
}

impl Db {
    /// Puts a run at the end of the queue.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn enqueue(&self, run: &str, now: f64) -> Result<i64> {
        self.with(|c| {
            c.execute(
                "INSERT INTO jobs (run, position, state, created)
                 VALUES (?1, (SELECT coalesce(max(position), 0) + 1 FROM jobs), 'queued', ?2)",
                (run, now),
            )?;
            Ok(c.last_insert_rowid())
        })
    }

    /// Every job, in the order of the queue.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn jobs(&self) -> Result<Vec<JobRow>> {
        self.with(|c| {
            let mut ask = c.prepare(
                "SELECT id, run, position, state, reason, tries, tile_ms, created, started, ended FROM jobs ORDER BY position, id",
            )?;
            let rows = ask.query_map([], |r| {
                Ok(JobRow {
                    id: r.get(0)?,
                    run: r.get(1)?,
                    position: r.get(2)?,
                    state: JobState::of(&r.get::<_, String>(3)?),
                    reason: r.get(4)?,
                    tries: r.get(5)?,
                    tile_ms: r.get(6)?,
                    times: (r.get(7)?, r.get(8)?, r.get(9)?),
                })
            })?;
            rows.collect()
        })
    }

    /// Keeps where a job stands.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn keep_job(&self, job: &JobRow) -> Result<()> {
        self.with(|c| {
            c.execute(
                "UPDATE jobs SET position = ?2, state = ?3, reason = ?4, tries = ?5, tile_ms = ?6, started = ?7, ended = ?8
                 WHERE id = ?1",
                (
                    job.id,
                    job.position,
                    job.state.name(),
                    &job.reason,
                    job.tries,
                    job.tile_ms,
                    job.times.1,
                    job.times.2,
                ),
            )
            .map(drop)
        })
    }

    /// Takes a job out of the list.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn drop_job(&self, id: i64) -> Result<()> {
        self.with(|c| c.execute("DELETE FROM jobs WHERE id = ?1", [id]).map(drop))
    }
}
