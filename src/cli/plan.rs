//! `isoline plan`: fixes what a run is to hold, so that many processes can make it.

use super::generate::{self, Jobs};
use super::{Context, output, runs};
use crate::error::{Error, Result, shown};
use crate::generator::{self, find_model};
use crate::reward::RewardConfig;
use crate::run::{LabelsPlan, Plan, array_expression};
use crate::store;
use std::path::{Path, PathBuf};

/// Arguments of `isoline plan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Then isoline work RUN --shard i/N on as many machines as there are, isoline status RUN, and isoline merge RUN. \
A config with [[jobs]] or seeds plans pictures, one with [labels] the labelling for isoline train-reward -o RUN."
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
    /// Fix the number of shards
    #[arg(long, value_name = "N")]
    shards: Option<u64>,
    /// Write samples.csv beside samples.parquet
    #[arg(long)]
    csv: bool,
}

/// Writes recipes and `plan.toml`; makes nothing.
///
/// # Errors
/// Those of config and model; [`Error::Config`] where the folder holds another run.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let text = crate::run::BatchConfig::text(&args.config)?;
    let table: toml::Table = store::parse_toml(&text, &shown(&args.config))?;
    let plan = if table.contains_key("labels") {
        if let Some(set) = args.set.first() {
            return Err(Error::config(format!("--set {}", set.escape_debug()), "a reward config takes no keys here"));
        }
        labels(&args.config, context)?
    } else {
        let batch = generate::planned(&args.config, &text, &args.set, &args.outdir)?;
        Jobs::load(&batch, false, context)?.plan(args.csv)?
    };
    let plan = plan.with_shards(args.shards)?;
    let work = plan.open(&args.outdir)?;
    let _lock = runs::alone(&args.outdir)?;
    work.claim()?;
    if args.shards.is_some() {
        // Slurm opens its logs there before the first worker begins.
        store::create_dir(&args.outdir.join("shards"))?;
    }
    plan.write(&args.outdir)?;
    let tiles = work.tiles();
    let samples: u64 = (0..tiles).map(|t| work.wanted(t)).sum();
    let array = args.shards.map(|n| format!(", shards {}", array_expression(&(0..n).collect::<Vec<_>>())));
    output::print(&format!("{samples} samples in {tiles} tiles{}, plan {}\n", array.unwrap_or_default(), plan.id()))
}

fn labels(path: &Path, context: &Context) -> Result<Plan> {
    let (config, _) = store::read_toml::<RewardConfig>(path)?;
    labels_plan(&config, context)
}

/// The plan of a reward config's labels.
///
/// # Errors
/// Those of the model; [`Error::Config`] for too few labels.
pub fn labels_plan(config: &RewardConfig, context: &Context) -> Result<Plan> {
    let (name, device) = context.open_device()?;
    let model = find_model(&config.model)?;
    let generator = generator::load(&model, &device)?;
    let plan = LabelsPlan {
        model: config.model.clone(),
        model_sha256: generator.model_sha256().to_owned(),
        estimator: config.labels.estimator.clone(),
        seed: config.labels.seed,
        count: config.labels.count as u64,
        device: name.class().to_owned(),
    };
    Plan::new("labels", &plan)
}
