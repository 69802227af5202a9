//! `isoline steer-report`.

use super::{CommandRow, Context, output, parsed};
use crate::acts::study::steering::Comparison;
use crate::error::Result;

/// The row of `isoline steer-report`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "steer-report",
    "Steer many seeds to many levels and measure what was reached, method by method",
    |typed, context| run(&parsed(typed)?, context),
)
.stopping_in_order();

/// Arguments of `isoline steer-report`.
#[derive(Debug, clap::Args)]
struct Args {
    #[command(flatten)]
    comparison: Comparison,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn run(args: &Args, context: &Context) -> Result<()> {
    args.comparison.check()?;
    let (_, device) = context.open_device()?;
    let report = args.comparison.run(&device, &context.progress, &context.cancel)?;
    output::print_report(args.json, &report, &report.rows())?;
    if !args.json {
        output::print(&format!(
            "\nOff by how many points, level by level (95 % bootstrap intervals):\n{}",
            output::columns(&report.level_rows())
        ))?;
        output::print(&format!(
            "\nLeft of the unguided pictures, level by level:\n{}",
            output::columns(&report.identity_rows())
        ))?;
        output::print(&format!(
            "\nHow much of it is brightness (Spearman, 95 % bootstrap intervals over seeds):\n{}",
            output::columns(&report.brightness_rows())
        ))?;
    }
    Ok(())
}
