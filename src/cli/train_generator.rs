//! `isoline train-generator`: trains a generator from pictures.

use super::{CommandRow, Context, output, parsed};
use crate::error::{Error, Result, shown};
use crate::generator::other_rewards;
use crate::generator::train::{Training, train};
use std::path::PathBuf;

/// The row of `isoline train-generator`.
pub const ROW: CommandRow =
    CommandRow::new::<Args>("train-generator", "Train a generator from pictures or showers", |typed, context| {
        run(&parsed(typed)?, context)
    })
    .stopping_in_order();

/// Arguments of `isoline train-generator`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Training config, such as those of configs/train; its draft card lies beside it
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Folder that the paths in the config start from
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of checkpoints, metrics.jsonl and, of a generator, sample sheets [default: runs/train-NAME, NAME the config's]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Folder the finished model is written to [default: models/NAME]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Stop after this many epochs, leaving a checkpoint and no model
    #[arg(long, value_name = "N")]
    stop_after: Option<u32>,
}

impl Args {
    /// The training that they ask for, on a device of this class; `command` is what was typed.
    ///
    /// # Errors
    /// [`Error::Config`] for a config without a name.
    pub fn job<'a>(&'a self, command: &str, device_class: &'a str) -> Result<Training<'a>> {
        let Some(name) = self.config.file_stem().and_then(|s| s.to_str()) else {
            return Err(Error::config("--config", "expected a TOML file"));
        };
        Ok(Training {
            config_path: &self.config,
            data_root: &self.data,
            work: self.outdir.clone().unwrap_or_else(|| format!("runs/train-{name}").into()),
            model: self.model.clone().unwrap_or_else(|| format!("models/{name}").into()),
            how: format!("isoline {command} -c configs/train/{name}.toml"),
            device_class,
            stop_after: self.stop_after,
        })
    }
}

/// Says what is skipped of the data and what is going to be replaced.
///
/// # Errors
/// Those of the config and of listing the data.
pub fn announce(job: &Training, context: &Context) -> Result<()> {
    context.say_skipped(job.skipped()?);
    if job.stop_after.is_none() && job.model.join("card.toml").exists() {
        context.say(&format!("{} holds a model, which is replaced when the training is done", shown(&job.model)));
    }
    Ok(())
}

/// Trains, or continues from the last checkpoint.
///
/// # Errors
/// Those of [`train`].
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let (device_name, device) = context.open_device()?;
    let job = args.job(ROW.name, device_name.class())?;
    announce(&job, context)?;
    train(&job, &device, &context.progress, &context.cancel)?;
    match args.stop_after {
        Some(_) => context.say(&format!("checkpoint in {}", shown(&job.work))),
        None => {
            output::print(&format!("{}\n", shown(&job.model)))?;
            for reward in other_rewards(&job.model)? {
                let model = shown(&job.model);
                context.say(&format!(
                    "{model}/{reward} was taught on another model; isoline train-reward teaches a new one"
                ));
            }
            context.say("next: isoline train-reward for it");
        }
    }
    Ok(())
}
