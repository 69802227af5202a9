//! `isoline import`: turns foreign weights and a draft card into a model folder.

use super::{CommandRow, Context, output, parsed};
use crate::error::{Result, shown};
use crate::generator::{ImportOptions, Imported, import, prefix_told};
use std::path::PathBuf;

/// The row of `isoline import`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "import",
    "Turn PyTorch or safetensors weights and a draft card into a model folder",
    |typed, context| run(&parsed(typed)?, context),
);

/// Arguments of `isoline import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Weights: .pth, .pt, .ckpt or .bin of PyTorch, .safetensors, or the .index.json of several; no code in it is run
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// A card without file name and hash, which are filled in
    #[arg(long, value_name = "FILE")]
    card: PathBuf,
    /// Folder of the model, made if it is not there
    #[arg(short, long, value_name = "DIR")]
    outdir: PathBuf,
    /// Prefix of the tensors' names, as in state_dict.generator or g_ema [default: the only one where all fit]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Replace card and weights of a model that is in the folder; rewards and other files stay
    #[arg(long)]
    force: bool,
}

/// Most names of tensors that were left out which are printed one by one.
const SHOWN: usize = 12;

/// Writes the folder and prints what was written, converted and left out.
///
/// # Errors
/// Those of [`import`].
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let options = ImportOptions { key: args.key.as_deref(), force: args.force };
    let done = import(&args.source, &args.card, &args.outdir, options)?;
    if context.quiet {
        return Ok(());
    }
    output::print(&output::wrapped(&rows(&done)))?;
    context.say(&format!("next: isoline inspect {}", shown(&done.folder)));
    Ok(())
}

fn rows(done: &Imported) -> Vec<Vec<String>> {
    let folder = shown(&done.folder);
    let row = |what: &str, text: String| output::row([what, &text]);
    let mut rows = vec![
        row("written", format!("{folder}/card.toml")),
        row("written", format!("{folder}/weights.safetensors, {} tensors", done.tensors)),
    ];
    if done.found {
        rows.push(row("taken from", format!("{}, the only place where all tensors fit", prefix_told(&done.prefix))));
    }
    rows.extend(
        done.also.iter().map(|p| row("not taken", format!("{}, where they fit too; see --key", prefix_told(p)))),
    );
    rows.extend(done.cast.iter().map(|name| row("cast to f32", name.clone())));
    rows.extend(done.left_out.iter().take(SHOWN).map(|name| row("left out", format!("{name}, read by no layer"))));
    if let Some(more) = done.left_out.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        rows.push(row("left out", format!("{more} more, read by no layer")));
    }
    if done.outside > 0 {
        let place = prefix_told(&done.prefix);
        rows.push(row("left out", format!("{} tensors outside of {place}", done.outside)));
    }
    let other = |name: &String| {
        row("not fitting", format!("{folder}/{name}, taught on another model; isoline train-reward teaches a new one"))
    };
    rows.extend(done.other_rewards.iter().map(other));
    rows
}
