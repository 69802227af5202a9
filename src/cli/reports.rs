//! The folder of a report on a model, the same for every command that examines one.

use crate::acts::study::{Origin, Provenance, Report, RewardNote, Scope, settings};
use crate::device::DeviceName;
use crate::error::Result;
use crate::generator::find_model;
use clap::ArgMatches;
use std::path::Path;

/// What was examined.
pub struct Examined<'a> {
    /// The model as it was typed.
    pub model: &'a str,
    /// Its id and SHA-256.
    pub id: (&'a str, &'a str),
    /// The seeds as they were typed.
    pub seeds: &'a str,
}

/// Writes a report with where it comes from; `A` are the flags whose values are recorded.
///
/// # Errors
/// Those of the reward beside the model, and of the disk.
pub fn write<A: clap::Args>(
    report: &impl Report,
    outdir: &Path,
    of: &Examined,
    typed: &ArgMatches,
    (origin, device): (&Origin, DeviceName),
) -> Result<()> {
    let scope = Scope { seeds: of.seeds.to_owned(), settings: settings::<A>(typed), ..Scope::default() };
    let reward = RewardNote::beside(&find_model(of.model)?, None)?;
    report.write(outdir, &Provenance::new(origin, of.id, reward, &device.to_string(), scope))
}
