//! `isoline describe`: measures the descriptors of many latents, given as seeds, as a file, or as pictures.

use super::runs::{self, RunArgs, RunOptions};
use super::{CommandRow, Context, output, parsed};
use crate::acts::describe::{DescribePlan, Description, Keys, Measurer, Report, Subject, Tiles, summary, unpack};
use crate::data::PictureFiles;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::generator::Generator;
use crate::run::{Drive, Plan, Work};
use crate::table::write_csv;
use std::path::{Path, PathBuf};

/// The row of `isoline describe`.
pub const ROW: CommandRow =
    CommandRow::new::<Args>("describe", "Measure the local geometry of unguided samples", |typed, context| {
        run(&parsed(typed)?, context)
    })
    .stopping_in_order();

/// Arguments of `isoline describe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    keys: Keys,
    /// Run folder: tiles, descriptors.parquet, settings; the same command continues where it was stopped
    // Stands in help before the tables that are written there.
    #[arg(short, long, value_name = "DIR", display_order = 10)]
    outdir: Option<PathBuf>,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

/// Measures, then prints the table. With `--outdir` it writes the table and prints a summary.
///
/// # Errors
/// Those of the model, the latents, the estimator and the disk; [`Error::SamplesNotFinite`] at the end if some samples
/// were not finite.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if let Some(folder) = args.keys.images.as_ref().filter(|f| f.is_dir()) {
        context.say_skipped(Some(PictureFiles::list(folder, false)?.skipped));
    }
    match (&args.keys.spectra, &args.outdir) {
        (Some(spectra), _) => again(args, spectra, context),
        (None, Some(outdir)) => in_folder(args, outdir, context),
        (None, None) => in_memory(args, context),
    }
}

/// The plan of a description, and the measurer that was loaded to make it.
///
/// # Errors
/// Those of [`Measurer::load`].
pub fn planned(keys: Keys, device: &(DeviceName, Device)) -> Result<(DescribePlan, Measurer)> {
    let keys = keys.anchored()?;
    let measurer = Measurer::load(&keys, device)?;
    Ok((DescribePlan::new(keys, &measurer), measurer))
}

fn in_folder(args: &Args, outdir: &Path, context: &Context) -> Result<()> {
    let _lock = runs::alone(outdir)?;
    let device = context.open_device()?;
    let (asked, measurer) = planned(args.keys.clone(), &device)?;
    let plan = Plan::new("describe", &asked)?;
    plan.check(outdir)?;
    let work = Tiles::open(asked, Some(outdir)).map_err(|e| crate::acts::of_plan(e, outdir))?.with(measurer);
    work.check_table_memory()?;
    work.claim()?;
    plan.write(outdir)?;
    let options = RunOptions { force: false, label: shown(outdir), run: RunArgs::default() };
    runs::complete(outdir, &plan, &work, &mut *work.maker(device.clone()), &options, context)?;
    report(args, work.report()?, &work.measurer(&device)?.subject, context)
}

fn in_memory(args: &Args, context: &Context) -> Result<()> {
    let device = context.open_device()?;
    let (asked, measurer) = planned(args.keys.clone(), &device)?;
    let label = format!("measuring ({})", measurer.recipe.estimator);
    let work = Tiles::open(asked, None)?.with(measurer);
    Drive::new(&label, &context.progress, &context.cancel).run(&work, &mut *work.maker(device.clone()))?;
    report(args, work.report()?, &work.measurer(&device)?.subject, context)
}

/// Reads descriptors off spectra that were measured before.
fn again(args: &Args, spectra: &Path, context: &Context) -> Result<()> {
    let Keys { model, geometry, csv, npz, .. } = &args.keys;
    geometry.settings()?;
    let _lock = args.outdir.as_ref().map(|outdir| runs::alone(outdir)).transpose()?;
    if let Some(outdir) = args.outdir.as_ref().filter(|o| o.join("plan.toml").exists()) {
        let message = "this folder holds a run, whose tables would be replaced; choose another --outdir";
        return Err(Error::config(shown(outdir), message));
    }
    let (_, device) = context.open_device()?;
    let subject = Subject::load(model, geometry.model_rank, &device)?;
    let (about, samples) = unpack(spectra)?;
    check_model(spectra, &about.model_sha256, &about.model, &*subject.generator)?;
    let scales = geometry.scales.clone();
    let settings = toml::Table::from_iter([
        ("model".to_owned(), model.clone().into()),
        ("model_sha256".to_owned(), about.model_sha256.into()),
        ("spectra".to_owned(), spectra.to_string_lossy().into_owned().into()),
        ("run_id".to_owned(), about.run_id.clone().into()),
        ("estimator".to_owned(), about.estimator.into()),
        ("scales".to_owned(), scales.clone().into()),
    ]);
    let results = Report {
        // The file does not say, so assume that they are not.
        usual: false,
        files: vec![None; samples.len()],
        description: Description::new(samples, &[], subject.model_rank, &scales, &about.column),
        run_id: about.run_id,
        scales,
        settings: settings.to_string(),
    };
    if let Some(outdir) = &args.outdir {
        if *npz {
            return Err(Error::config("--npz", "the spectra are those of --spectra; leave one of the two out"));
        }
        results.write(outdir, &subject, *csv, None)?;
    }
    report(args, &results, &subject, context)
}

fn check_model(path: &Path, found: &str, id: &str, generator: &dyn Generator) -> Result<()> {
    if found == generator.model_sha256() {
        return Ok(());
    }
    let message = format!(
        "spectra of model {} (SHA-256 {:.12}), expected those of {} ({:.12}); give the model that they were made with",
        id.escape_debug(),
        found.escape_debug().to_string(),
        generator.spec().id,
        generator.model_sha256()
    );
    Err(Error::input(path, message))
}

/// Prints the table, or a summary if the table was written to a folder.
fn report(args: &Args, results: &Report, subject: &Subject, context: &Context) -> Result<()> {
    let d = &results.description;
    for (name, b) in &d.biases {
        let rho = b.spearman.map_or("undefined".to_owned(), |r| format!("{r:.3}"));
        context.say(&format!(
            "{name} by {} against exact on {} samples: Spearman {rho}, bias {:.4} ± {:.4}, deviation {:.4} without it",
            d.estimator, b.n, b.bias, b.bias_stderr, b.sd
        ));
    }
    for (name, why) in results.missed(subject.reward.as_ref()) {
        context.say(&format!("{name} is empty: {why}"));
    }
    if args.json {
        output::print_json(&results.about(subject))?;
    } else if let Some(outdir) = &args.outdir {
        output::print(&output::columns(&summary(d)))?;
        context.say(&format!("written: {}", shown(outdir)));
    } else {
        output::print(&write_csv(&results.table(subject.reward.as_ref())?))?;
    }
    runs::all_finite(d.not_finite() as u64, d.rows.len() as u64)
}
