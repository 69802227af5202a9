//! `isoline ood`: pictures that a model would not make.

use super::reports::{self, Examined};
use super::{CommandRow, Context, output, parsed, run_of, with};
use crate::acts::study::ood::{Fit, Score, usual_place};
use crate::acts::study::{Origin, Report};
use crate::error::{Result, shown};
use clap::ArgMatches;
use std::path::PathBuf;

/// The row of `isoline ood`.
pub const ROW: CommandRow = CommandRow {
    name: "ood",
    about: "Pictures that a diffusion model would not make, by likelihood and dimension: fit, score",
    augment: |command| with(command, COMMANDS),
    run: |typed, context| run_of(COMMANDS, typed, context),
    stops_in_order: true,
    for_people: true,
};

/// Its subcommands.
static COMMANDS: &[CommandRow] = &[
    CommandRow::new::<FitArgs>("fit", "Learn what is usual from pictures of the distribution", |typed, context| {
        fit(&parsed(typed)?, context)
    }),
    CommandRow::new::<ScoreArgs>(
        "score",
        "Judge pictures: in the distribution, off the manifold, or dense but without mass",
        |typed, context| score(&parsed(typed)?, typed, context),
    ),
];

#[derive(Debug, clap::Args)]
struct FitArgs {
    #[command(flatten)]
    fit: Fit,
    /// File to write [default: runs/ood-MODEL/ood.toml]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn fit(args: &FitArgs, context: &Context) -> Result<()> {
    args.fit.check()?;
    let (_, device) = context.open_device()?;
    let file = args.fit.run(&device, &context.progress, &context.cancel)?;
    let path = args.output.clone().unwrap_or_else(|| usual_place(&file.model));
    file.write(&path)?;
    context.say(&format!("written: {}; isoline ood score judges pictures by it", shown(&path)));
    Ok(())
}

#[derive(Debug, clap::Args)]
struct ScoreArgs {
    #[command(flatten)]
    score: Score,
    /// Folder for the table and report.html
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn score(args: &ScoreArgs, typed: &ArgMatches, context: &Context) -> Result<()> {
    args.score.check()?;
    let origin = Origin::new(&context.command);
    let (name, device) = context.open_device()?;
    let report = args.score.run(&device, &context.progress, &context.cancel)?;
    if let Some(outdir) = &args.outdir {
        let id = (report.model.as_str(), report.model_sha256.as_str());
        let of = Examined { model: &args.score.model, id, seeds: &args.score.seeds };
        reports::write::<Score>(&report, outdir, &of, typed, (&origin, name))?;
    }
    output::print_report(args.json, &report, &report.rows())?;
    if !args.json
        && let Some(rows) = report.separation_rows()
    {
        output::print(&format!("\n{}", output::columns(&rows)))?;
    }
    context.say(&report.conclusion());
    if let Some(outdir) = &args.outdir {
        context.say(&format!("written: {}; open report.html there", shown(outdir)));
    }
    Ok(())
}
