//! `isoline simulate`: showers of particles from a parametric simulator, as data for generators and metrics.

use super::{CommandRow, Context, output, parsed};
use crate::acts::evaluate::Simulation;
use crate::error::{Error, Result, shown};
use std::path::PathBuf;

/// The row of `isoline simulate`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "simulate",
    "Make calorimeter showers by a parametric simulator, as an HDF5 file of the CaloChallenge",
    |typed, context| run(&parsed(typed)?, context),
);

/// Arguments of `isoline simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    simulation: Simulation,
    /// The file, as in showers.hdf5
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

fn run(args: &Args, context: &Context) -> Result<()> {
    if args.output.exists() && !args.force {
        let message = format!("{} is there already; choose another name, or give --force", shown(&args.output));
        return Err(Error::config("--output", message));
    }
    let showers = args.simulation.run(&args.output)?;
    let response: f64 = (0..showers.len())
        .map(|i| showers.row(i).iter().map(|v| f64::from(*v)).sum::<f64>() / showers.energies[i])
        .sum::<f64>()
        / showers.len() as f64;
    output::print(&output::columns(&[
        output::row(["showers", &showers.len().to_string()]),
        output::row(["voxels of each", &showers.width.to_string()]),
        output::row(["mean E_tot/E_inc", &format!("{response:.4}")]),
    ]))?;
    context.say(&format!("written: {}; a parametric simulation, not GEANT4", shown(&args.output)));
    Ok(())
}
