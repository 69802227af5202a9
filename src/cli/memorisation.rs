//! `isoline memorisation`: what a model copied.

use super::reports::{self, Examined};
use super::{CommandRow, Context, output, parsed, run_of, with};
use crate::acts::study::memorisation::Audit;
use crate::acts::study::{Origin, Report};
use crate::error::{Result, shown};
use clap::ArgMatches;
use std::path::PathBuf;

/// The row of `isoline memorisation`.
pub const ROW: CommandRow = CommandRow {
    name: "memorisation",
    about: "What a model copied from its training pictures: audit",
    augment: |command| with(command, COMMANDS),
    run: |typed, context| run_of(COMMANDS, typed, context),
    stops_in_order: true,
    for_people: true,
};

/// Its subcommands.
static COMMANDS: &[CommandRow] = &[CommandRow::new::<AuditArgs>(
    "audit",
    "Tell which samples are copies, whether the model or the data are to blame, and the training pictures next to them",
    |typed, context| audit(&parsed(typed)?, typed, context),
)];

#[derive(Debug, clap::Args)]
struct AuditArgs {
    #[command(flatten)]
    audit: Audit,
    /// Folder for the table and report.html
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn audit(args: &AuditArgs, typed: &ArgMatches, context: &Context) -> Result<()> {
    args.audit.check()?;
    let origin = Origin::new(&context.command);
    let (name, device) = context.open_device()?;
    let report = args.audit.run(&device, &context.cancel)?;
    if let Some(outdir) = &args.outdir {
        let id = (report.model.as_str(), report.model_sha256.as_str());
        let of = Examined { model: &args.audit.model, id, seeds: &args.audit.pictures.seeds };
        reports::write::<Audit>(&report, outdir, &of, typed, (&origin, name))?;
    }
    output::print_report(args.json, &report, &report.rows())?;
    if !args.json
        && let Some(rows) = report.detector_rows()
    {
        output::print(&format!("\n{}", output::columns(&rows)))?;
    }
    context.say(&report.conclusion());
    if let Some(outdir) = &args.outdir {
        context.say(&format!("written: {}; open report.html there", shown(outdir)));
    }
    Ok(())
}
