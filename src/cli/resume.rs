//! `isoline resume`: continues a run as it was planned.

use super::runs::{self, RunArgs, RunOptions};
use super::{CommandRow, Context, output, parsed};
use crate::error::{Result, shown};
use std::path::PathBuf;

/// The row of `isoline resume`.
pub const ROW: CommandRow = CommandRow::new::<Args>("resume", "Continue a run that was stopped", |typed, context| {
    run(&parsed(typed)?, context)
})
.stopping_in_order();

/// Arguments of `isoline resume`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folder
    #[arg(value_name = "RUN")]
    folder: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

/// Makes what is missing or damaged, then the tables.
///
/// # Errors
/// Those of the run; exit code 6 if some samples were not finite.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let (plan, work) = runs::open(&args.folder)?;
    let _lock = runs::alone(&args.folder)?;
    work.check_claim()?;
    let device = runs::device(context, &*work)?;
    let options = RunOptions { force: false, label: shown(&args.folder), run: args.run.clone() };
    let tally = runs::complete(&args.folder, &plan, &*work, &mut *work.maker(device), &options, context)?;
    output::print(&format!("{} samples are complete in {}\n", tally.done, shown(&args.folder)))?;
    runs::all_finite(tally.non_finite, tally.done)
}
