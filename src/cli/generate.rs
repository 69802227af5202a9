//! `isoline generate`: makes pictures, the main job of the program.

mod jobs;

pub use jobs::planned;

use super::flags::Flags;
use super::runs::{self, RunArgs, RunOptions};
use super::{CommandRow, Context, output, parsed};
use crate::acts::generate::{
    GeneratePlan, Identity, JobKeys, Jobs, PictureRecipe, Pictures, SampleRow, animation_path, guarded, missed, models,
    sheet_pages, unmeasured,
};
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::generator::find_model;
use crate::noise;
use crate::run::{Seeds, Work};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The batch that runs when no config is given.
const DEFAULT: &str = include_str!("../../configs/batch/default.toml");

/// The row of `isoline generate`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "generate",
    "Make pictures: typical, balanced or novel ones of the same seeds",
    |typed, context| run(&parsed(typed)?, context),
)
.stopping_in_order();

/// Arguments of `isoline generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Batch config [default: typical, balanced and novel rows of the default model]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a key over config and environment, as in --set drift=0.5
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seeds, as in 0-63,99
    #[arg(long, value_name = "LIST", conflicts_with_all = ["seed", "count"], display_order = 4)]
    seeds: Option<String>,
    /// First seed of --count
    #[arg(long, value_name = "N", display_order = 5)]
    seed: Option<u64>,
    /// Number of seeds from --seed on, or from a random one that is printed
    #[arg(long, value_name = "N", display_order = 6)]
    count: Option<u64>,
    /// typical, balanced, novel: one row each
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "novelty", display_order = 7)]
    mode: Vec<String>,
    /// Percentiles of the model's own samples to reach, 0 to 100: one row each
    #[arg(long, value_name = "LIST", value_delimiter = ',', display_order = 8)]
    novelty: Vec<f64>,
    /// N percentiles from FIRST to LAST, as in 0-100:21, and an animation of each seed over them
    #[arg(long, value_name = "FIRST-LAST:N", conflicts_with_all = ["mode", "novelty"], display_order = 8)]
    sweep: Option<String>,
    /// Make this picture again from the recipe inside it; keys that are typed beside it win over the recipe
    #[arg(long, value_name = "PNG", conflicts_with = "config", display_order = 14)]
    from: Option<PathBuf>,
    /// Make samples again that are already there
    #[arg(long, display_order = 15)]
    force: bool,
    /// Write samples.csv beside samples.parquet
    #[arg(long, display_order = 19)]
    csv: bool,
    /// Print the jobs as they would run, and stop
    #[arg(long, display_order = 20)]
    print_config: bool,
    /// Print the table as JSON
    #[arg(long, display_order = 21)]
    json: bool,
    #[command(flatten)]
    job: Flags<JobKeys>,
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    /// Whether anything is asked for besides a picture's own recipe and a place for it.
    fn asks_more(&self) -> Result<bool> {
        let keys = self.job.table()?.keys().any(|k| k != "model" && k != "outdir");
        let seeds = self.seeds.is_some() || self.seed.is_some() || self.count.is_some();
        let levels = !self.mode.is_empty() || !self.novelty.is_empty() || self.sweep.is_some();
        Ok(keys || seeds || levels || !self.set.is_empty() || self.csv || self.json || self.print_config)
    }
}

/// Runs the jobs, writes the contact sheet and the tables, and prints the novelty asked for beside the novelty reached.
///
/// # Errors
/// Those of the jobs; [`Error::SamplesNotFinite`] if some pictures could not be made.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if let Some(picture) = &args.from
        && !args.asks_more()?
    {
        return again(picture, args, context);
    }
    let (batch, origin) = jobs::batch(args, context)?;
    if args.print_config {
        let text = batch
            .jobs
            .iter()
            .map(|j| toml::to_string(&j.keys))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Error::Bug(e.to_string()))?;
        return output::print(&text.iter().map(|t| format!("[[jobs]]\n{t}")).collect::<Vec<_>>().join("\n"));
    }
    let models = models(&batch)?;
    let outdir = batch.outdir.clone();
    let single = args.config.is_none() && batch.jobs.len() == 1;
    // Locked before the model is loaded, so a second process learns at once that the folder is taken.
    let _lock = runs::alone(&outdir)?;
    jobs::say_repeated(&batch, context)?;
    let mut jobs = Jobs::load(&batch, &models, single, context.open_device()?)?;
    let asked = batch.jobs.iter().filter(|j| j.keys.remeasure == Some(true)).count();
    if asked > jobs.jobs.iter().filter(|j| j.recipe.remeasure.is_some()).count() {
        context.say(
            "--remeasure: where the measurement is exact there is nothing to hold out, and nothing is measured again",
        );
    }
    if let Some(own) = &origin {
        jobs::record_origin(&mut jobs, own, &batch, context)?;
    }
    let around: BTreeSet<String> =
        jobs.jobs.iter().filter_map(|j| Some(j.recipe.vary.as_ref()?.sentence(j.recipe.denoising.is_some()))).collect();
    around.iter().for_each(|sentence| context.say(sentence));
    let rows = make(jobs, args.csv, args.force, &outdir, &args.run, context)?;
    finish(args, context, &outdir, &rows)
}

/// The rows of a run, each with the name of its job.
type Rows = Vec<(String, SampleRow)>;

/// Plans, makes and puts together, under a lock that the caller holds.
fn make(mut jobs: Jobs, csv: bool, force: bool, outdir: &Path, run: &RunArgs, context: &Context) -> Result<Rows> {
    let asked: Vec<(String, Seeds)> = jobs.jobs.iter().map(|j| (j.name.clone(), j.seeds.clone())).collect();
    let there = jobs.plan(csv)?.check(outdir)?;
    let csv = jobs.added_to(there.as_ref(), outdir)? || csv;
    // A plan that is shared out stays so.
    let plan = jobs.plan(csv)?.with_shards(there.and_then(|p| p.shards))?;
    let mut work =
        Pictures::open(GeneratePlan { csv, jobs: jobs.jobs }, outdir).map_err(|e| crate::acts::of_plan(e, outdir))?;
    // What others have asked for in this folder is not made again.
    work.force_only(&asked);
    work.check_table_memory()?;
    work.claim()?;
    plan.write(outdir)?;
    let options = RunOptions { force, label: shown(outdir), run: run.clone() };
    let mut maker = work.maker_with(jobs.device, jobs.subjects, jobs.classifiers);
    runs::complete(outdir, &plan, &work, &mut maker, &options, context)?;
    let mut rows: BTreeMap<(String, u64), SampleRow> = BTreeMap::new();
    for (name, _, all) in work.rows()? {
        rows.extend(all.into_iter().map(|r| ((name.clone(), r.seed), r)));
    }
    let each = asked.iter().flat_map(|(name, seeds)| seeds.list().iter().map(move |s| (name.clone(), *s)));
    Ok(each.filter_map(|key| rows.remove(&key).map(|r| (key.0, r))).collect())
}

fn finish(args: &Args, context: &Context, outdir: &Path, rows: &Rows) -> Result<()> {
    if args.json {
        let rows: Vec<_> = rows.iter().map(|(job, row)| serde_json::json!({"job": job, "sample": row})).collect();
        output::print_json(&rows.into())?;
    } else {
        output::print(&summary(rows))?;
        let levels = Identity::by_level(rows.iter().map(|r| &r.1));
        if !levels.is_empty() {
            output::print(&format!("\nLeft of the unguided pictures, level by level:\n{}", identity(&levels)))?;
        }
    }
    if let Some(missed) = missed(rows.iter().map(|r| &r.1)) {
        context.say(&missed);
    }
    if let Some(unmeasured) = unmeasured(rows.iter().map(|r| &r.1)) {
        context.say(&unmeasured);
    }
    if let Some(guarded) = guarded(rows.iter().map(|r| &r.1)) {
        context.say(&guarded);
    }
    say_sheets(outdir, rows, context);
    let count = rows.iter().filter(|r| !r.1.is_finite()).count();
    runs::all_finite(count as u64, rows.len() as u64)
}

/// Says where the sheet is, with its pages, and the animations of a sweep.
fn say_sheets(outdir: &Path, rows: &Rows, context: &Context) {
    let pages = sheet_pages(outdir);
    match (pages.first(), pages.last()) {
        (Some(first), Some(last)) if pages.len() > 1 => {
            let (first, pages) = (shown(&outdir.join(first)), pages.len());
            context.say(&format!("sheet: {pages} pages, {first} to {last}"));
        }
        (Some(only), _) => context.say(&format!("sheet: {}", shown(&outdir.join(only)))),
        _ => {}
    }
    let seeds: BTreeSet<u64> = rows.iter().map(|r| r.1.seed).collect();
    let mut moving = seeds.iter().map(|s| outdir.join(animation_path(*s, 0))).filter(|p| p.is_file());
    if let Some(first) = moving.next() {
        let more = moving.count();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        context.say(&format!("animations, back and forth: {}{more}", shown(&first)));
    }
}

/// One line per sample: asked, predicted, reached.
fn summary(rows: &Rows) -> String {
    let number = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.1}"));
    let column = match rows.iter().filter(|r| r.1.measured.is_some()).count() {
        0 => "psi_k",
        n if n == rows.len() => "measured",
        _ => "value",
    };
    let again = rows.iter().any(|r| r.1.novelty_remeasured.is_some());
    let mut lines =
        vec![output::row(["row", "seed", "asked", "predicted", "reached", column, "nu", "angle", "status"])];
    if again {
        lines[0].insert(5, "remeasured".to_owned());
    }
    lines.extend(rows.iter().map(|(job, r)| {
        let psi = r.psi_k.or(r.measured).map_or("-".to_owned(), |v| format!("{v:.2}"));
        let nu = r.descriptors.get("nu").map_or("-".to_owned(), |v| format!("{v:.2}"));
        let mut line = output::row([
            job,
            &r.seed.to_string(),
            &number(r.novelty_asked),
            &number(r.novelty_predicted),
            &number(r.novelty_reached),
            &psi,
            &nu,
            &format!("{:.0}°", r.angle),
            &r.status_text(),
        ]);
        if again {
            line.insert(5, number(r.novelty_remeasured));
        }
        line
    }));
    output::columns(&lines)
}

/// One line per level: how far off, and how much of the unguided pictures is left.
fn identity(levels: &[Identity]) -> String {
    let head = [output::row(["asked", "samples", "median |error|"]), Identity::head()].concat();
    let number = |v: Option<f64>, digits: usize| v.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
    let line = |l: &Identity| {
        let first = output::row([&number(l.asked, 0), &l.samples.to_string(), &number(l.miss, 2)]);
        [first, l.cells()].concat()
    };
    output::columns(&[head].into_iter().chain(levels.iter().map(line)).collect::<Vec<_>>())
}

/// Makes one picture again from the recipe stored in it.
fn again(picture: &Path, args: &Args, context: &Context) -> Result<()> {
    let own = PictureRecipe::read(picture)?;
    let (name, device): (DeviceName, Device) =
        if context.device == "auto" { crate::device::open(&own.recipe.device)? } else { context.open_device()? };
    let model = args.job.typed("model", |k| &k.model).unwrap_or(&own.recipe.model).clone();
    let folder = find_model(&model)?;
    let outdir = match args.job.typed("outdir", |k| &k.outdir) {
        Some(outdir) => outdir.clone(),
        None => PathBuf::from(format!("runs/again-{}", own.recipe.run_id()?)),
    };
    let _lock = runs::alone(&outdir)?;
    let jobs = Jobs::again(picture, &own, model, &folder, (name, device))?;
    if own.recipe.version != env!("CARGO_PKG_VERSION")
        || own.recipe.noise_scheme != noise::SCHEME
        || own.recipe.device != name.class()
    {
        context.say(&format!(
            "made by version {} on {}: the bytes may differ here",
            own.recipe.version, own.recipe.device
        ));
    }
    let rows = make(jobs, false, true, &outdir, &args.run, context)?;
    let file = rows.first().and_then(|r| r.1.file.clone()).ok_or(Error::SamplesNotFinite { count: 1, total: 1 })?;
    output::print(&format!("{}\n", shown(&outdir.join(file))))
}
