//! Studies: how far the numbers can be trusted on a model. Each study is one file with what can be asked for, a
//! function from that to a report of plain data, and the code that writes the report into a folder. No study needs a
//! terminal.
//!
//! A study that leaves tables, plots and a page in a folder has a row in [`STUDIES`], and that alone makes it a command
//! of `isoline study`.

mod compared;
pub mod convergence;
pub mod denoiser_path;
pub mod diagnose;
pub mod dimension;
pub mod latent_path;
pub mod map;
pub mod memorisation;
mod model;
pub mod ood;
mod paths;
mod provenance;
pub mod relations;
pub mod steering;

pub use compared::{Compared, compared};
pub use model::Model;
pub use paths::{cell, path, plane};
pub use provenance::{Origin, Provenance, RewardNote, Scope};

use crate::acts::columns;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::render::page::Page;
use crate::run::parse_seeds;
use crate::store;
use crate::table::{Table, write_csv, write_parquet};
use serde::{Serialize, Serializer};
use std::path::Path;

/// A study of a model that leaves a folder. Its fields are what can be asked for, and each is a flag too.
pub trait Study: clap::Args {
    /// What the study finds.
    type Report: Report;

    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    fn check(&self) -> Result<()>;

    /// The seeds that it goes over on this model, as typed or as they are without being typed.
    fn seeds_on(&self, model: &Model) -> String;

    /// Samples per tile; `None` for a study that does not work in tiles.
    fn tile_on(&self, model: &Model) -> Option<usize> {
        Some(model.usual().describe_tile)
    }

    /// Runs the study. Tiles of measurements are kept in `folder`, where the same study continues after a stop.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model, the estimator and the disk, or a stop.
    fn run(&self, model: &Model, folder: &Path, progress: &Progress, cancel: &Cancel) -> Result<Self::Report>;
}

/// What a study has found: plain data, which is serialised as `study.json`.
pub trait Report: Serialize {
    /// The printed table, header first.
    fn rows(&self) -> Vec<Vec<String>>;

    /// Writes tables, plots, `report.html` and `study.json`, the last two with where they come from.
    ///
    /// # Errors
    /// When a picture cannot be made or a file cannot be written.
    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()>;
}

/// What is printed of a study.
pub struct Printout {
    /// The whole report.
    pub json: serde_json::Value,
    /// Its table, header first.
    pub rows: Vec<Vec<String>>,
}

/// One row of the table of studies.
pub struct StudyRow {
    /// As in `isoline study NAME`.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Adds its flags to a command.
    pub augment: fn(clap::Command) -> clap::Command,
    /// [`Study::check`] of what was typed.
    pub check: fn(&clap::ArgMatches) -> Result<()>,
    /// [`Study::run`] of what was typed; writes the report into the folder.
    pub run: fn(&clap::ArgMatches, &Model, &Path, &Origin, &Progress, &Cancel) -> Result<Printout>,
}

impl StudyRow {
    const fn of<S: Study>(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            augment: S::augment_args,
            check: |typed| parsed::<S>(typed)?.check(),
            run: |typed, model, folder, origin, progress, cancel| {
                let study = parsed::<S>(typed)?;
                let report = study.run(model, folder, progress, cancel)?;
                let scope = Scope {
                    seeds: study.seeds_on(model),
                    levels: Vec::new(),
                    tile: study.tile_on(model),
                    settings: settings::<S>(typed),
                };
                let provenance = Provenance::of(origin, model, scope)?;
                report.write(folder, &provenance)?;
                Ok(Printout { json: described(&report, &provenance)?, rows: report.rows() })
            },
        }
    }
}

/// Every study that leaves a folder.
pub static STUDIES: &[StudyRow] = &[convergence::ROW, map::ROW, relations::ROW, latent_path::ROW];

fn parsed<S: Study>(typed: &clap::ArgMatches) -> Result<S> {
    S::from_arg_matches(typed).map_err(|e| Error::Bug(e.to_string()))
}

/// What was typed for each of a study's flags, or the default that its help names.
pub fn settings<S: clap::Args>(typed: &clap::ArgMatches) -> serde_json::Map<String, serde_json::Value> {
    let flags = S::augment_args(clap::Command::new("study"));
    let value = |id: &str| {
        let raw = typed.get_raw(id)?.map(|v| v.to_string_lossy().into_owned()).collect::<Vec<_>>();
        Some((id.to_owned(), raw.join(",").into()))
    };
    flags.get_arguments().filter_map(|a| value(a.get_id().as_str())).collect()
}

/// Parses the seeds typed under `key`.
fn seeds(key: &str, text: &str) -> Result<Vec<u64>> {
    parse_seeds(text).map_err(|message| Error::key(key, message))
}

/// A named column of numbers.
type NamedColumn = (String, Vec<Option<f64>>);

/// The column called `name`; an empty one if there is none.
fn column<'a>(columns: &'a [NamedColumn], name: &str) -> &'a [Option<f64>] {
    columns.iter().find(|c| c.0 == name).map_or(&[], |c| &c.1)
}

/// The least and the greatest of the defined values.
fn extremes(values: &[Option<f64>]) -> [Option<f64>; 2] {
    let defined = || values.iter().flatten().copied();
    [defined().reduce(f64::min), defined().reduce(f64::max)]
}

/// Serialises (name, value) pairs as an object.
fn as_map<V: Serialize, S: Serializer>(pairs: &[(String, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

pub(super) fn json(report: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(report).map_err(|e| Error::Bug(format!("report: {e}")))
}

fn write_text(folder: &Path, name: &str, text: &str) -> Result<()> {
    store::write_atomic(&folder.join(name), text.as_bytes())
}

/// Writes `NAME.csv`, and `NAME.parquet` with `metadata` and what each column says.
pub(super) fn write_table(folder: &Path, name: &str, table: &Table, metadata: &[(&str, &str)]) -> Result<()> {
    let mut metadata: Vec<(String, String)> =
        metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    metadata.push(columns::metadata(name, table));
    write_text(folder, &format!("{name}.csv"), &write_csv(table))?;
    store::write_atomic(&folder.join(format!("{name}.parquet")), &write_parquet(table, &metadata)?)
}

/// A report as JSON, with where it comes from under `provenance`.
///
/// # Errors
/// [`Error::Bug`].
pub fn described(report: &impl Serialize, provenance: &Provenance) -> Result<serde_json::Value> {
    let mut all = json(report)?;
    if let Some(fields) = all.as_object_mut() {
        fields.insert("provenance".to_owned(), json(provenance)?);
    }
    Ok(all)
}

/// Writes the page, with where it comes from at its foot, and then, last, `study.json`.
pub(super) fn write_page(
    folder: &Path,
    mut page: Page,
    report: &impl Serialize,
    provenance: &Provenance,
) -> Result<()> {
    page.foot("Where this comes from", &provenance.rows());
    write_text(folder, "report.html", &page.html())?;
    write_text(folder, "study.json", &format!("{:#}\n", described(report, provenance)?))
}
