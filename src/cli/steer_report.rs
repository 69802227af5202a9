//! `isoline steer-report`.

use super::{CommandRow, Context, output, parsed};
use crate::acts::study::steering::{Comparison, ComparisonReport, EVALUATED, LEFT_OUT};
use crate::acts::study::{Origin, Report, described};
use crate::error::{Result, shown};
use std::path::PathBuf;

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
    /// Folder of samples, plots and report.html, where the same command goes on after a stop [default:
    /// runs/steer-report-MODEL, and six digits more where anything but the methods is not as usual]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn run(args: &Args, context: &Context) -> Result<()> {
    let (asked, origin) = (&args.comparison, Origin::new(&context.command));
    asked.check()?;
    if let Some(text) = asked.more()? {
        context.say(&text);
    }
    let device = context.open_device()?;
    let name = device.0.to_string();
    let folder = args.outdir.clone().unwrap_or_else(|| asked.folder());
    let report = asked.run(&folder, device, &context.progress, &context.cancel)?;
    let provenance = report.provenance(&origin, asked, &name)?;
    report.write(&folder, &provenance)?;
    match args.json {
        true => output::print_json(&described(&report, &provenance)?)?,
        false => print(&report)?,
    }
    context.say(&format!("written: {}; open report.html there", shown(&folder)));
    Ok(())
}

fn print(report: &ComparisonReport) -> Result<()> {
    let mut text = format!(
        "Off by how many points; in brackets 95 % intervals of {} draws of seeds, all levels of a seed together:\n{}\n\
         Cost; an evaluation is one sample through one network once, and one more for each direction of a Jacobian:\n{}\n",
        report.draws,
        output::columns(&report.miss_rows()),
        output::columns(&report.cost_rows())
    );
    if report.guides_left_out {
        text.push_str(&format!("{LEFT_OUT}\n\n"));
    }
    match report.held_out_rows() {
        Some(rows) => text.push_str(&format!(
            "Measured again by {}, which steering never used; without choosing, two measurements are apart as in the row \
             without guidance:\n{}\n",
            report.remeasured_by,
            output::columns(&rows)
        )),
        None => text.push_str(&format!("Held out: {}\n\n", report.remeasured_by)),
    }
    text.push_str(&format!(
        "Left of the unguided pictures, level by level:\n{}\n\
         How much of it is brightness (Spearman, 95 % intervals by drawing seeds):\n{}\n",
        output::columns(&report.identity_rows()),
        output::columns(&report.brightness_rows())
    ));
    if let Some(found) = &report.evaluation {
        for against in found.references() {
            text.push_str(&format!("{}:\n{}\n", found.said(against), output::columns(&found.rows(against))));
        }
        text.push_str(&format!("{EVALUATED}.\n"));
        found.notes().iter().for_each(|note| text.push_str(&format!("{note}.\n")));
        text.push('\n');
    }
    text.push_str(&format!("Level by level:\n{}", output::columns(&report.level_rows())));
    output::print(&text)
}
