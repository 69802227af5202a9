//! `isoline distill`: a model that makes in one step what a diffusion model makes in many.

use super::{CommandRow, Context, output, parsed};
use crate::error::{Error, Result, shown};
use crate::generator::train::distill::{Distillation, Job, distill};
use crate::store;
use std::path::PathBuf;

/// The row of `isoline distill`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "distill",
    "Teach a model to make in one step what a diffusion model makes in many",
    |typed, context| run(&parsed(typed)?, context),
)
.stopping_in_order();

/// The flags that a config has as keys.
const OWN: [&str; 18] = [
    "teacher",
    "id",
    "about",
    "objective",
    "solver",
    "steps",
    "guide",
    "guidance",
    "paths",
    "epochs",
    "batch",
    "learning_rate",
    "start",
    "huber",
    "ema",
    "halved",
    "held_out",
    "seed",
];

/// Arguments of `isoline distill`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    asked: Distillation,
    /// Distillation config, such as configs/train/peeps.toml, in place of TEACHER and the flags
    #[arg(short, long, value_name = "FILE", conflicts_with_all = OWN)]
    config: Option<PathBuf>,
    /// Folder of the teacher's paths and the checkpoints [default: runs/distill-NAME, NAME the student's]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Folder that the student is written to [default: models/NAME]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Stop after this many epochs, leaving a checkpoint and no model
    #[arg(long, value_name = "N")]
    stop_after: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn run(args: &Args, context: &Context) -> Result<()> {
    let asked: Distillation = match &args.config {
        Some(path) => store::read_toml(path)?.0,
        None if args.asked.teacher.is_empty() => {
            return Err(Error::config("TEACHER", "expected a diffusion model, or a config with --config"));
        }
        None => args.asked.clone(),
    };
    let (name, device) = context.open_device()?;
    let how = match &args.config {
        Some(path) => {
            format!("isoline distill -c configs/train/{}", path.file_name().unwrap_or_default().to_string_lossy())
        }
        None => context.command.clone(),
    };
    let job = Job {
        asked: &asked,
        work: args.outdir.clone().unwrap_or_else(|| format!("runs/distill-{}", asked.id).into()),
        model: args.model.clone().unwrap_or_else(|| format!("models/{}", asked.id).into()),
        how,
        device_class: name.class(),
        stop_after: args.stop_after,
    };
    let Some(solved) = distill(&job, &device, &context.progress, &context.cancel)? else {
        context.say(&format!("checkpoint in {}", shown(&job.work)));
        return Ok(());
    };
    if args.json {
        return output::print_json(&serde_json::json!(solved));
    }
    let [low, high] = solved.interval;
    output::print(&output::columns(&[
        output::row(["student", &shown(&job.model)]),
        output::row(["held-out paths", &solved.paths.to_string()]),
        output::row(["error of the end, relative", &format!("{:.4} ({low:.4} to {high:.4})", solved.relative)]),
        output::row(["mean squared error of a value", &format!("{:.5}", solved.mean_squared)]),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args as _;

    /// A flag that is not listed would be left aside beside a config without a word.
    #[test]
    fn every_flag_of_a_distillation_is_refused_beside_a_config() {
        let command = Distillation::augment_args(clap::Command::new("x"));
        let found: Vec<&str> = command.get_arguments().map(|a| a.get_id().as_str()).collect();
        assert_eq!(found, OWN);
    }
}
