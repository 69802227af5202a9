//! `isoline generate`: the main job.

use super::denoising_args::DenoisingArgs;
use super::runs::{self, How, RunArgs};
use super::{CommandRow, Context, output, parsed};
use crate::acts::generate::{
    BatchConfig, Engines, GeneratePlan, JobConfig, KEYS, PictureRecipe, Pictures, PlannedJob, Recipe, SampleRow,
};
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::generator::find_model;
use crate::noise;
use crate::render::png;
use crate::run::{Plan, Work, parse_seeds};
use crate::steer::Status;
use crate::steer::{DENOISING_KEYS, Engine, Guide, guide};
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
    /// Model name or path
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// Reward beside the model's own, by its name; see isoline list rewards
    #[arg(long, value_name = "NAME")]
    reward: Option<String>,
    /// Seeds, as in 0-63,99
    #[arg(long, value_name = "LIST", conflicts_with_all = ["seed", "count"])]
    seeds: Option<String>,
    /// First seed of --count
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Number of seeds from --seed on, or from a random one that is printed
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// typical, balanced, novel: one row each
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "novelty")]
    mode: Vec<String>,
    /// Percentiles of the model's own samples to reach, 0 to 100: one row each
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    novelty: Vec<f64>,
    /// Steering method; see isoline list steering
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Measured corrections of the closed loop [default: 2; 4 for diffusion models]
    #[arg(long, value_name = "N")]
    corrections: Option<i64>,
    /// Steps of the open loop [default: 48; 12 for diffusion models]
    #[arg(long, value_name = "N")]
    steps: Option<i64>,
    /// Fixed truncation factor, with --method truncation
    #[arg(long, value_name = "TAU")]
    trunc: Option<f64>,
    /// Run folder
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Make this picture again from the recipe inside it
    #[arg(long, value_name = "PNG", conflicts_with_all = ["config", "set", "reward", "seeds", "seed", "count", "mode", "novelty", "method", "steps", "corrections", "trunc", "no_metadata", "save_latents", "subdirs", "csv", "json", "print_config", "class", "cfg_scale", "guidance", "form", "interval", "recurrence", "particles", "potential", "preview_every"])]
    from: Option<PathBuf>,
    /// Make samples again that are already there
    #[arg(long)]
    force: bool,
    /// Leave the recipe out of the pictures
    #[arg(long)]
    no_metadata: bool,
    /// Keep the latents: columns z_0, z_1, … of samples.parquet, which describe --latents reads; those of a sample that is not
    /// finite stay empty
    #[arg(long)]
    save_latents: bool,
    /// Put pictures into a folder for each thousand seeds
    #[arg(long)]
    subdirs: bool,
    /// Write samples.csv beside samples.parquet
    #[arg(long)]
    csv: bool,
    /// Print the jobs as they would run, and stop
    #[arg(long)]
    print_config: bool,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    denoising: DenoisingArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the jobs, writes sheet and tables, prints asked against reached.
///
/// # Errors
/// Those of the jobs; [`Error::SamplesNotFinite`] when some pictures could not be made.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if let Some(picture) = &args.from {
        return again(picture, args, context);
    }
    let batch = batch(args, context)?;
    if args.print_config {
        let text = batch
            .jobs
            .iter()
            .map(toml::to_string)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Error::Bug(e.to_string()))?;
        return output::print(&text.iter().map(|t| format!("[[jobs]]\n{t}")).collect::<Vec<_>>().join("\n"));
    }
    batch.jobs.iter().try_for_each(|j| find_model(&j.model).map(|_| ()))?;
    let outdir = batch.outdir.clone();
    let single = args.config.is_none() && batch.jobs.len() == 1;
    // Before the model is loaded, so that a second process learns at once that the folder is taken.
    let _lock = runs::alone(&outdir)?;
    let jobs = Jobs::load(&batch, single, context)?;
    let rows = jobs.make(args.csv, args.force, &outdir, &args.run, context)?;
    finish(args, context, &outdir, &rows)
}

/// The rows of a run, each with the name of its job.
type Rows = Vec<(String, SampleRow)>;

/// The jobs of a batch with their models in memory.
pub struct Jobs {
    jobs: Vec<PlannedJob>,
    engines: Engines,
    device: (DeviceName, Device),
}

impl Jobs {
    /// Loads the models; `single` puts the only job right into the run folder.
    ///
    /// # Errors
    /// Those of device and models.
    pub fn load(batch: &BatchConfig, single: bool, context: &Context) -> Result<Self> {
        let device = context.open_device()?;
        let mut engines = Engines::new();
        let mut jobs = Vec::new();
        for job in &batch.jobs {
            let model = find_model(&job.model)?;
            let key = (model.clone(), job.reward.clone());
            if !engines.contains_key(&key) {
                engines.insert(key.clone(), Engine::load(&model, job.reward.as_deref(), &device.1)?);
            }
            jobs.push(PlannedJob {
                name: job.name.clone(),
                folder: if single && batch.jobs.len() == 1 { ".".into() } else { job.name.clone() },
                model: job.model.clone(),
                seeds: job.seeds.clone(),
                subdirs: job.subdirs,
                recipe: recipe(job, &engines[&key], device.0)?,
            });
        }
        let latents = |j: &PlannedJob| j.recipe.latents;
        if jobs.iter().any(|j| latents(j) != latents(&jobs[0])) {
            let message = "the jobs share one table, so all of them keep latents of one width, or none does";
            return Err(Error::config("save_latents", message));
        }
        Ok(Self { jobs, engines, device })
    }

    /// What is planned.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn plan(&self, csv: bool) -> Result<Plan> {
        Plan::new("generate", &GeneratePlan { csv, jobs: self.jobs.clone() })
    }

    /// Plans, makes and puts together, under a lock that the caller holds.
    fn make(self, csv: bool, force: bool, outdir: &Path, run: &RunArgs, context: &Context) -> Result<Rows> {
        let plan = self.plan(csv)?;
        plan.check(outdir)?;
        let work = Pictures::open(GeneratePlan { csv, jobs: self.jobs }, outdir)
            .map_err(|e| crate::acts::of_plan(e, outdir))?;
        work.check_table_memory()?;
        work.claim()?;
        plan.write(outdir)?;
        let how = How { force, label: shown(outdir), run: run.clone() };
        runs::complete(outdir, &plan, &work, &mut *work.maker_with(self.device, self.engines), &how, context)?;
        let rows = work.rows()?.into_iter();
        Ok(rows.flat_map(|(name, _, rows)| rows.into_iter().map(move |r| (name.clone(), r))).collect())
    }
}

/// The jobs of a config file as `isoline plan` takes them.
///
/// # Errors
/// [`Error::Config`].
pub fn planned(config: &Path, text: &str, set: &[String], outdir: &Path) -> Result<BatchConfig> {
    let mut over = overrides(set)?;
    over.insert("outdir".to_owned(), utf8("--outdir", outdir)?.into());
    BatchConfig::resolve(&shown(config), text, &over, None)
}

/// A path that is to stand in a plan or a config.
fn utf8(flag: &str, path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::config(format!("{flag} {}", shown(path)), "expected a name in UTF-8"))
}

/// The environment, and `--set` over it.
fn overrides(set: &[String]) -> Result<toml::Table> {
    let mut over = environment();
    for pair in set {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::config(format!("--set {}", pair.escape_debug()), "expected KEY=VALUE"))?;
        over.insert(key.trim().to_owned(), literal(key.trim(), value.trim()));
    }
    Ok(over)
}

fn batch(args: &Args, context: &Context) -> Result<BatchConfig> {
    let (place, text) = match &args.config {
        Some(path) => (shown(path), BatchConfig::text(path)?),
        None => ("generate".to_owned(), DEFAULT.to_owned()),
    };
    let mut over = overrides(&args.set)?;
    let mut put = |key: &str, value: Option<toml::Value>| value.and_then(|v| over.insert(key.to_owned(), v));
    put("model", args.model.clone().map(Into::into));
    put("reward", args.reward.clone().map(Into::into));
    put("method", args.method.clone().map(Into::into));
    put("corrections", args.corrections.map(Into::into));
    put("steps", args.steps.map(Into::into));
    put("trunc", args.trunc.map(Into::into));
    put("outdir", args.outdir.as_deref().map(|p| utf8("--outdir", p)).transpose()?.map(Into::into));
    put("metadata", args.no_metadata.then_some(false.into()));
    put("save_latents", args.save_latents.then_some(true.into()));
    put("subdirs", args.subdirs.then_some(true.into()));
    put("seeds", seeds(args, context)?.map(Into::into));
    args.denoising.keys().for_each(|(key, value)| drop(over.insert(key.to_owned(), value)));
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
        // A method without a set-point has a single row, for it cannot be asked for a level.
        let method = args.method.as_deref().filter(|m| args.denoising.is_push(Some(m)));
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
    if let Some(n) = args.novelty.iter().find(|n| !(0.0..=100.0).contains(*n)) {
        return Err(Error::config(
            "--novelty",
            format!("expected a percentile from 0 (most typical) to 100 (most novel), found {n}"),
        ));
    }
    BatchConfig::resolve(&place, &text, &over, (!rows.is_empty()).then_some(rows))
}

/// `ISOLINE_KEY=value` for the keys of a job.
fn environment() -> toml::Table {
    let found = KEYS.iter().chain(&DENOISING_KEYS).filter(|k| **k != "name").filter_map(|k| {
        std::env::var(format!("ISOLINE_{}", k.to_uppercase())).ok().map(|v| ((*k).to_owned(), literal(k, &v)))
    });
    found.collect()
}

/// A TOML value where the text is one and the key takes no text, else the text.
fn literal(key: &str, text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
    let takes_text =
        ["name", "model", "reward", "seeds", "outdir", "method", "mode", "form", "potential"].contains(&key);
    parsed.filter(|v| !takes_text || v.is_str()).unwrap_or_else(|| text.into())
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
    Ok(Some(format!("{first}-{}", first.saturating_add(count - 1))))
}

fn recipe(job: &JobConfig, engine: &Engine, device: DeviceName) -> Result<Recipe> {
    let denoising = job.denoising();
    let acts = job.target().is_some() || job.trunc.is_some() || denoising.as_ref().is_some_and(|d| d.push);
    let method = if acts { job.method.as_str() } else { "none" };
    let guide = guide(method).map_or(Guide::Plain, |g| g.guide);
    if let Some(how) = &denoising {
        engine.check_denoising(guide, how)?;
    }
    let settings = job.settings(&engine.usual_settings());
    let latents = job.save_latents.then_some(engine.generator.spec().latent_width);
    if latents.is_some() && denoising.as_ref().is_some_and(|d| d.is_guided(guide)) {
        let message =
            "a guided picture is not made from its latent alone; leave it out, or take a method that moves the noise";
        return Err(Error::config("save_latents", message));
    }
    if let Some(d) = latents.filter(|d| job.tile.saturating_mul(*d) > crate::limits::RECORD_LATENTS) {
        let most = crate::limits::RECORD_LATENTS / d;
        return Err(Error::config(
            "save_latents",
            format!("a latent has {d} values; take tiles of at most {most} samples"),
        ));
    }
    Ok(Recipe {
        format: 1,
        version: env!("CARGO_PKG_VERSION").into(),
        noise_scheme: noise::SCHEME,
        model: engine.generator.spec().id.clone(),
        model_sha256: engine.generator.model_sha256().to_owned(),
        reward: job.reward.clone(),
        reward_sha256: engine.reward.sha256.clone(),
        method: method.into(),
        novelty: job.target(),
        estimator: engine.reward.quantity.how(),
        tile: job.tile,
        device: device.class().into(),
        metadata: job.metadata,
        latents,
        settings,
        denoising,
    })
}

fn finish(args: &Args, context: &Context, outdir: &Path, rows: &Rows) -> Result<()> {
    if args.json {
        let rows: Vec<_> = rows.iter().map(|(job, row)| serde_json::json!({"job": job, "sample": row})).collect();
        output::print_json(&rows.into())?;
    } else {
        output::print(&summary(rows))?;
    }
    context.say(&format!("sheet: {}", shown(&outdir.join("grid.png"))));
    let count = rows.iter().filter(|r| r.1.status == Status::NonFinite).count();
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
        let beyond = r.beyond.filter(|b| *b != 0.0).map_or(String::new(), |b| format!(" ({b:+.2} sd beyond)"));
        let status = match r.status {
            Status::Ok => "ok".to_owned(),
            Status::OffManifold => format!("off_manifold{beyond}"),
            Status::NonFinite => "non_finite".to_owned(),
        };
        let psi = r.psi_k.or(r.measured).map_or("-".to_owned(), |v| format!("{v:.2}"));
        let nu = r.nu.map_or("-".to_owned(), |v| format!("{v:.2}"));
        output::row([
            job,
            &r.seed.to_string(),
            &number(r.novelty_asked),
            &number(r.novelty_predicted),
            &number(r.novelty_reached),
            &psi,
            &nu,
            &format!("{:.0}°", r.angle),
            &status,
        ])
    }));
    output::columns(&lines)
}

/// Makes one picture again from the recipe inside it.
fn again(picture: &Path, args: &Args, context: &Context) -> Result<()> {
    let own = PictureRecipe::parse(picture, &png::decode_metadata(picture)?)?;
    let (name, device): (DeviceName, Device) =
        if context.device == "auto" { crate::device::open(&own.recipe.device)? } else { context.open_device()? };
    let folder = find_model(args.model.as_deref().unwrap_or(&own.recipe.model))?;
    let outdir = match &args.outdir {
        Some(outdir) => outdir.clone(),
        None => PathBuf::from(format!("runs/again-{}", own.recipe.run_id()?)),
    };
    let _lock = runs::alone(&outdir)?;
    let engine = Engine::load(&folder, own.recipe.reward.as_deref(), &device)?;
    crate::acts::generate::check(&engine, &own.recipe)
        .map_err(|m| Error::input(picture, format!("was made with {m}; give that model with --model")))?;
    if own.recipe.version != env!("CARGO_PKG_VERSION")
        || own.recipe.noise_scheme != noise::SCHEME
        || own.recipe.device != name.class()
    {
        context.say(&format!(
            "made by version {} on {}: the bytes may differ here",
            own.recipe.version, own.recipe.device
        ));
    }
    let job = PlannedJob {
        name: "again".into(),
        folder: ".".into(),
        model: args.model.clone().unwrap_or_else(|| own.recipe.model.clone()),
        seeds: own.seed.to_string(),
        subdirs: false,
        recipe: own.recipe,
    };
    let reward = job.recipe.reward.clone();
    let jobs = Jobs { jobs: vec![job], engines: Engines::from([((folder, reward), engine)]), device: (name, device) };
    let rows = jobs.make(false, true, &outdir, &args.run, context)?;
    let file = rows.first().and_then(|r| r.1.file.clone()).ok_or(Error::SamplesNotFinite { count: 1, total: 1 })?;
    output::print(&format!("{}\n", shown(&outdir.join(file))))
}
