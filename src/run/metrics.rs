//! `--metrics-file`: the state of a run in the text format that the Prometheus node exporter collects.

use super::events::{Event, now};
use crate::error::Result;
use crate::steer::Status;
use crate::store;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Shortest time between two writes.
const EVERY: Duration = Duration::from_secs(1);

/// Counts events and rewrites the whole file each time.
pub struct Metrics<'a> {
    path: &'a Path,
    plan: String,
    written: Option<Instant>,
    began: f64,
    total: u64,
    done: u64,
    made: u64,
    statuses: [u64; STATUSES.len()],
    tiles: u64,
    tile_seconds: f64,
    failed: u64,
    code: Option<u8>,
}

impl<'a> Metrics<'a> {
    /// Metrics of the run of `plan`, to be written to `path`.
    pub fn new(path: &'a Path, plan: &str) -> Self {
        Self {
            path,
            plan: plan.to_owned(),
            written: None,
            began: now(),
            total: 0,
            done: 0,
            made: 0,
            statuses: [0; STATUSES.len()],
            tiles: 0,
            tile_seconds: 0.0,
            failed: 0,
            code: None,
        }
    }

    /// Takes in an event. Writes at most once a second, and at the end.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn take(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Start { samples, .. } => self.total = *samples,
            Event::Sample { status, .. } => {
                self.made += 1;
                self.statuses[place(*status)] += 1;
            }
            Event::Tile { seconds, .. } => {
                self.tiles += 1;
                self.tile_seconds += seconds;
            }
            Event::Failed { .. } => self.failed += 1,
            Event::Progress { done, .. } => self.done = *done,
            Event::End { code } => self.code = Some(*code),
        }
        let due = self.written.is_none_or(|at| at.elapsed() >= EVERY);
        let counted = !matches!(event, Event::Sample { .. });
        if self.code.is_some() || (due && counted) {
            self.written = Some(Instant::now());
            store::write_atomic(self.path, self.text().as_bytes())?;
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let label = format!("plan=\"{}\"", self.plan);
        let mut metric = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
            let _ = writeln!(text, "# HELP isoline_{name} {help}\n# TYPE isoline_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "isoline_{name}{{{labels}}} {value}");
            }
        };
        let one = |value: f64| [(label.clone(), value)];
        let seconds = now() - self.began;
        let rate = if seconds > 0.0 { self.made as f64 / seconds } else { 0.0 };
        let left = self.total.saturating_sub(self.done) as f64;
        metric("samples", "gauge", "Samples this process is to look after.", &one(self.total as f64));
        metric("samples_done", "gauge", "Samples finished, those found finished among them.", &one(self.done as f64));
        let by_status =
            STATUSES.map(|(s, name)| (format!("{label},status=\"{name}\""), self.statuses[place(s)] as f64));
        metric("samples_made_total", "counter", "Samples made by this process.", &by_status);
        metric("samples_per_second", "gauge", "Samples made per second since the start.", &one(rate));
        if rate > 0.0 {
            metric("seconds_left", "gauge", "Estimated seconds to the end.", &one(left / rate));
        }
        metric("tiles_made_total", "counter", "Tiles made by this process.", &one(self.tiles as f64));
        metric("tile_seconds_total", "counter", "Seconds spent in these tiles.", &one(self.tile_seconds));
        metric("tiles_failed_total", "counter", "Tiles that could not be made.", &one(self.failed as f64));
        metric("last_event_timestamp_seconds", "gauge", "Time of the last event.", &one(now()));
        if let Some(code) = self.code {
            metric("exit_code", "gauge", "Exit code of the process.", &one(f64::from(code)));
        }
        text
    }
}

/// Every status with its label.
const STATUSES: [(Status, &str); 6] = [
    (Status::Ok, "ok"),
    (Status::Unreached, "unreached"),
    (Status::Unmeasured, "unmeasured"),
    (Status::Flagged, "flagged"),
    (Status::OffManifold, "off_manifold"),
    (Status::NonFinite, "non_finite"),
];

fn place(status: Status) -> usize {
    match status {
        Status::Ok => 0,
        Status::Unreached => 1,
        Status::Unmeasured => 2,
        Status::Flagged => 3,
        Status::OffManifold => 4,
        Status::NonFinite => 5,
    }
}
