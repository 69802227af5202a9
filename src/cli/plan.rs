//! `isoline plan`: fixes what a run is going to hold, so that many processes can make it.

use super::{CommandRow, Context, output, parsed, runs};
use crate::acts::describe::Keys;
use crate::acts::generate::{Jobs, models};
use crate::acts::label::LabelsPlan;
use crate::error::{Error, Result, did_you_mean, explain_toml, shown};
use crate::generator::{self, anchored_model, find_model};
use crate::reward::{RewardConfig, check_config, quantity};
use crate::run::{Plan, array_expression};
use crate::store;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The row of `isoline plan`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "plan",
    "Write down what a run will hold, so that many processes can share the work",
    |typed, context| run(&parsed(typed)?, context),
);

/// Arguments of `isoline plan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Then isoline work RUN --shard i/N on as many machines as there are, isoline status RUN, and isoline merge RUN. \
A config with [[jobs]] or seeds plans pictures, one with [describe] a table of descriptors \
(its keys are the flags of isoline describe: model, seeds or latents or images, estimator, …), one with [labels] the labelling for isoline train-reward -o RUN."
)]
pub struct Args {
    /// Job: a config of isoline generate or of isoline train-reward
    #[arg(value_name = "FILE")]
    config: PathBuf,
    /// Set a key of a batch over config and environment, as in --set seeds=0-99
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run folder
    #[arg(short, long, value_name = "DIR")]
    outdir: PathBuf,
    /// Number of shards, which is then fixed
    #[arg(long, value_name = "N")]
    shards: Option<u64>,
    /// Write the table as CSV too
    #[arg(long)]
    csv: bool,
}

/// Writes the recipes and `plan.toml`; makes no samples.
///
/// # Errors
/// Those of config and model; [`Error::Config`] if the folder holds another run.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let text = crate::acts::generate::BatchConfig::text(&args.config)?;
    let table: toml::Table = store::parse_toml(&text, &shown(&args.config))?;
    let special = ["labels", "describe"].into_iter().find(|k| table.contains_key(*k));
    if let (Some(kind), Some(set)) = (special, args.set.first()) {
        let message = format!("a config with [{kind}] takes no keys here");
        return Err(Error::config(format!("--set {}", set.escape_debug()), message));
    }
    let plan = if special == Some("labels") {
        labels(&args.config, context)?
    } else if special == Some("describe") {
        describe(&args.config, args.csv, context)?
    } else {
        let mut batch = super::generate::planned(&args.config, &text, &args.set, &args.outdir)?;
        for job in &mut batch.jobs {
            job.keys.model = anchored_model(&job.keys.model)?;
            job.keys.classifier = job.keys.classifier.as_deref().map(anchored_model).transpose()?;
        }
        let mut jobs = Jobs::load(&batch, &models(&batch)?, false, context.open_device()?)?;
        let there = jobs.plan(args.csv)?.check(&args.outdir)?;
        let csv = jobs.added_to(there.as_ref(), &args.outdir)? || args.csv;
        jobs.plan(csv)?
    };
    // A plan that is there keeps its number of shards, which jobs may have been submitted for.
    let fixed = plan.check(&args.outdir)?.and_then(|there| there.shards);
    let shards = args.shards.or(fixed);
    let plan = plan.with_shards(shards)?;
    let work = crate::acts::open(&plan, &args.outdir)?;
    let _lock = runs::alone(&args.outdir)?;
    work.claim()?;
    if shards.is_some() {
        // Slurm opens its logs there before the first worker starts.
        store::create_dir(&args.outdir.join("shards"))?;
    }
    plan.write(&args.outdir)?;
    let tiles = work.tiles();
    let samples: u64 = (0..tiles).map(|t| work.wanted(t)).sum();
    let array = shards.map(|n| format!(", shards {}", array_expression(&(0..n).collect::<Vec<_>>())));
    output::print(&format!("{samples} samples in {tiles} tiles{}, plan {}\n", array.unwrap_or_default(), plan.id()))
}

fn labels(path: &Path, context: &Context) -> Result<Plan> {
    let (config, _) = store::read_toml::<RewardConfig>(path)?;
    check_config(&config, &shown(path))?;
    Plan::new("labels", &labels_plan(&config, context)?)
}

/// A config with the single table `[describe]`. The spans of its keys say where in the file they stand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribeConfig {
    describe: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
}

/// Reads each key of `[describe]` by itself, because a key flattened into another struct cannot say where it stands.
fn describe_keys(path: &Path) -> Result<Keys> {
    let (DescribeConfig { describe }, text) = store::read_toml(path)?;
    let at = |byte: usize| format!("{}{}", shown(path), store::position(&text, byte));
    let names = Keys::names();
    let mut all = toml::Table::new();
    for (key, value) in describe {
        let (place, name) = (key.span().start, key.into_inner());
        if !names.contains(&name) {
            let near = did_you_mean(&name, names.iter().map(String::as_str));
            return Err(Error::config(at(place), format!("unknown key \"{}\"{near}", name.escape_debug())));
        }
        let (place, value) = (value.span().start, value.into_inner());
        let one = toml::Table::from_iter([(name, value)]);
        Keys::deserialize(one.clone()).map_err(|e| Error::config(at(place), explain_toml(e.message())))?;
        all.extend(one);
    }
    Keys::deserialize(all).map_err(|e| Error::config(shown(path), explain_toml(e.message())))
}

fn describe(path: &Path, csv: bool, context: &Context) -> Result<Plan> {
    let mut keys = describe_keys(path)?;
    let at = |key: &str| format!("{}: describe.{key}", shown(path));
    if keys.model.is_empty() {
        return Err(Error::config(at("model"), "missing; expected the name or path of a model"));
    }
    if keys.spectra.is_some() {
        let message = "these are measured already, so that nothing is left to share out; read them with isoline describe MODEL --spectra FILE";
        return Err(Error::config(at("spectra"), message));
    }
    keys.csv |= csv;
    let device = context.open_device()?;
    let (plan, _) = super::describe::planned(keys, &device).map_err(|e| e.at(&at("")))?;
    Plan::new("describe", &plan)
}

/// The plan for making the labels of a reward config.
///
/// # Errors
/// Those of the model; [`Error::Config`] for too few labels.
pub fn labels_plan(config: &RewardConfig, context: &Context) -> Result<LabelsPlan> {
    let (name, device) = context.open_device()?;
    let model = find_model(&config.model)?;
    let generator = generator::load(&model, &device)?;
    // Checked before the folder is claimed.
    quantity(&config.labels.quantity, &config.labels.estimator)?.check(&*generator)?;
    Ok(LabelsPlan {
        model: anchored_model(&config.model)?,
        model_sha256: generator.model_sha256().to_owned(),
        quantity: config.labels.quantity.clone(),
        estimator: config.labels.estimator.clone(),
        seed: config.labels.seed,
        count: config.labels.count as u64,
        device: name.class().to_owned(),
    })
}
