//! `isoline trajectory`.

use super::reports::{self, Examined};
use super::{CommandRow, Context, output, parsed};
use crate::acts::study::denoiser_path::DenoiserPath;
use crate::acts::study::{Origin, Report};
use crate::error::{Result, shown};
use clap::ArgMatches;
use std::path::PathBuf;

/// The row of `isoline trajectory`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "trajectory",
    "Local geometry of a diffusion model's denoiser along the way from noise to picture",
    |typed, context| run(&parsed(typed)?, typed, context),
)
.stopping_in_order();

/// Arguments of `isoline trajectory`.
#[derive(Debug, clap::Args)]
struct Args {
    #[command(flatten)]
    path: DenoiserPath,
    /// Folder for tables, plots and report.html
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn run(args: &Args, typed: &ArgMatches, context: &Context) -> Result<()> {
    args.path.check()?;
    let origin = Origin::new(&context.command);
    let (name, device) = context.open_device()?;
    let report = args.path.run(&device, &context.progress, &context.cancel)?;
    if let Some(outdir) = &args.outdir {
        let id = (report.model.as_str(), report.model_sha256.as_str());
        let of = Examined { model: &args.path.model, id, seeds: &args.path.seeds };
        reports::write::<DenoiserPath>(&report, outdir, &of, typed, (&origin, name))?;
    }
    output::print_report(args.json, &report, &report.rows())?;
    if let Some(outdir) = &args.outdir {
        context.say(&format!("written: {}; open report.html there", shown(outdir)));
    }
    Ok(())
}
