//! `isoline status`: shows how far a run is.

use super::{CommandRow, Context, output, parsed, runs};
use crate::error::{Error, Result};
use crate::run::{Survey, array_expression, survey};
use std::path::PathBuf;

/// The row of `isoline status`.
pub const ROW: CommandRow =
    CommandRow::new::<Args>("status", "Show how far a run has got", |typed, context| run(&parsed(typed)?, context));

/// Arguments of `isoline status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Reads records and events, not pictures; isoline verify compares every file with its hash.")]
pub struct Args {
    /// Run folder
    #[arg(value_name = "RUN")]
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print only the shards that are missing, as a job array takes them, such as 3,17-19; an empty line where none is
    #[arg(long, conflicts_with = "json")]
    missing: bool,
}

/// Prints what is done, failed and missing, the rate and the time left.
///
/// # Errors
/// If the folder is no run or cannot be read; [`Error::Config`] if `--missing` is given for a plan that fixes no
/// shards.
pub fn run(args: &Args, _context: &Context) -> Result<()> {
    let (plan, work) = runs::open(&args.folder)?;
    let found = survey(&args.folder, &plan, &*work, false)?;
    if args.missing {
        let Some(missing) = &found.missing_shards else {
            let message = "the plan fixes no number of shards; plan it with isoline plan --shards N, or go on with isoline resume";
            return Err(Error::config("--missing", message));
        };
        return output::print(&format!("{}\n", array_expression(missing)));
    }
    let failed: Vec<(&u64, &String)> = found.sessions.iter().flat_map(|s| &s.failed).collect();
    let (rate, left) = found.rate();
    if args.json {
        return output::print_json(&serde_json::json!({
            "kind": plan.kind, "plan": plan.id(), "samples": found.wanted, "done": found.done,
            "non_finite": found.non_finite, "missing": found.wanted - found.done, "tiles": found.tiles.0,
            "tiles_done": found.tiles.1, "missing_tiles": array_expression(&found.missing),
            "shards": plan.shards, "missing_shards": found.missing_shards.as_deref().map(array_expression),
            "failed": failed.iter().map(|(t, m)| serde_json::json!({"tile": t, "message": m})).collect::<Vec<_>>(),
            "problems": found.problems.iter().map(|p| &p.what).collect::<Vec<_>>(),
            "per_second": rate, "seconds_left": left, "working": found.holders,
        }));
    }
    output::print(&text(&found, &plan.kind, plan.shards, &failed, rate, left))
}

fn text(
    found: &Survey,
    kind: &str,
    shards: Option<u64>,
    failed: &[(&u64, &String)],
    rate: Option<f64>,
    left: Option<f64>,
) -> String {
    let mut rows = vec![
        output::row(["kind", kind]),
        output::row([
            "done",
            &format!("{} of {} samples, {} of {} tiles", found.done, found.wanted, found.tiles.1, found.tiles.0),
        ]),
        output::row(["not finite", &found.non_finite.to_string()]),
        output::row(["failed", &failed.len().to_string()]),
        output::row(["missing", &(found.wanted - found.done).to_string()]),
    ];
    let mut put = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    failed.iter().for_each(|(tile, message)| put("", format!("tile {tile}: {message}")));
    if !found.missing.is_empty() {
        put("missing tiles", array_expression(&found.missing));
    }
    if let (Some(missing), Some(all)) = (&found.missing_shards, shards) {
        let which = if missing.is_empty() { "none".into() } else { array_expression(missing) };
        put("missing shards", format!("{which} of {all}"));
    }
    if let (Some(rate), Some(left)) = (rate, left) {
        put("rate", format!("{rate:.2} samples a second, about {} left", crate::progress::duration(left)));
    }
    for holder in &found.holders {
        put("working", holder.clone());
    }
    for problem in &found.problems {
        put("problem", problem.what.clone());
    }
    output::columns(&rows)
}
