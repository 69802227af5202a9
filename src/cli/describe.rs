//! `isoline describe`: the descriptors of many latents: of seeds, of a file, or of pictures.

use super::runs::{self, How, RunArgs};
use super::{CommandRow, Context, output, parsed};
use crate::acts::describe::{DescribeKeys, DescribePlan, Describing, Descriptions, Geometry, Subject};
use crate::acts::describe::{Description, Results, summary, unpack};
use crate::error::{Error, Result, shown};
use crate::generator::Generator;
use crate::run::{Plan, Work};
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
    /// Model name or path
    #[arg(value_name = "MODEL")]
    model: String,
    /// Seeds, as in 0-63,99 [default: 0-15]
    #[arg(long, value_name = "LIST", group = "source")]
    seeds: Option<String>,
    /// Latents of an .npz, .safetensors or .parquet file, [n, d]
    #[arg(long, value_name = "FILE", group = "source")]
    latents: Option<PathBuf>,
    /// Pictures of a folder, by the model's encoder, else by gradient descent on ‖G(z) − x‖²
    #[arg(long, value_name = "DIR", group = "source")]
    images: Option<PathBuf>,
    /// Spectra that --npz has written: their descriptors again, without the network
    #[arg(long, value_name = "FILE", group = "source")]
    spectra: Option<PathBuf>,
    /// Array or tensor of --latents, or prefix of its columns KEY_0, KEY_1, …
    #[arg(long, value_name = "KEY", requires = "latents")]
    key: Option<String>,
    /// Steps of descent for --images [default: 0 after an encoder, else 300]
    #[arg(long, value_name = "N", requires = "images")]
    invert_steps: Option<usize>,
    #[command(flatten)]
    geometry: Geometry,
    /// Leave out local complexity
    #[arg(long, help_heading = "Geometry")]
    no_complexity: bool,
    /// Samples whose exact spectrum is measured too, to tell the bias of an estimator that is not exact [default: 64;
    /// 8 for a diffusion model]
    #[arg(long, value_name = "N", help_heading = "Geometry")]
    calibrate_on: Option<usize>,
    /// Run folder: tiles, descriptors.parquet, settings; the same command goes on where it was stopped
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Write descriptors.csv too
    #[arg(long, requires = "outdir")]
    csv: bool,
    /// Write spectra.npz too: whole spectra, latents, counts
    #[arg(long, requires = "outdir")]
    npz: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

/// Measures; prints the table, or with --outdir writes it and prints a summary.
///
/// # Errors
/// Those of the model, the latents, the estimator and the disk; [`Error::SamplesNotFinite`] at the end
/// where some were not.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    match (&args.spectra, &args.outdir) {
        (Some(spectra), _) => again(args, spectra, context),
        (None, Some(outdir)) => in_folder(args, outdir, context),
        (None, None) => in_memory(args, context),
    }
}

impl Args {
    fn keys(&self) -> DescribeKeys {
        DescribeKeys {
            model: self.model.clone(),
            seeds: self.seeds.clone(),
            latents: self.latents.clone(),
            key: self.key.clone(),
            images: self.images.clone(),
            invert_steps: self.invert_steps,
            complexity: !self.no_complexity,
            calibrate_on: self.calibrate_on,
            csv: self.csv,
            npz: self.npz,
            ..self.geometry.keys()
        }
    }
}

/// The plan of a description, and what was loaded to make it.
///
/// # Errors
/// Those of [`Describing::load`].
pub fn planned(keys: DescribeKeys, context: &Context) -> Result<(DescribePlan, Describing)> {
    let keys = keys.anchored()?;
    let (name, device) = context.open_device()?;
    let loaded = Describing::load(&keys, name, &device)?;
    let keys = keys.resolved(&*loaded.subject.generator, loaded.subject.reward.as_ref());
    Ok((DescribePlan::new(keys, &loaded), loaded))
}

fn in_folder(args: &Args, outdir: &Path, context: &Context) -> Result<()> {
    let _lock = runs::alone(outdir)?;
    let (asked, loaded) = planned(args.keys(), context)?;
    let plan = Plan::new("describe", &asked)?;
    plan.check(outdir)?;
    let work = Descriptions::open(asked, outdir).map_err(|e| crate::acts::of_plan(e, outdir))?.with(loaded);
    work.check_table_memory()?;
    work.claim()?;
    plan.write(outdir)?;
    let how = How { force: false, label: shown(outdir), run: RunArgs::default() };
    let device = context.open_device()?;
    let maker = &mut *work.maker(device);
    runs::complete(outdir, &plan, &work, maker, &how, context)?;
    let device = context.open_device()?;
    let subject = &work.loaded(&device)?.subject;
    report(args, work.results()?, subject, context)
}

fn in_memory(args: &Args, context: &Context) -> Result<()> {
    let (asked, loaded) = planned(args.keys(), context)?;
    let calibrate_on = asked.asked.calibrate_on.unwrap_or(0);
    loaded.check_memory(calibrate_on > 0)?;
    let samples = loaded.samples();
    let found = loaded.measurer().run(&samples, None, &context.progress, &context.cancel)?;
    let exact = if loaded.is_exact || calibrate_on == 0 {
        Vec::new()
    } else {
        let some = &samples[..samples.len().min(calibrate_on)];
        loaded.exact().run(some, None, &context.progress, &context.cancel)?
    };
    let rank = loaded.subject.model_rank;
    let results = Results {
        description: Description::new(found, &exact, rank, &asked.asked.scales, loaded.recipe.column()),
        usual: loaded.recipe.is_usual(),
        files: loaded.files(&samples),
        run_id: loaded.run_id()?,
        scales: asked.asked.scales,
        settings: String::new(),
    };
    report(args, &results, &loaded.subject, context)
}

/// Descriptors of spectra that were measured before.
fn again(args: &Args, spectra: &Path, context: &Context) -> Result<()> {
    args.geometry.settings()?;
    let _lock = args.outdir.as_ref().map(|outdir| runs::alone(outdir)).transpose()?;
    if let Some(outdir) = args.outdir.as_ref().filter(|o| o.join("plan.toml").exists()) {
        let message = "this folder holds a run, whose tables would be replaced; choose another --outdir";
        return Err(Error::config(shown(outdir), message));
    }
    let (_, device) = context.open_device()?;
    let subject = Subject::load(&args.model, args.geometry.model_rank, &device)?;
    let (about, samples) = unpack(spectra)?;
    check_model(spectra, &about.model_sha256, &about.model, &*subject.generator)?;
    let scales = args.geometry.scales.clone();
    let settings = toml::Table::from_iter([
        ("model".to_owned(), args.model.clone().into()),
        ("model_sha256".to_owned(), about.model_sha256.into()),
        ("spectra".to_owned(), spectra.to_string_lossy().into_owned().into()),
        ("run_id".to_owned(), about.run_id.clone().into()),
        ("estimator".to_owned(), about.estimator.into()),
        ("scales".to_owned(), scales.clone().into()),
    ]);
    let results = Results {
        // The file does not say.
        usual: false,
        files: vec![None; samples.len()],
        description: Description::new(samples, &[], subject.model_rank, &scales, &about.column),
        run_id: about.run_id,
        scales,
        settings: settings.to_string(),
    };
    if let Some(outdir) = &args.outdir {
        if args.npz {
            return Err(Error::config("--npz", "the spectra are those of --spectra; leave one of the two out"));
        }
        results.write(outdir, &*subject.generator, subject.reward.as_ref(), args.csv, None)?;
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

/// Prints the table, or a summary where it was written.
fn report(args: &Args, results: &Results, subject: &Subject, context: &Context) -> Result<()> {
    let d = &results.description;
    for (name, b) in &d.biases {
        let rho = b.spearman.map_or("undefined".to_owned(), |r| format!("{r:.3}"));
        context.say(&format!(
            "{name} by {} against exact on {} samples: Spearman {rho}, bias {:.4} ± {:.4}, deviation {:.4} without it",
            d.estimator, b.n, b.bias, b.bias_stderr, b.sd
        ));
    }
    if args.json {
        output::print_json(&results.about(&*subject.generator))?;
    } else if let Some(outdir) = &args.outdir {
        output::print(&output::columns(&summary(d)))?;
        context.say(&format!("written: {}", shown(outdir)));
    } else {
        output::print(&write_csv(&results.table(subject.reward.as_ref())?))?;
    }
    runs::all_finite(d.not_finite() as u64, d.rows.len() as u64)
}
