//! `isoline generate-showers`: showers of particles by a generator that has learnt them.

use super::{CommandRow, Context, output, parsed};
use crate::acts::showers::ShowerRequest;
use crate::error::{Error, Result, shown};
use std::path::PathBuf;

/// The row of `isoline generate-showers`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "generate-showers",
    "Make calorimeter showers by a generator, unguided or steered, as an HDF5 file of the CaloChallenge",
    |typed, context| run(&parsed(typed)?, context),
)
.stopping_in_order();

/// Arguments of `isoline generate-showers`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    request: ShowerRequest,
    /// The file, as in showers.hdf5
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Print JSON, with the measured novelty of every steered shower
    #[arg(long)]
    json: bool,
}

fn run(args: &Args, context: &Context) -> Result<()> {
    if args.output.exists() && !args.force {
        let message = format!("{} is there already; choose another name, or give --force", shown(&args.output));
        return Err(Error::config("--output", message));
    }
    let (_, device) = context.open_device()?;
    let made = args.request.run(&args.output, &device, &context.progress, &context.cancel).map_err(Error::at_flag)?;
    if args.json {
        output::print_json(&made.json()?)?;
    } else {
        let mut rows = vec![
            output::row(["showers", &made.showers.to_string()]),
            output::row(["obey every rule", &made.sound.to_string()]),
            output::row(["E_tot/E_inc outside the band", &made.outside.to_string()]),
            output::row(["mean E_tot/E_inc", &format!("{:.4}", made.response)]),
        ];
        if let Some(steered) = &made.steered {
            rows.push(output::row(["reached what was asked", &steered.reached.to_string()]));
            rows.push(output::row(["noise outside the known range", &steered.off_manifold.to_string()]));
            rows.push(output::row([
                "median measured percentile",
                &steered.median().map_or("-".into(), |m| format!("{m:.1}")),
            ]));
            rows.push(output::row(["mean angle from the seed", &format!("{:.3}", steered.angle)]));
        }
        output::print(&output::columns(&rows))?;
    }
    context.say(&format!("written: {}", shown(&args.output)));
    Ok(())
}
