//! What the commands that work in a run directory have in common: taking the lock, running the loop, ending.

use super::Context;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::run::{Drive, Maker, Plan, Tally, Work};
use crate::store::{self, Lock};
use std::path::{Path, PathBuf};

/// Arguments of every command that makes samples in a run directory.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// Keep counts of the work in this file, in Prometheus' text format
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// Makes the run directory if it is missing, and locks it for this process alone.
///
/// # Errors
/// [`Error::Busy`], [`Error::Io`].
pub fn alone(folder: &Path) -> Result<Lock> {
    store::create_dir(folder)?;
    failpoint!("lock.before").map_err(|e| Error::io(folder, "lock", e))?;
    Lock::exclusive(&folder.join("run.lock"))
}

/// Reads the plan in `folder` and opens its tiles.
///
/// # Errors
/// [`Error::Input`].
pub fn open(folder: &Path) -> Result<(Plan, Box<dyn Work>)> {
    let plan = Plan::read(folder)?;
    let work = crate::acts::open(&plan, folder)?;
    Ok((plan, work))
}

/// The device the user asked for, or with `auto` the one that the run was planned for.
///
/// # Errors
/// Those of [`crate::device::open`].
pub fn device(context: &Context, work: &dyn Work) -> Result<(DeviceName, Device)> {
    match context.device.as_str() {
        "auto" => crate::device::open(work.device_class()),
        _ => context.open_device(),
    }
}

/// Makes all tiles that are not finished and puts them together. The caller must hold the lock.
///
/// # Errors
/// [`Error::SamplesNotFinite`] if everything else is done; those of [`Drive::run`].
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

/// Options for completing a run.
pub struct RunOptions {
    /// Whether to make finished samples again.
    pub force: bool,
    /// Name of the progress bar.
    pub label: String,
    /// The arguments shared by the commands that make samples.
    pub run: RunArgs,
}

/// Fails with exit code 6 if some samples were not finite.
///
/// # Errors
/// [`Error::SamplesNotFinite`].
pub fn all_finite(count: u64, total: u64) -> Result<()> {
    match usize::try_from(count).unwrap_or(usize::MAX) {
        0 => Ok(()),
        count => Err(Error::SamplesNotFinite { count, total: usize::try_from(total).unwrap_or(usize::MAX) }),
    }
}
