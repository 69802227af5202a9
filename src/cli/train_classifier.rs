//! `isoline train-classifier`: trains a network that tells what pictures show.

use super::{CommandRow, Context, output, parsed};
use crate::error::{Error, Result, shown};
use crate::generator::train::{Figure, HeldOut, Training, train_classifier};
use std::path::PathBuf;

/// The row of `isoline train-classifier`.
pub const ROW: CommandRow =
    CommandRow::new::<Args>("train-classifier", "Train a network that tells what pictures show", |typed, context| {
        run(&parsed(typed)?, context)
    })
    .stopping_in_order();

/// Arguments of `isoline train-classifier`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Training config, such as configs/train/peeps-attributes.toml; its draft card lies beside it
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Folder that the config's data.path and held_out.path start from
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of checkpoints and metrics.jsonl [default: runs/train-NAME, NAME the config's]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Folder the finished network is written to [default: models/NAME]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Stop after this many epochs, leaving a checkpoint and no network
    #[arg(long, value_name = "N")]
    stop_after: Option<u32>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Trains, or continues from the last checkpoint, and prints the figures on the held-out pictures.
///
/// # Errors
/// Those of [`train_classifier`].
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let Some(name) = args.config.file_stem().and_then(|s| s.to_str()) else {
        return Err(Error::config("--config", "expected a TOML file"));
    };
    let (device_name, device) = context.open_device()?;
    let job = Training {
        config_path: &args.config,
        data_root: &args.data,
        work: args.outdir.clone().unwrap_or_else(|| format!("runs/train-{name}").into()),
        model: args.model.clone().unwrap_or_else(|| format!("models/{name}").into()),
        how: format!("isoline train-classifier -c configs/train/{name}.toml"),
        device_class: device_name.class(),
        stop_after: args.stop_after,
    };
    context.say_skipped(job.skipped()?);
    if args.stop_after.is_none() && job.model.join("card.toml").exists() {
        context.say(&format!("{} holds a model, which is replaced when the training is done", shown(&job.model)));
    }
    match train_classifier(&job, &device, &context.progress, &context.cancel)? {
        None => context.say(&format!("checkpoint in {}", shown(&job.work))),
        Some(found) => {
            output::print_report(args.json, &found, &rows(&found))?;
            context.say(&format!("{} pictures were held out", found.pictures));
            context.say(&format!("the network is in {}", shown(&job.model)));
        }
    }
    Ok(())
}

/// The table of figures.
fn rows(found: &HeldOut) -> Vec<Vec<String>> {
    let head = ["output", "accuracy", "95 % interval", "commonest class alone", "R²", "RMSE", "note"];
    std::iter::once(output::row(head)).chain(found.outputs.iter().map(row)).collect()
}

fn row(figure: &Figure) -> Vec<String> {
    let number = |v: f64| format!("{v:.4}");
    let none = || "-".to_owned();
    let mut cells = vec![figure.name.clone(), none(), none(), none(), none(), none(), none()];
    if let Some(c) = &figure.classes {
        let [low, high] = c.interval.map(number);
        cells[1..4].clone_from_slice(&[number(c.accuracy), format!("{low} to {high}"), number(c.commonest)]);
        let mut note = format!("{} classes", c.classes);
        if c.rare > 0 {
            note += &format!(", {} with fewer than ten training pictures", c.rare);
        }
        if c.unknown > 0 {
            let (classes, pictures) = (c.unknown, c.unknown_pictures);
            note +=
                &format!("; {classes} more were never seen in training, so {pictures} held-out pictures must be wrong");
        }
        cells[6] = note;
    }
    if let Some(n) = &figure.number {
        cells[4..6].clone_from_slice(&[n.r2.map_or_else(none, number), number(n.rmse)]);
    }
    cells
}
