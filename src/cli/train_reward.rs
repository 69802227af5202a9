//! `isoline train-reward`: labels, reward network, calibration, report.

use super::plan::labels_plan;
use super::runs::{self, RunArgs, RunOptions};
use super::{CommandRow, Context, output, parsed};
use crate::acts::label::{Cost, Tiles};
use crate::acts::of_plan;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::generator::{self, find_model};
use crate::reward::{RewardConfig, TrainReward, quantity, reward_folder, train_reward};
use crate::run::{Plan, Work};
use crate::store;
use std::path::{Path, PathBuf};

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
    /// Way to the labels, instead of the config's; see isoline list estimators
    #[arg(long, value_name = "NAME")]
    estimator: Option<String>,
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
        Some(path) => (store::read_toml::<RewardConfig>(path)?.0, shown(path)),
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
    if let Some(estimator) = &args.estimator {
        config.labels.estimator.clone_from(estimator);
    }
    if let Some(share) = args.curve.iter().find(|s| !(0.0..=1.0).contains(*s)) {
        return Err(Error::config("--curve", format!("expected shares from 0 to 1, found {share}")));
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
    advise(&config, &labelling, &device, context)?;
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
    context.say(&format!("written: {}; open report.html there", shown(&folder)));
    Ok(())
}

/// Seconds from which labelling counts as long.
const LONG: f64 = 3600.0;

/// What shortens labelling.
const SHORTER: &str =
    "fewer --labels take less, and so does an --estimator of fewer directions, such as input-subspace:16";

/// Says what labelling is going to take if that is an hour or more, and how it would take less.
fn advise(config: &RewardConfig, work: &Tiles, device: &(DeviceName, Device), context: &Context) -> Result<()> {
    let left: u64 = (0..work.tiles()).map(|t| work.wanted(t) - work.state(t, false).done).sum();
    if left == 0 || context.quiet {
        return Ok(());
    }
    let cost = cost(config, &find_model(&config.model)?, &device.1)?;
    let seconds = cost.seconds * left as f64;
    if seconds >= LONG {
        let left = output::count(usize::try_from(left).unwrap_or(usize::MAX));
        context.say(&format!(
            "{} for {left} labels on this machine, measured on {}; {SHORTER}; what is made is kept when you stop",
            about(seconds),
            cost.measured
        ));
    }
    Ok(())
}

fn cost(config: &RewardConfig, model: &Path, device: &Device) -> Result<Cost> {
    let generator = generator::load(model, device)?;
    let quantity = quantity(&config.labels.quantity, &config.labels.estimator)?;
    Cost::measure(&*quantity, &*generator, config.labels.seed)
}

/// The same error, with the command that makes the reward that is missing and what that takes here.
pub fn priced(error: Error, context: &Context) -> Error {
    let Error::NoReward { folder, model, .. } = error else { return error };
    let found = || -> Result<String> {
        let config: RewardConfig = store::parse_toml(DEFAULT, "configs/reward/digits-gan.toml")?;
        let cost = cost(&config, &model, &context.open_device()?.1)?;
        let seconds = cost.seconds * config.labels.count as f64;
        let labels = output::count(config.labels.count);
        let shorter = if seconds >= LONG { format!("; {SHORTER}") } else { String::new() };
        Ok(format!(
            ": {} for {labels} labels on this machine, measured on {}, and then the fit{shorter}",
            about(seconds),
            cost.measured
        ))
    };
    // Without a measurement the command alone is still good advice.
    let takes = found().unwrap_or_default();
    let advice = format!(" --model {}{takes}", shown(&model));
    Error::NoReward { folder, model, advice }
}

/// A time that is known to a digit or two: `about 12 min`.
fn about(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("about {:.0} s", s.max(1.0)),
        s if s < 5400.0 => format!("about {:.0} min", s / 60.0),
        s => format!("about {:.0} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::about;

    #[test]
    fn times_are_said_as_well_as_they_are_known() {
        let said = [0.2, 61.0, 725.0, 7300.0].map(about);
        assert_eq!(said, ["about 1 s", "about 61 s", "about 12 min", "about 2 h"]);
    }
}
