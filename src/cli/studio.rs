//! `isoline studio`: the page.

use super::{CommandRow, Context, output, parsed};
use crate::error::{Error, Result, did_you_mean, shown};
use crate::generator::known_models;
use crate::studio::{Studio, bind};
use std::path::PathBuf;

/// The row of `isoline studio`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "studio",
    "Open a page in the browser: one slider from typical to novel",
    |typed, context| run(&parsed(typed)?, context),
)
.stopping_in_order();

/// Arguments of `isoline studio`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Open the printed address in a browser on this machine; Ctrl-C ends the studio. With --listen 0.0.0.0 other machines \
can reach it too, and the address carries a token. Nothing is sent anywhere else."
)]
pub struct Args {
    /// Folder of the run folders; the studio keeps its own files in .studio below it
    #[arg(value_name = "ROOT", default_value = "runs")]
    root: PathBuf,
    /// The model to begin with
    #[arg(short, long, value_name = "MODEL", default_value = "peeps")]
    model: String,
    /// Address to listen at, with a port or without [default: 127.0.0.1, the first free port from 4765 on]
    #[arg(long, value_name = "ADDR[:PORT]")]
    listen: Option<String>,
    /// A name that the studio is called by, behind a proxy; may be given several times
    #[arg(long = "allow-host", value_name = "NAME")]
    allow_host: Vec<String>,
    /// Make the database anew from the run folders and the journal
    #[arg(long)]
    rebuild: bool,
}

/// Serves until it is stopped.
///
/// # Errors
/// Those of [`Studio::run`] and [`bind`]; [`Error::Config`] for a name that is none.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let is_name = |n: &&String| n.is_empty() || !n.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    if let Some(name) = args.allow_host.iter().find(is_name) {
        let place = format!("--allow-host {}", name.escape_debug());
        return Err(Error::config(place, "expected the name alone, as in studio.example.org"));
    }
    let known: Vec<String> = known_models().into_iter().map(|m| m.name).collect();
    if !known.contains(&args.model) {
        let near = did_you_mean(&args.model, known.iter().map(String::as_str));
        let message = format!("no model is called so; the studio takes names, see isoline list models{near}");
        return Err(Error::config(format!("--model {}", args.model.escape_debug()), message));
    }
    let listener = bind(args.listen.as_deref())?;
    let program = std::env::current_exe().map_err(|e| Error::io("<this program>", "find", e))?;
    let studio = Studio {
        root: args.root.clone(),
        model: args.model.clone(),
        names: args.allow_host.clone(),
        device: context.device.clone(),
        program,
        rebuild: args.rebuild,
    };
    let root = shown(&args.root);
    studio.run(listener, &context.cancel, |address| {
        output::print(&format!("{address}\n"))?;
        context.say(&format!("the studio over {root} is open at this address; Ctrl-C ends it"));
        Ok(())
    })
}
