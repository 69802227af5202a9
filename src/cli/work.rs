//! `isoline work`: one shard of a planned run.

use super::runs::{self, RunArgs};
use super::{CommandRow, Context, output, parsed};
use crate::error::{Result, shown};
use crate::run::{Drive, Shard, is_finished, work_shard};
use crate::store::{self, Lock};
use std::path::PathBuf;

/// The row of `isoline work`.
pub const ROW: CommandRow =
    CommandRow::new::<Args>("work", "Make one shard of a planned run", |typed, context| run(&parsed(typed)?, context))
        .stopping_in_order();

/// Arguments of `isoline work`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "auto reads SHARD_INDEX and SHARD_COUNT, JOB_COMPLETION_INDEX and JOB_COMPLETIONS, or SLURM_ARRAY_TASK_ID and \
its kin. SIGTERM or SIGUSR1 finishes the tile and exits with 75; the same command goes on. A finished shard returns at once."
)]
pub struct Args {
    /// Run folder that isoline plan has made
    #[arg(value_name = "RUN")]
    folder: PathBuf,
    /// Which shard, counted from 0: i/N, or auto
    #[arg(long, value_name = "I/N", default_value = "auto")]
    shard: String,
    #[command(flatten)]
    run: RunArgs,
}

/// Makes the shard's tiles and writes its manifest last.
///
/// # Errors
/// [`crate::error::Error::Busy`] if another process works on the shard, and those of the run.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let (plan, work) = runs::open(&args.folder)?;
    let shard = Shard::parse(&args.shard, plan.shards, &|name| std::env::var(name).ok())?;
    store::create_dir(&args.folder.join("shards"))?;
    let _run = Lock::shared(&args.folder.join("run.lock"))?;
    let _own = Lock::exclusive(&args.folder.join(format!("shards/{}.lock", shard.name())))?;
    work.check_claim()?;
    let say = |what: &str| output::print(&format!("shard {} {what}\n", shard.label()));
    // Checked before a device is opened, so that a machine without one can still report it.
    if is_finished(&args.folder, &plan, shard, &*work) {
        return say("was finished before");
    }
    let label = format!("{} {}", shown(&args.folder), shard.label());
    let drive = Drive {
        folder: Some(&args.folder),
        plan: Some(&plan),
        shard: Some(shard),
        whole_tiles: true,
        metrics: args.run.metrics_file.as_deref(),
        ..Drive::new(&label, &context.progress, &context.cancel)
    };
    work_shard(&drive, &*work, &mut *work.maker(runs::device(context, &*work)?))?;
    say("is finished")
}
