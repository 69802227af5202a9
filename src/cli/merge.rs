//! `isoline merge`: puts the finished shards of a run together as one data set.

use super::{CommandRow, Context, output, parsed, runs};
use crate::error::{Result, shown};
use crate::run;
use crate::store;
use std::path::PathBuf;

/// The row of `isoline merge`.
pub const ROW: CommandRow = CommandRow::new::<Args>("merge", "Join the finished shards of a run", |typed, context| {
    run(&parsed(typed)?, context)
});

/// Arguments of `isoline merge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folder
    #[arg(value_name = "RUN")]
    folder: PathBuf,
}

/// Checks every hash, then writes the tables and `provenance.json`.
///
/// # Errors
/// [`crate::error::Error::Input`] naming what is missing; exit code 6 if some samples were not finite.
pub fn run(args: &Args, _context: &Context) -> Result<()> {
    let (plan, work) = runs::open(&args.folder)?;
    let _lock = runs::alone(&args.folder)?;
    work.check_claim()?;
    for folder in work.folders() {
        store::remove_unfinished(&folder)?;
    }
    let (done, non_finite) = run::merge(&args.folder, &plan, &*work)?;
    output::print(&format!("{done} samples merged in {}\n", shown(&args.folder)))?;
    runs::all_finite(non_finite, done)
}
