//! What a plan computes, and the loop that computes it: the one place where tiles are begun, caught and counted.

use super::events::{Event, Log};
use super::metrics::Metrics;
use super::{Plan, Shard};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::panics::caught;
use crate::progress::{Bar, Progress};
use crate::steer::Status;
use crate::store;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is on disk of a tile.
#[derive(Clone, Debug, Default)]
pub struct TileState {
    /// Samples wanted of it.
    pub wanted: u64,
    /// Of these, the finished and verified ones.
    pub done: u64,
    /// Of these, those that were not finite.
    pub non_finite: u64,
    /// What is wrong with the others, where it is more than that they were not made yet.
    pub damaged: Option<String>,
    /// Whose it is, where the record is not of this run; then nothing is made.
    pub foreign: Option<String>,
    /// SHA-256 and path of every finished file, below the run directory.
    pub files: Vec<(String, String)>,
}

impl TileState {
    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.done == self.wanted && self.foreign.is_none()
    }
}

/// A sample that has just ended.
pub struct SampleEnd<'a> {
    /// Its job, where the run has jobs.
    pub job: Option<&'a str>,
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub status: Status,
}

/// The tiles of a plan, made or not. Needs no model.
pub trait Work {
    /// Number of tiles, over all jobs.
    fn tiles(&self) -> u64;

    /// Samples wanted of a tile.
    fn wanted(&self, tile: u64) -> u64;

    /// What is on disk of a tile; with `hash` every file is read and compared, without only the record is.
    fn state(&self, tile: u64, hash: bool) -> TileState;

    /// Device class that the plan was made for.
    fn device_class(&self) -> &str;

    /// Writes the recipes, or compares them.
    ///
    /// # Errors
    /// [`Error::Config`] where the folder holds another one.
    fn claim(&self) -> Result<()>;

    /// Compares the recipes and writes nothing.
    ///
    /// # Errors
    /// [`Error::Input`] where one is absent or another one.
    fn check_claim(&self) -> Result<()>;

    /// What makes tiles; loads the model with its first tile.
    fn maker<'a>(&'a self, device: (DeviceName, Device)) -> Box<dyn Maker + 'a>;

    /// Puts the finished tiles together: tables, sheets. The same bytes whoever made the tiles.
    ///
    /// # Errors
    /// [`Error::Input`] where a tile is not finished.
    fn finish(&self) -> Result<()>;

    /// Folders that may hold unfinished files of killed processes.
    fn folders(&self) -> Vec<PathBuf>;
}

/// Makes tiles.
pub trait Maker {
    /// Makes what is missing of a tile, or with `force` all of it, and writes its record last.
    ///
    /// # Errors
    /// Of model, device and disk, or a stop.
    fn make(
        &mut self,
        tile: u64,
        force: bool,
        tell: &mut dyn FnMut(&SampleEnd) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()>;
}

/// A pass over the tiles.
pub struct Drive<'a> {
    /// The folder that keeps what is made; without one it is kept in memory.
    pub folder: Option<&'a Path>,
    /// Its plan, where there is one; only then are events logged in the folder.
    pub plan: Option<&'a Plan>,
    /// The shard, or all tiles.
    pub shard: Option<Shard>,
    /// Make finished tiles again.
    pub force: bool,
    /// A signal stops after the tile instead of within it.
    pub whole_tiles: bool,
    /// Name of the progress bar.
    pub label: &'a str,
    /// Where numbers for a monitoring system go.
    pub metrics: Option<&'a Path>,
    /// Bars.
    pub progress: &'a Progress,
    /// Signals.
    pub cancel: &'a Cancel,
}

/// What a pass has found and made.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Samples finished.
    pub done: u64,
    /// Of these, those that were not finite.
    pub non_finite: u64,
    /// Samples looked after.
    pub total: u64,
    /// SHA-256 and path of every file, in order.
    pub files: Vec<(String, String)>,
    /// Seconds.
    pub seconds: f64,
}

/// Failures of tiles in a row after which the rest is not tried: then it is not the tile.
const FAILURES_IN_A_ROW: u32 = 3;

impl<'a> Drive<'a> {
    /// Over all tiles, in memory.
    pub fn new(label: &'a str, progress: &'a Progress, cancel: &'a Cancel) -> Self {
        Self {
            folder: None,
            plan: None,
            shard: None,
            force: false,
            whole_tiles: false,
            label,
            metrics: None,
            progress,
            cancel,
        }
    }

    /// Makes every tile that is not finished. A tile that panics is left out and the others are made.
    ///
    /// # Errors
    /// [`Error::Bug`] at the end where tiles have panicked, [`Error::Config`] for a record of another run, and those of
    /// [`Maker::make`].
    pub fn run(&self, work: &dyn Work, maker: &mut dyn Maker) -> Result<Tally> {
        let tiles = self.shard.map_or(0..work.tiles(), |s| s.range(work.tiles()));
        let total = tiles.clone().map(|t| work.wanted(t)).sum();
        let mut reporter = Reporter::new(self, &tiles, total)?;
        let result = self.each(work, maker, tiles, &mut reporter);
        let code = result.as_ref().map_or_else(Error::exit_code, |_| 0);
        let ended = reporter.end(code);
        let tally = result?;
        ended?;
        Ok(tally)
    }

    fn each(
        &self,
        work: &dyn Work,
        maker: &mut dyn Maker,
        tiles: Range<u64>,
        reporter: &mut Reporter,
    ) -> Result<Tally> {
        let mut tally = Tally { total: reporter.total, ..Tally::default() };
        let mut failures: Vec<(u64, String)> = Vec::new();
        let mut in_a_row = 0;
        let never = Cancel::never();
        for tile in tiles {
            let complete = self.complete(&tally);
            self.cancel.check(|| complete.clone())?;
            let mut state = work.state(tile, true);
            if let Some(foreign) = &state.foreign {
                let message = format!("{foreign}; move it away or choose another folder");
                return Err(Error::config(shown(self.folder.unwrap_or(Path::new("."))), message));
            }
            if state.is_done() && !self.force {
                reporter.skip(state.done);
            } else {
                reporter.skip(if self.force { 0 } else { state.done });
                let began = Instant::now();
                let before = reporter.made;
                let cancel = if self.whole_tiles { &never } else { self.cancel };
                // The tile boundary: nothing of a tile is kept in memory, so that a panic in it costs this tile alone.
                let made = caught(|| {
                    let folder = self.folder.unwrap_or(Path::new("."));
                    failpoint!("tile.before").map_err(|e| Error::io(folder, "begin a tile in", e))?;
                    maker.make(tile, self.force, &mut |end| reporter.sample(end), cancel)
                });
                match made {
                    Ok(()) => {
                        in_a_row = 0;
                        reporter.tile(tile, reporter.made - before, began.elapsed().as_secs_f64())?;
                    }
                    Err(Error::Bug(message)) => {
                        in_a_row += 1;
                        reporter.failed(tile, &message)?;
                        failures.push((tile, message));
                        if in_a_row >= FAILURES_IN_A_ROW {
                            break;
                        }
                        continue;
                    }
                    Err(Error::Stopped(_)) => return Err(Error::Stopped(complete)),
                    Err(Error::Interrupted(_)) => return Err(Error::Interrupted(complete)),
                    Err(e) => return Err(e.with_progress(|| complete)),
                }
                state = work.state(tile, false);
            }
            tally.done += state.done;
            tally.non_finite += state.non_finite;
            tally.files.append(&mut state.files);
        }
        tally.seconds = reporter.began.elapsed().as_secs_f64();
        match failures.first() {
            None => Ok(tally),
            Some((tile, message)) => Err(Error::Bug(format!(
                "{} tiles failed, tile {tile} first: {message}; {}, the same command makes the rest",
                failures.len(),
                self.complete(&tally)
            ))),
        }
    }

    /// What is kept of a pass that ends early.
    fn complete(&self, tally: &Tally) -> String {
        let Some(folder) = self.folder else { return "nothing was written".into() };
        format!("{} of {} samples are complete in {}", tally.done, tally.total, shown(folder))
    }
}

/// Turns what happens into events, and events into a bar and metrics.
struct Reporter<'a> {
    bar: Bar,
    log: Option<Log>,
    metrics: Option<Metrics<'a>>,
    began: Instant,
    total: u64,
    made: u64,
    skipped: u64,
}

impl<'a> Reporter<'a> {
    fn new(drive: &Drive<'a>, tiles: &Range<u64>, total: u64) -> Result<Self> {
        let plan = drive.plan.map(Plan::id);
        let mut reporter = Self {
            bar: drive.progress.start(drive.label.to_owned(), total),
            log: drive.folder.filter(|_| plan.is_some()).map(|folder| Log::open(folder, drive.shard)).transpose()?,
            metrics: drive.metrics.zip(plan.as_ref()).map(|(path, plan)| Metrics::new(path, plan)),
            began: Instant::now(),
            total,
            made: 0,
            skipped: 0,
        };
        if let Some(plan) = plan {
            reporter.emit(&Event::Start {
                plan,
                pid: std::process::id(),
                host: store::host(),
                version: env!("CARGO_PKG_VERSION").into(),
                shard: drive.shard.map(Shard::label),
                tiles: tiles.end - tiles.start,
                samples: total,
            })?;
        }
        Ok(reporter)
    }

    /// The one way that anything becomes known.
    fn emit(&mut self, event: &Event) -> Result<()> {
        if let Some(log) = &mut self.log {
            log.write(event)?;
        }
        if let Event::Sample { .. } = event {
            self.made += 1;
            self.bar.advance(1);
        }
        match &mut self.metrics {
            Some(metrics) => metrics.take(event),
            None => Ok(()),
        }
    }

    fn skip(&mut self, samples: u64) {
        self.skipped += samples;
        self.bar.skip(samples);
    }

    fn sample(&mut self, end: &SampleEnd) -> Result<()> {
        self.emit(&Event::Sample { job: end.job.map(str::to_owned), seed: end.seed, status: end.status })
    }

    fn tile(&mut self, tile: u64, samples: u64, seconds: f64) -> Result<()> {
        self.emit(&Event::Tile { tile, samples, seconds: (seconds * 1e3).round() / 1e3 })?;
        self.progress()
    }

    fn failed(&mut self, tile: u64, message: &str) -> Result<()> {
        self.emit(&Event::Failed { tile, message: message.to_owned() })
    }

    fn progress(&mut self) -> Result<()> {
        self.emit(&Event::Progress { done: self.skipped + self.made, total: self.total, skipped: self.skipped })
    }

    fn end(&mut self, code: u8) -> Result<()> {
        self.bar.finish();
        self.progress()?;
        self.emit(&Event::End { code })
    }
}
