//! What the commands that work in a run directory share: its locks, its loop, its end.

use super::Context;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::run::{Drive, Maker, Plan, Tally, Work};
use crate::store::{self, Lock};
use std::path::{Path, PathBuf};

/// Arguments of every command that makes samples in a run directory.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// Keep counts of the work in this file, in the text format of Prometheus
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// The run directory, made where it is missing, for this process alone.
///
/// # Errors
/// [`Error::Busy`], [`Error::Io`].
pub fn alone(folder: &Path) -> Result<Lock> {
    store::create_dir(folder)?;
    failpoint!("lock.before").map_err(|e| Error::io(folder, "lock", e))?;
    Lock::exclusive(&folder.join("run.lock"))
}

/// The plan in `folder` and its tiles.
///
/// # Errors
/// [`Error::Input`].
pub fn open(folder: &Path) -> Result<(Plan, Box<dyn Work>)> {
    let plan = Plan::read(folder)?;
    let work = crate::acts::open(&plan, folder)?;
    Ok((plan, work))
}

/// The device that a run was planned for, unless the user asks for one.
///
/// # Errors
/// Those of [`crate::device::open`].
pub fn device(context: &Context, work: &dyn Work) -> Result<(DeviceName, Device)> {
    match context.device.as_str() {
        "auto" => crate::device::open(work.device_class()),
        _ => context.open_device(),
    }
}

/// Makes all tiles that are not finished and puts them together, under a lock that the caller holds.
///
/// # Errors
/// [`Error::SamplesNotFinite`] when all else is done; those of [`Drive::run`].
pub fn complete(
    folder: &Path,
    plan: &Plan,
    work: &dyn Work,
    maker: &mut dyn Maker,
    options: &RunOptions,
    context: &Context,
) -> Result<Tally> {
    for found in work.folders() {
        store::remove_unfinished(&found)?;
    }
    let drive = Drive {
        folder: Some(folder),
        plan: Some(plan),
        force: options.force,
        metrics: options.run.metrics_file.as_deref(),
        ..Drive::new(&options.label, &context.progress, &context.cancel)
    };
    let tally = drive.run(work, maker)?;
    work.finish().map_err(|e| e.with_progress(|| "all samples are complete, only the tables are not".into()))?;
    Ok(tally)
}

/// What a run is completed with.
pub struct RunOptions {
    /// Make finished samples again.
    pub force: bool,
    /// Name of the progress bar.
    pub label: String,
    /// Shared arguments.
    pub run: RunArgs,
}

/// Exit code 6 where some samples were not finite.
///
/// # Errors
/// [`Error::SamplesNotFinite`].
pub fn all_finite(count: u64, total: u64) -> Result<()> {
    match usize::try_from(count).unwrap_or(usize::MAX) {
        0 => Ok(()),
        count => Err(Error::SamplesNotFinite { count, total: usize::try_from(total).unwrap_or(usize::MAX) }),
    }
}
