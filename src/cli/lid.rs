//! `isoline lid`: local intrinsic dimension.

use super::reports::{self, Examined};
use super::{CommandRow, Context, output, parsed, run_of, with};
use crate::acts::study::dimension::{Bench, Curve, Doctor, Estimates, Fit};
use crate::acts::study::{Origin, Report};
use crate::data::PictureFiles;
use crate::error::{Result, shown};
use clap::ArgMatches;
use std::path::PathBuf;

/// The row of `isoline lid`.
pub const ROW: CommandRow = CommandRow {
    name: "lid",
    about: "Local intrinsic dimension: estimate, curve, bench, doctor",
    augment: |command| with(command, COMMANDS),
    run: |typed, context| run_of(COMMANDS, typed, context),
    stops_in_order: true,
    for_people: true,
};

/// Its subcommands.
static COMMANDS: &[CommandRow] = &[
    CommandRow::new::<EstimateArgs>("estimate", "Dimension at pictures, one line each", |typed, context| {
        estimate(&parsed(typed)?, context)
    }),
    CommandRow::new::<CurveArgs>(
        "curve",
        "Dimension over noise levels, and the knee of the curve",
        |typed, context| curve(&parsed(typed)?, typed, context),
    ),
    CommandRow::new::<BenchArgs>(
        "bench",
        "Train score networks on manifolds of known dimension and compare every method with the truth",
        |typed, context| bench(&parsed(typed)?, context),
    ),
    CommandRow::new::<DoctorArgs>(
        "doctor",
        "Check a diffusion model: at noised pictures the mean must be the number of pixels, at clean ones a dimension",
        |typed, context| doctor(&parsed(typed)?, context),
    ),
];

#[derive(Debug, clap::Args)]
struct EstimateArgs {
    #[command(flatten)]
    estimates: Estimates,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn estimate(args: &EstimateArgs, context: &Context) -> Result<()> {
    args.estimates.check()?;
    say_skipped(context, [&args.estimates.pictures.pictures, &args.estimates.reference])?;
    let (_, device) = context.open_device()?;
    let report = args.estimates.run(&device, &context.cancel)?;
    output::print_report(args.json, &report, &report.rows())
}

/// Says of each folder of pictures what lies there and is not read.
fn say_skipped<const N: usize>(context: &Context, folders: [&Option<PathBuf>; N]) -> Result<()> {
    for folder in folders.into_iter().flatten().filter(|f| f.is_dir()) {
        context.say_skipped(Some(PictureFiles::list(folder, true)?.skipped));
    }
    Ok(())
}

#[derive(Debug, clap::Args)]
struct CurveArgs {
    #[command(flatten)]
    curve: Curve,
    /// Folder for tables, plot and report.html
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn curve(args: &CurveArgs, typed: &ArgMatches, context: &Context) -> Result<()> {
    args.curve.check()?;
    let origin = Origin::new(&context.command);
    say_skipped(context, [&args.curve.pictures.pictures])?;
    let (name, device) = context.open_device()?;
    let report = args.curve.run(&device, &context.progress, &context.cancel)?;
    if let Some(outdir) = &args.outdir {
        let id = (report.model.as_str(), report.model_sha256.as_str());
        let of = Examined { model: &args.curve.model, id, seeds: &args.curve.pictures.seeds };
        reports::write::<Curve>(&report, outdir, &of, typed, (&origin, name))?;
    }
    output::print_report(args.json, &report, &report.rows())?;
    report.knee_lines().iter().for_each(|line| context.say(line));
    if let Some(outdir) = &args.outdir {
        context.say(&format!("written: {}; open report.html there", shown(outdir)));
    }
    Ok(())
}

#[derive(Debug, clap::Args)]
struct BenchArgs {
    #[command(flatten)]
    bench: Bench,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn bench(args: &BenchArgs, context: &Context) -> Result<()> {
    args.bench.check()?;
    let (_, device) = context.open_device()?;
    let mut each = |fit: &Fit| match args.json {
        true => Ok(()),
        false => output::print(&format!("{}\n{}\n", fit.title(), output::columns(&fit.rows()))),
    };
    let fits = args.bench.run(&device, &context.progress, &context.cancel, &mut each)?;
    if args.json { output::print_report(true, &fits, &[]) } else { Ok(()) }
}

#[derive(Debug, clap::Args)]
struct DoctorArgs {
    #[command(flatten)]
    doctor: Doctor,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn doctor(args: &DoctorArgs, context: &Context) -> Result<()> {
    args.doctor.check()?;
    say_skipped(context, [&args.doctor.pictures.pictures])?;
    let (_, device) = context.open_device()?;
    let report = args.doctor.run(&device, &context.cancel)?;
    output::print_report(args.json, &report, &report.rows())?;
    context.say(&report.conclusion());
    Ok(())
}
