//! `isoline evaluate`: how far generated samples are from real ones, by the field's metrics.

use super::{CommandRow, Context, output, parsed};
use crate::acts::evaluate::Evaluation;
use crate::acts::study::{Origin, described};
use crate::error::{Result, shown};
use std::path::PathBuf;

/// The row of `isoline evaluate`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "evaluate",
    "Compare generated samples with real ones: Fréchet distance, precision, recall, copies, …",
    |typed, context| run(&parsed(typed)?, context),
);

/// Arguments of `isoline evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    evaluation: Evaluation,
    /// Folder of the table and report.html [default: runs/evaluation]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn run(args: &Args, context: &Context) -> Result<()> {
    args.evaluation.check()?;
    let origin = Origin::new(&context.command);
    let (name, device) = context.open_device()?;
    let report = args.evaluation.run(&device, &context.progress, &context.cancel)?;
    let outdir = args.outdir.clone().unwrap_or_else(|| "runs/evaluation".into());
    let provenance = report.write(&outdir, &origin, &args.evaluation, &name.to_string())?;
    if args.json {
        output::print_json(&described(&report, &provenance)?)?;
    } else {
        output::print(&output::columns(&report.rows()))?;
    }
    for remark in &report.remarks {
        context.say(&format!("note: {remark}"));
    }
    context.say(&format!(
        "compared by {} ({} values of each sample); written: {}; open report.html there",
        report.features,
        report.width,
        shown(&outdir)
    ));
    Ok(())
}
