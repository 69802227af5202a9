//! `isoline import`: turns foreign weights and a draft card into a model folder.

use super::{CommandRow, Context, output, parsed};
use crate::error::{Result, shown};
use crate::generator::import;
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
    /// Weights: .pth, .pt, .ckpt or .bin of PyTorch, or .safetensors; no code in it is run
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// A card without file name and hash, which are filled in
    #[arg(long, value_name = "FILE")]
    card: PathBuf,
    /// Folder of the model, made if it is not there
    #[arg(short, long, value_name = "DIR")]
    outdir: PathBuf,
    /// Key of the state dict in a nested PyTorch checkpoint, as in state_dict [default: the file's top level]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

/// Writes the folder and prints what was written, converted and left out.
///
/// # Errors
/// Those of [`import`].
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let done = import(&args.source, &args.card, &args.outdir, args.key.as_deref())?;
    let folder = shown(&done.folder);
    let mut rows = vec![
        output::row(["written", &format!("{folder}/card.toml")]),
        output::row(["written", &format!("{folder}/weights.safetensors, {} tensors", done.tensors)]),
    ];
    rows.extend(done.cast.iter().map(|name| output::row(["cast to f32", name])));
    rows.extend(done.left_out.iter().map(|name| output::row(["left out", &format!("{name}, read by no layer")])));
    output::print(&output::columns(&rows))?;
    context.say(&format!("next: isoline inspect {folder}"));
    Ok(())
}
