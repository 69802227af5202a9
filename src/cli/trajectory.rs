//! `isoline trajectory`.

use super::{CommandRow, Context, output, parsed};
use crate::acts::study::Report;
use crate::acts::study::denoiser_path::DenoiserPath;
use crate::error::{Result, shown};
use std::path::PathBuf;

/// The row of `isoline trajectory`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "trajectory",
    "Local geometry of a diffusion model's denoiser along the way from noise to picture",
    |typed, context| run(&parsed(typed)?, context),
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

fn run(args: &Args, context: &Context) -> Result<()> {
    args.path.check()?;
    let (_, device) = context.open_device()?;
    let report = args.path.run(&device, &context.progress, &context.cancel)?;
    if let Some(outdir) = &args.outdir {
        report.write(outdir)?;
    }
    output::print_report(args.json, &report, &report.rows())?;
    if let Some(outdir) = &args.outdir {
        context.say(&format!("written: {}; open report.html there", shown(outdir)));
    }
    Ok(())
}
