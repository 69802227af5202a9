//! `events.jsonl`: what happens in a run, one JSON object per line, appended. The progress bar, `isoline status`, the
//! metrics and outside observers read these events. Whether a tile is done is decided by its record alone.

use crate::error::Result;
use crate::steer::Status;
use crate::store;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A process starts to work.
    Start {
        /// Id of the plan.
        plan: String,
        /// Process id.
        pid: u32,
        /// Name of the machine.
        host: String,
        /// Version of the program.
        version: String,
        /// Its shard as `i/N`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard: Option<String>,
        /// Number of tiles that the process looks after.
        tiles: u64,
        /// Number of samples in these tiles.
        samples: u64,
    },
    /// A sample is finished.
    Sample {
        /// Its job; absent if the run has no jobs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<String>,
        /// Its seed or index.
        seed: u64,
        /// How it ended.
        status: Status,
    },
    /// A tile's record is on disk.
    Tile {
        /// The tile, counted over all jobs of the run.
        tile: u64,
        /// Samples made in it.
        samples: u64,
        /// Seconds it took.
        seconds: f64,
    },
    /// A tile could not be made; the others continue.
    Failed {
        /// The tile.
        tile: u64,
        /// The reason.
        message: String,
    },
    /// How far the process has come.
    Progress {
        /// Samples finished, including those that were already finished at the start.
        done: u64,
        /// Samples that the process looks after.
        total: u64,
        /// Samples that were already finished at the start.
        skipped: u64,
    },
    /// The process ends regularly.
    End {
        /// Its exit code.
        code: u8,
    },
}

/// An event with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Seconds since 1970.
    pub t: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// The present time, in seconds since 1970 rounded to milliseconds.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    (since * 1e3).round() / 1e3
}

/// The event log that one process writes.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens `folder/events.jsonl`, or the log of the shard.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn open(folder: &Path, shard: Option<super::Shard>) -> Result<Self> {
        let name = shard.map_or("events.jsonl".to_owned(), |s| format!("shards/{}.events.jsonl", s.name()));
        let path = folder.join(name);
        store::create_dir(path.parent().unwrap_or(folder))?;
        Ok(Self { file: store::open_log(&path)?, path })
    }

    /// Appends an event.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn write(&mut self, event: &Event) -> Result<()> {
        let line = serde_json::to_string(&Line { t: now(), event: event.clone() });
        let line = line.map_err(|e| crate::error::Error::Bug(e.to_string()))?;
        store::append_line(&mut self.file, &self.path, &line)
    }
}

/// What one log of a run says about the last process that wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// The shard of the log, or `None` for the log of the whole run.
    pub shard: Option<String>,
    /// When the last process started.
    pub began: f64,
    /// The time of its last event.
    pub last: f64,
    /// Samples it has made, not counting those it found finished.
    pub made: u64,
    /// Its exit code, once it has ended regularly.
    pub code: Option<u8>,
    /// Tiles that failed and were not made since, with the reasons.
    pub failed: std::collections::BTreeMap<u64, String>,
}

impl Session {
    /// Samples per second since the start; `None` until one is made.
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.last - self.began;
        (self.made > 0 && seconds > 0.0).then(|| self.made as f64 / seconds)
    }

    fn take(&mut self, line: Line) {
        self.last = line.t;
        match line.event {
            Event::Start { shard, .. } => {
                let failed = std::mem::take(&mut self.failed);
                *self = Self { shard, began: line.t, last: line.t, failed, ..Self::default() };
            }
            Event::Tile { tile, samples, .. } => {
                self.made += samples;
                self.failed.remove(&tile);
            }
            Event::Failed { tile, message } => {
                self.failed.insert(tile, message);
            }
            Event::End { code } => self.code = Some(code),
            Event::Sample { .. } | Event::Progress { .. } => {}
        }
    }
}

/// Reads all logs of a run line by line, one [`Session`] for each log. Lines that a crash has cut off are skipped.
///
/// # Errors
/// [`crate::error::Error::Io`].
pub fn sessions(folder: &Path) -> Result<Vec<Session>> {
    let mut paths = vec![folder.join("events.jsonl")];
    if let Ok(entries) = std::fs::read_dir(folder.join("shards")) {
        let logs = entries.flatten().map(|e| e.path()).filter(|p| p.to_string_lossy().ends_with(".events.jsonl"));
        paths.extend(logs);
    }
    paths.sort();
    let mut sessions = Vec::new();
    for path in paths.iter().filter(|p| p.is_file()) {
        let file = File::open(path).map_err(|e| crate::error::Error::io(path, "open", e))?;
        let mut session = Session::default();
        for line in BufReader::new(file.take(crate::limits::EVENT_BYTES)).split(b'\n') {
            let line = line.map_err(|e| crate::error::Error::io(path, "read", e))?;
            if let Ok(line) = serde_json::from_slice::<Line>(&line) {
                session.take(line);
            }
        }
        sessions.push(session);
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_passed_over_and_the_next_is_whole() -> Result<()> {
        let dir = tempfile::tempdir().map_err(|e| crate::error::Error::io(".", "make a temporary folder", e))?;
        let start = Event::Start {
            plan: "p".into(),
            pid: 1,
            host: "h".into(),
            version: "0".into(),
            shard: None,
            tiles: 3,
            samples: 48,
        };
        let tile = |tile| Event::Tile { tile, samples: 16, seconds: 0.5 };
        let mut log = Log::open(dir.path(), None)?;
        log.write(&start)?;
        log.write(&Event::Failed { tile: 1, message: "m".into() })?;
        log.write(&Event::Failed { tile: 2, message: "m".into() })?;
        store::append_line(&mut log.file, &log.path, "{\"t\":1.0,\"event\":\"ti")?;
        let torn = std::fs::read(&log.path).unwrap_or_default();
        store::write_atomic(&log.path, &torn[..torn.len() - 1])?;
        let mut log = Log::open(dir.path(), None)?;
        log.write(&start)?;
        log.write(&tile(1))?;
        let found = sessions(dir.path())?;
        assert_eq!((found.len(), found[0].made, found[0].code), (1, 16, None));
        assert_eq!(found[0].failed.keys().collect::<Vec<_>>(), vec![&2]);
        Ok(())
    }
}
