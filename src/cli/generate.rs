//! `isoline generate`: makes pictures, the main job of the program.

use super::flags::Flags;
use super::runs::{self, RunArgs, RunOptions};
use super::{CommandRow, Context, output, parsed};
use crate::acts::generate::{
    BatchConfig, GeneratePlan, Identity, JobKeys, Jobs, PictureRecipe, Pictures, SampleRow, missed, models,
};
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::generator::find_model;
use crate::noise;
use crate::render::png;
use crate::run::{Seeds, Work, parse_seeds};
use crate::units::Percentile;
use std::collections::BTreeMap;
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
#[command(mut_args(beside_from))]
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
    /// Make this picture again from the recipe inside it
    #[arg(long, value_name = "PNG", display_order = 14)]
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

/// The picture's own recipe says everything about how it is made again. So `--from` only goes with flags that say
/// where.
fn beside_from(arg: clap::Arg) -> clap::Arg {
    match arg.get_id().as_str() {
        "from" | "model" | "outdir" | "force" | "metrics_file" => arg,
        _ => arg.conflicts_with("from"),
    }
}

/// Runs the jobs, writes the contact sheet and the tables, and prints the novelty asked for beside the novelty reached.
///
/// # Errors
/// Those of the jobs; [`Error::SamplesNotFinite`] if some pictures could not be made.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if let Some(picture) = &args.from {
        return again(picture, args, context);
    }
    let batch = batch(args, context)?;
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
    let jobs = Jobs::load(&batch, &models, single, context.open_device()?)?;
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
    let plan = jobs.plan(csv)?;
    let work =
        Pictures::open(GeneratePlan { csv, jobs: jobs.jobs }, outdir).map_err(|e| crate::acts::of_plan(e, outdir))?;
    work.check_table_memory()?;
    work.claim()?;
    plan.write(outdir)?;
    let options = RunOptions { force, label: shown(outdir), run: run.clone() };
    runs::complete(
        outdir,
        &plan,
        &work,
        &mut *work.maker_with(jobs.device, jobs.engines, jobs.classifiers),
        &options,
        context,
    )?;
    let mut rows: BTreeMap<(String, u64), SampleRow> = BTreeMap::new();
    for (name, _, all) in work.rows()? {
        rows.extend(all.into_iter().map(|r| ((name.clone(), r.seed), r)));
    }
    let each = asked.iter().flat_map(|(name, seeds)| seeds.list().iter().map(move |s| (name.clone(), *s)));
    Ok(each.filter_map(|key| rows.remove(&key).map(|r| (key.0, r))).collect())
}

/// The jobs of a config file, as `isoline plan` uses them.
///
/// # Errors
/// [`Error::Config`].
pub fn planned(config: &Path, text: &str, set: &[String], outdir: &Path) -> Result<BatchConfig> {
    let mut over = overrides(set)?;
    over.insert("outdir".to_owned(), utf8("--outdir", outdir)?.into());
    BatchConfig::resolve(Some(config), text, &over, None)
}

/// A path that is going to stand in a plan or a config, as UTF-8.
fn utf8(flag: &str, path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::config(format!("{flag} {}", shown(path)), "expected a name in UTF-8"))
}

/// The keys set by the environment, overridden by those of `--set`.
fn overrides(set: &[String]) -> Result<toml::Table> {
    let mut over = environment()?;
    for pair in set {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::config(format!("--set {}", pair.escape_debug()), "expected KEY=VALUE"))?;
        over.insert(key.trim().to_owned(), literal(key.trim(), value.trim()));
    }
    Ok(over)
}

fn batch(args: &Args, context: &Context) -> Result<BatchConfig> {
    let text = match &args.config {
        Some(path) => BatchConfig::text(path)?,
        None => DEFAULT.to_owned(),
    };
    let mut over = overrides(&args.set)?;
    args.job.typed("outdir", |k| k.outdir.as_path()).map_or(Ok(()), |p| utf8("--outdir", p).map(drop))?;
    over.extend(args.job.table()?);
    over.extend(seeds(args, context)?.map(|s| ("seeds".to_owned(), s.into())));
    if args.mode.len() + args.novelty.len() > 0 {
        over.remove("mode");
        over.remove("novelty");
    }
    let mut put = |key: &str, value: Option<toml::Value>| value.and_then(|v| over.insert(key.to_owned(), v));
    let rows: Vec<toml::Table> = if args.config.is_some() {
        put("mode", args.mode.first().cloned().map(Into::into));
        put("novelty", args.novelty.first().copied().map(Into::into));
        Vec::new()
    } else {
        let modes = args.mode.iter().map(|m| {
            toml::Table::from_iter([("name".to_owned(), m.as_str().into()), ("mode".to_owned(), m.as_str().into())])
        });
        let levels = args.novelty.iter().map(|n| {
            toml::Table::from_iter([
                ("name".to_owned(), format!("novelty-{n}").into()),
                ("novelty".to_owned(), (*n).into()),
            ])
        });
        // A method without a set-point gets a single row, because it cannot be asked for a level.
        let method = args.job.typed("method", |k| k.method.as_str());
        let method = method.filter(|m| args.job.keys().denoising.is_push(m));
        let push = method.filter(|_| args.mode.len() + args.novelty.len() == 0);
        let push = push.map(|m| toml::Table::from_iter([("name".to_owned(), m.into())]));
        modes.chain(levels).chain(push).collect()
    };
    if args.config.is_some() && args.mode.len() + args.novelty.len() > 1 {
        return Err(Error::config(
            "--mode",
            "several rows and a config are two ways to say the same; give one value or no --config",
        ));
    }
    // Checked here, where the flag can be named.
    args.novelty.iter().try_for_each(|n| Percentile::new(*n).map(drop)).map_err(|m| Error::config("--novelty", m))?;
    BatchConfig::resolve(args.config.as_deref(), &text, &over, (!rows.is_empty()).then_some(rows))
}

/// The keys of a job that are set by the environment, as `ISOLINE_KEY=value`.
fn environment() -> Result<toml::Table> {
    let found = JobKeys::names()?.into_iter().filter(|k| k != "name").filter_map(|k| {
        let value = std::env::var(format!("ISOLINE_{}", k.to_uppercase())).ok()?;
        let value = literal(&k, &value);
        Some((k, value))
    });
    Ok(found.collect())
}

/// Parses the text as a TOML value. It stays a text if it is not TOML, or if the key takes texts.
fn literal(key: &str, text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
    parsed.filter(|v| v.is_str() || !JobKeys::takes_text(key)).unwrap_or_else(|| text.into())
}

fn seeds(args: &Args, context: &Context) -> Result<Option<String>> {
    if let Some(seeds) = &args.seeds {
        return parse_seeds(seeds).map(|_| Some(seeds.clone())).map_err(|m| Error::config("--seeds", m));
    }
    let Some(count) = args.count.or(args.seed.map(|_| 1)) else { return Ok(None) };
    if count == 0 {
        return Err(Error::config("--count", "expected at least 1, found 0"));
    }
    let first = match args.seed {
        Some(seed) => seed,
        None => {
            let seed = u64::from(rand::random::<u32>());
            context.say(&format!("random base: --seed {seed}"));
            seed
        }
    };
    let text = format!("{first}-{}", first.saturating_add(count - 1));
    let flag = if args.seed.is_some() { "--seed" } else { "--count" };
    parse_seeds(&text).map(|_| Some(text)).map_err(|m| Error::config(flag, m))
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
    context.say(&format!("sheet: {}", shown(&outdir.join("grid.png"))));
    let count = rows.iter().filter(|r| !r.1.is_finite()).count();
    runs::all_finite(count as u64, rows.len() as u64)
}

/// One line per sample: asked, predicted, reached.
fn summary(rows: &Rows) -> String {
    let number = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.1}"));
    let column = match rows.iter().filter(|r| r.1.measured.is_some()).count() {
        0 => "psi_k",
        n if n == rows.len() => "measured",
        _ => "value",
    };
    let mut lines =
        vec![output::row(["row", "seed", "asked", "predicted", "reached", column, "nu", "angle", "status"])];
    lines.extend(rows.iter().map(|(job, r)| {
        let psi = r.psi_k.or(r.measured).map_or("-".to_owned(), |v| format!("{v:.2}"));
        let nu = r.descriptors.get("nu").map_or("-".to_owned(), |v| format!("{v:.2}"));
        output::row([
            job,
            &r.seed.to_string(),
            &number(r.novelty_asked),
            &number(r.novelty_predicted),
            &number(r.novelty_reached),
            &psi,
            &nu,
            &format!("{:.0}°", r.angle),
            &r.status_text(),
        ])
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
    let own = PictureRecipe::parse(picture, &png::decode_metadata(picture)?)?;
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
