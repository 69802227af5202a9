//! `isoline train-classifier`: trains a network that tells what pictures show.

use super::train_generator::{self, announce};
use super::{CommandRow, Context, output, parsed};
use crate::error::{Result, shown};
use crate::generator::train::{Figure, HeldOut, train_classifier};

/// The row of `isoline train-classifier`.
pub const ROW: CommandRow =
    CommandRow::new::<Args>("train-classifier", "Train a network that tells what pictures show", |typed, context| {
        run(&parsed(typed)?, context)
    })
    .stopping_in_order();

/// Arguments of `isoline train-classifier`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    training: train_generator::Args,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Trains, or continues from the last checkpoint, and prints the figures on the held-out pictures.
///
/// # Errors
/// Those of [`train_classifier`].
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let (device_name, device) = context.open_device()?;
    let job = args.training.job(ROW.name, device_name.class())?;
    announce(&job, context)?;
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
