//! `isoline train-reward`: labels, reward network, calibration, report.

use super::plan::labels_plan;
use super::runs::{self, RunArgs, RunOptions};
use super::{CommandRow, Context, output, parsed};
use crate::acts::label::Tiles;
use crate::acts::of_plan;
use crate::error::Result;
use crate::generator::find_model;
use crate::reward::{RewardConfig, TrainReward, reward_folder, train_reward};
use crate::run::{Plan, Work};
use crate::store;
use std::path::PathBuf;

/// What is trained when no config is given.
const DEFAULT: &str = include_str!("../../configs/reward/digits-gan.toml");

/// The row of `isoline train-reward`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "train-reward",
    "Label latents, train the reward network, calibrate it",
    |typed, context| run(&parsed(typed)?, context),
)
.stopping_in_order();

/// Arguments of `isoline train-reward`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Reward config [default: the one of the default model]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Model name or path, instead of the config's
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// Name of the reward, instead of the config's: MODEL/reward-NAME, chosen by --reward NAME
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Number of latents to label, instead of the config's
    #[arg(long, value_name = "N")]
    labels: Option<usize>,
    /// Folder of the label table [default: runs/labels-MODEL, with -NAME behind it where there is one]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Shares of the training labels to fit as well, for the learning curve, as in 0.1,0.3
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    curve: Vec<f64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Trains and writes `MODEL/reward/`, or `MODEL/reward-NAME/`.
///
/// # Errors
/// Those of [`train_reward`].
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let (mut config, place) = match &args.config {
        Some(path) => (store::read_toml::<RewardConfig>(path)?.0, crate::error::shown(path)),
        None => (store::parse_toml(DEFAULT, "configs/reward/digits-gan.toml")?, "default config".to_owned()),
    };
    if let Some(model) = &args.model {
        config.model.clone_from(model);
    }
    if args.name.is_some() {
        config.name.clone_from(&args.name);
    }
    if let Some(count) = args.labels {
        config.labels.count = count;
    }
    if let Some(share) = args.curve.iter().find(|s| !(0.0..=1.0).contains(*s)) {
        return Err(crate::error::Error::config("--curve", format!("expected shares from 0 to 1, found {share}")));
    }
    crate::reward::check_config(&config, &place)?;
    let model = find_model(&config.model)?;
    let name = model.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let own = config.name.as_ref().map_or(String::new(), |n| format!("-{n}"));
    let work = args.outdir.clone().unwrap_or_else(|| format!("runs/labels-{name}{own}").into());
    let _lock = runs::alone(&work)?;
    let asked = labels_plan(&config, context)?;
    let plan = Plan::new("labels", &asked)?;
    plan.check(&work)?;
    let labelling = Tiles::open(asked, &work).map_err(|e| of_plan(e, &work))?;
    labelling.claim()?;
    plan.write(&work)?;
    let device = runs::device(context, &labelling)?;
    let options = RunOptions { force: false, label: format!("labelling {name}"), run: args.run.clone() };
    runs::complete(&work, &plan, &labelling, &mut *labelling.maker(device.clone()), &options, context)?;
    let job = TrainReward {
        config: &config,
        place: &place,
        model: &model,
        readings: labelling.readings()?,
        curve: &args.curve,
    };
    let report = train_reward(job, &device.1, &context.progress, &context.cancel)?;
    if args.json {
        return output::print(&report.json());
    }
    let number = |v: Option<f64>| v.map_or("undefined".to_owned(), |v| format!("{v:.4}"));
    let rank = if report.quantity.of_spectrum { report.model_rank.to_string() } else { "-".to_owned() };
    let rows = [
        output::row(["quantity", report.quantity.name]),
        output::row(["model rank k", &rank]),
        output::row(["labels", &report.labels.to_string()]),
        output::row(["Spearman, test split", &number(report.spearman)]),
        output::row(["R² of levels, test split", &number(report.r_squared)]),
        output::row(["expected calibration error", &format!("{:.4}", report.expected_calibration_error)]),
        output::row([
            &format!("{}, mean and deviation", report.quantity.symbol),
            &format!("{:.4} {:.4}", report.calibration.mean(), report.calibration.std()),
        ]),
    ];
    output::print(&output::columns(&rows))?;
    let folder = reward_folder(&model, config.name.as_deref());
    context.say(&format!("written: {}; open report.html there", crate::error::shown(&folder)));
    Ok(())
}
