//! `isoline study`: examines how far the numbers can be trusted on a model. Writes tables, plots and a page to a
//! folder.

use super::{CommandRow, Context, output, parsed, typed};
use crate::acts::study::{Model, Origin, STUDIES};
use crate::error::{Error, Result, shown};
use clap::{ArgMatches, Args as _, Command};
use std::path::PathBuf;

/// The row of `isoline study`.
pub const ROW: CommandRow = CommandRow {
    name: "study",
    about: "Study a model: convergence of estimators, maps, relations to pictures, paths",
    augment,
    run,
    stops_in_order: true,
    for_people: true,
};

/// What every study is told.
#[derive(Debug, clap::Args)]
struct Common {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    model: String,
    /// Folder of tables, plots and report.html [default: runs/study-STUDY-MODEL]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn augment(command: Command) -> Command {
    let commands = STUDIES.iter().map(|s| (s.augment)(Common::augment_args(Command::new(s.name))).about(s.about));
    command.subcommands(commands).subcommand_required(true).arg_required_else_help(true)
}

fn run(matches: &ArgMatches, context: &Context) -> Result<()> {
    let (name, matches) = typed(matches)?;
    let study = STUDIES.iter().find(|s| s.name == name).ok_or_else(|| Error::Bug(format!("no study {name}")))?;
    let common: Common = parsed(matches)?;
    (study.check)(matches)?;
    let origin = Origin::new(&context.command);
    let (device_name, device) = context.open_device()?;
    let model = Model::load(&common.model, device_name, device)?;
    let outdir = common.outdir.unwrap_or_else(|| format!("runs/study-{name}-{}", model.id()).into());
    let found = (study.run)(matches, &model, &outdir, &origin, &context.progress, &context.cancel)?;
    if common.json {
        output::print_json(&found.json)?;
    } else {
        output::print(&output::columns(&found.rows))?;
    }
    context.say(&format!("written: {}; open report.html there", shown(&outdir)));
    Ok(())
}
