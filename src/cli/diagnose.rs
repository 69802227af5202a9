//! `isoline diagnose`: what may be concluded from a model's densities.

use super::reports::{self, Examined};
use super::{CommandRow, Context, output, parsed};
use crate::acts::study::diagnose::Diagnose;
use crate::acts::study::{Origin, Report};
use crate::error::{Result, shown};
use clap::ArgMatches;
use std::path::PathBuf;

/// The row of `isoline diagnose`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "diagnose",
    "Say in plain words what may be concluded from a model's densities, and what may not",
    |typed, context| run(&parsed(typed)?, typed, context),
)
.stopping_in_order();

#[derive(Debug, clap::Args)]
struct Args {
    #[command(flatten)]
    diagnose: Diagnose,
    /// Folder for the table, plot and report.html
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn run(args: &Args, typed: &ArgMatches, context: &Context) -> Result<()> {
    args.diagnose.check()?;
    let origin = Origin::new(&context.command);
    let (name, device) = context.open_device()?;
    let report = args.diagnose.run(&device, &context.progress, &context.cancel)?;
    if let Some(outdir) = &args.outdir {
        let id = (report.model.as_str(), report.model_sha256.as_str());
        let of = Examined { model: &args.diagnose.model, id, seeds: &args.diagnose.pictures.seeds };
        reports::write::<Diagnose>(&report, outdir, &of, typed, (&origin, name))?;
    }
    output::print_report(args.json, &report, &report.rows())?;
    if !args.json {
        output::print(&format!("\n{}\n", report.conclusions().join("\n")))?;
    }
    if let Some(outdir) = &args.outdir {
        context.say(&format!("written: {}; open report.html there", shown(outdir)));
    }
    Ok(())
}
