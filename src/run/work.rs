//! What a plan computes, and the loop that computes it. This is the one place where tiles are started, their panics
//! caught and their samples counted.

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

/// The state of a tile on disk.
#[derive(Clone, Debug, Default)]
pub struct TileState {
    /// Samples wanted from the tile.
    pub wanted: u64,
    /// How many of these are finished and verified.
    pub done: u64,
    /// How many of the finished ones were not finite.
    pub non_finite: u64,
    /// What is wrong with the others, if they are not simply missing.
    pub damaged: Option<String>,
    /// Which run or version the record belongs to, if not to this run; nothing is made then.
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

/// A sample that has just been finished.
pub struct SampleEnd<'a> {
    /// Its job, if the run has jobs.
    pub job: Option<&'a str>,
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub status: Status,
    /// Whether it is the last of those that were computed together, so that the time they took is known.
    pub ends_call: bool,
}

/// The tiles of a plan, whether made or not. Needs no model.
pub trait Work {
    /// Number of tiles over all jobs.
    fn tiles(&self) -> u64;

    /// Number of samples wanted from a tile.
    fn wanted(&self, tile: u64) -> u64;

    /// The state of a tile on disk. With `hash` every file is read and compared with its hash; without it only the
    /// record is read.
    fn state(&self, tile: u64, hash: bool) -> TileState;

    /// How many of a tile's samples a pass that is forced makes again: all of them, unless the work was told which.
    fn forced(&self, tile: u64) -> u64 {
        self.wanted(tile)
    }

    /// The device class that the plan was made for.
    fn device_class(&self) -> &str;

    /// Writes the recipes into the folder, or compares them with those already there.
    ///
    /// # Errors
    /// [`Error::Config`] if the folder holds another recipe.
    fn claim(&self) -> Result<()>;

    /// Compares the recipes without writing anything.
    ///
    /// # Errors
    /// [`Error::Input`] if a recipe is missing or differs.
    fn check_claim(&self) -> Result<()>;

    /// The maker of these tiles; it loads the model when it makes its first tile.
    fn maker<'a>(&'a self, device: (DeviceName, Device)) -> Box<dyn Maker + 'a>;

    /// Puts the finished tiles together into tables and sheets. Gives the same bytes whichever process made the tiles.
    ///
    /// # Errors
    /// [`Error::Input`] if a tile is not finished.
    fn finish(&self) -> Result<()>;

    /// Folders that may hold unfinished files left by killed processes.
    fn folders(&self) -> Vec<PathBuf>;
}

/// Makes tiles.
pub trait Maker {
    /// Makes what is missing of a tile, with `force` also what is [`forced`](Work::forced) there, and writes its record
    /// last.
    ///
    /// # Errors
    /// Errors of the model, the device and the disk, or a stop.
    fn make(
        &mut self,
        tile: u64,
        force: bool,
        tell: &mut dyn FnMut(&SampleEnd) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()>;
}

/// One pass over the tiles.
pub struct Drive<'a> {
    /// The folder that keeps the results; without one they are kept in memory.
    pub folder: Option<&'a Path>,
    /// The plan, if there is one. Events are logged in the folder only then.
    pub plan: Option<&'a Plan>,
    /// The shard to make; `None` makes all tiles.
    pub shard: Option<Shard>,
    /// Whether to make finished samples again, as far as the work says that they are forced.
    pub force: bool,
    /// Whether a signal stops after the current tile instead of within it.
    pub whole_tiles: bool,
    /// Name of the progress bar.
    pub label: &'a str,
    /// File for the numbers that a monitoring system reads.
    pub metrics: Option<&'a Path>,
    /// The progress bars.
    pub progress: &'a Progress,
    /// The signals that stop the pass.
    pub cancel: &'a Cancel,
}

/// What a pass found and made.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Samples finished.
    pub done: u64,
    /// How many of these were not finite.
    pub non_finite: u64,
    /// Samples in the pass, made or not.
    pub total: u64,
    /// SHA-256 and path of every file, in order.
    pub files: Vec<(String, String)>,
    /// Seconds.
    pub seconds: f64,
}

/// So many failed tiles in a row end the pass: then the fault is not in a single tile.
const FAILURES_IN_A_ROW: u32 = 3;

impl<'a> Drive<'a> {
    /// A pass over all tiles, in memory.
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

    /// Makes every tile that is not finished. A tile that panics is skipped and the others are still made.
    ///
    /// # Errors
    /// [`Error::Bug`] at the end if tiles panicked, [`Error::Config`] for a record of another run, and those of
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
            let forced = if self.force { work.forced(tile) } else { 0 };
            if state.is_done() && forced == 0 {
                reporter.skip(state.done);
            } else {
                reporter.skip(state.done.saturating_sub(forced));
                let began = Instant::now();
                let before = reporter.made;
                let cancel = if self.whole_tiles { &never } else { self.cancel };
                // The tile boundary: nothing of a tile stays in memory, so a panic in it costs only this tile.
                let made = caught(|| {
                    let folder = self.folder.unwrap_or(Path::new("."));
                    failpoint!("tile.before").map_err(|e| Error::io(folder, "begin a tile in", e))?;
                    maker.make(tile, forced > 0, &mut |end| reporter.sample(end), cancel)
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
                    Err(Error::Stopped(_)) => return Err(Error::Stopped(self.kept(work, tile, &tally))),
                    Err(Error::Interrupted(_)) => return Err(Error::Interrupted(self.kept(work, tile, &tally))),
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

    /// Says what is kept of a pass that was stopped in the midst of `tile`.
    fn kept(&self, work: &dyn Work, tile: u64, tally: &Tally) -> String {
        let done = tally.done + work.state(tile, false).done;
        self.complete(&Tally { done, ..tally.clone() })
    }

    /// Says what is kept of a pass that ends early.
    fn complete(&self, tally: &Tally) -> String {
        let Some(folder) = self.folder else { return "nothing was written".into() };
        format!("{} of {} samples are complete in {}", tally.done, tally.total, shown(folder))
    }
}

/// Turns what happens into events, and events into log lines, a progress bar and metrics.
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

    /// Everything that becomes known outside goes through here.
    fn emit(&mut self, event: &Event) -> Result<()> {
        if let Some(log) = &mut self.log {
            log.write(event)?;
        }
        if let Event::Sample { .. } = event {
            self.made += 1;
            self.bar.count(1);
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
        self.emit(&Event::Sample { job: end.job.map(str::to_owned), seed: end.seed, status: end.status })?;
        if end.ends_call {
            self.bar.mark();
        }
        Ok(())
    }

    fn tile(&mut self, tile: u64, samples: u64, seconds: f64) -> Result<()> {
        self.bar.mark();
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
