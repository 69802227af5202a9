//! `isoline verify`: compares every file of a run with its hash.

use super::{CommandRow, Context, output, parsed, runs};
use crate::error::{Error, Result, shown};
use crate::run::{array_expression, survey};
use std::path::PathBuf;

/// The row of `isoline verify`.
pub const ROW: CommandRow =
    CommandRow::new::<Args>("verify", "Check every file of a run against its hash", |typed, context| {
        run(&parsed(typed)?, context)
    });

/// Arguments of `isoline verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folder
    #[arg(value_name = "RUN")]
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints what is intact, missing, damaged or foreign. Changes nothing.
///
/// # Errors
/// [`Error::Input`] if anything is missing, damaged or foreign.
pub fn run(args: &Args, _context: &Context) -> Result<()> {
    let (plan, work) = runs::open(&args.folder)?;
    work.check_claim()?;
    let found = survey(&args.folder, &plan, &*work, true)?;
    let lines: Vec<String> = found.problems.iter().map(|p| p.what.clone()).collect();
    if args.json {
        output::print_json(&serde_json::json!({
            "whole": found.is_whole(), "samples": found.wanted, "done": found.done, "non_finite": found.non_finite,
            "files": found.files.len(), "missing_tiles": found.missing, "problems": lines,
        }))?;
    } else {
        let files = output::count(found.files.len());
        output::print(&format!("{} of {} samples are whole, {files} files\n", found.done, found.wanted))?;
        lines.iter().try_for_each(|line| output::print(&format!("{line}\n")))?;
    }
    if found.is_whole() {
        return Ok(());
    }
    let missing = if found.missing.is_empty() {
        "all tiles are there".to_owned()
    } else {
        format!("tiles {} are not whole", array_expression(&found.missing))
    };
    let message = format!("{missing}, {} faults; isoline resume {} mends them", lines.len(), shown(&args.folder));
    let foreign = found.problems.iter().any(|p| p.foreign);
    let message = if foreign {
        format!("{missing}, {} faults; records of another run are there: move them away", lines.len())
    } else {
        message
    };
    Err(Error::input(&args.folder, message))
}
