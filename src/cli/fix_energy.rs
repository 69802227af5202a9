//! `isoline fix-energy`: from a model of showers of any incident energy, one of a single energy.

use super::{CommandRow, Context, output, parsed};
use crate::acts::showers::FixedEnergy;
use crate::error::{Error, Result, shown};
use std::path::PathBuf;

/// The row of `isoline fix-energy`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "fix-energy",
    "Make a model of showers of one incident energy, to be measured, taught a reward and steered",
    |typed, context| run(&parsed(typed)?, context),
);

/// Arguments of `isoline fix-energy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    fixed: FixedEnergy,
    /// Folder of the new model
    #[arg(short, long, value_name = "DIR")]
    outdir: PathBuf,
}

fn run(args: &Args, context: &Context) -> Result<()> {
    if args.outdir.exists() {
        let message = format!("{} is there already; choose another name", shown(&args.outdir));
        return Err(Error::config("--outdir", message));
    }
    args.fixed.run(&args.outdir).map_err(Error::at_flag)?;
    output::print(&format!("{}\n", shown(&args.outdir)))?;
    context.say("next: isoline train-reward for it, then isoline generate-showers");
    Ok(())
}
