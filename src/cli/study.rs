//! `isoline study`: what the numbers are worth on a model. The folder gets tables, plots and a page.

mod convergence;
mod map;
mod relate;
mod trajectory;

use super::{Context, output};
use crate::acts::describe::{Geometry, Inverter, Subject};
use crate::acts::study::Session;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::generator::{self, Generator, Usual, find_model};
use crate::reward::Reward;
use crate::run::parse_seeds;
use crate::store;
use crate::table::{Table, write_csv, write_parquet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `isoline study`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, clap::Subcommand)]
enum Which {
    /// Every estimator against the exact one, over directions and radius, with seconds per latent
    Convergence(convergence::Args),
    /// psi, nu and delta over a plane of latent space, with the pictures at its corners
    Map(map::Args),
    /// What psi, nu and delta say of pictures, and what nu and delta say beyond psi
    Relate(relate::Args),
    /// Descriptors along a path between seeds
    Trajectory(trajectory::Args),
}

/// Runs the study.
///
/// # Errors
/// Those of the model, the estimator and the disk.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.which {
        Which::Convergence(a) => convergence::run(a, context),
        Which::Map(a) => map::run(a, context),
        Which::Relate(a) => relate::run(a, context),
        Which::Trajectory(a) => trajectory::run(a, context),
    }
}

/// What every study is told.
#[derive(Debug, clap::Args)]
struct Common {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    model: String,
    /// Folder of tables, plots and report.html [default: runs/study-STUDY-MODEL]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A loaded model and where its study goes.
struct Opened {
    folder: PathBuf,
    outdir: PathBuf,
    generator: Arc<dyn Generator>,
    name: DeviceName,
    device: Device,
}

impl Common {
    fn open(&self, study: &str, context: &Context) -> Result<Opened> {
        let (name, device) = context.open_device()?;
        let folder = find_model(&self.model)?;
        let generator = generator::load(&folder, &device)?;
        let id = &generator.spec().id;
        let outdir = self.outdir.clone().unwrap_or_else(|| format!("runs/study-{study}-{id}").into());
        Ok(Opened { folder, outdir, generator, name, device })
    }
}

impl Opened {
    /// The model's own reward, where there is one.
    fn reward(&self) -> Result<Option<Reward>> {
        let there = self.folder.join("reward/card.toml").exists();
        there.then(|| Reward::load(&self.folder, None, &self.generator, &self.device)).transpose()
    }

    /// What suits the model where nothing was asked for.
    fn usual(&self) -> &'static Usual {
        self.generator.spec().usual
    }

    fn session<'a>(&'a self, geometry: &'a Geometry, context: &'a Context) -> Result<Session<'a>> {
        let asked = geometry.model_rank.is_some() && geometry.estimator.is_some();
        let reward = if asked { None } else { self.reward()? };
        let generator = Arc::clone(&self.generator);
        Ok(Session {
            subject: Subject::new(self.folder.clone(), generator, reward, geometry.model_rank)?,
            geometry,
            folder: &self.outdir,
            device: (self.name, self.device.clone()),
            progress: &context.progress,
            cancel: &context.cancel,
        })
    }

    /// Writes `NAME.parquet` and `NAME.csv`.
    fn write_table(&self, name: &str, table: &Table) -> Result<()> {
        let spec = self.generator.spec();
        let metadata = [("model", spec.id.as_str()), ("model_sha256", self.generator.model_sha256())];
        let metadata: Vec<(String, String)> = metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        store::write_atomic(&self.outdir.join(format!("{name}.csv")), write_csv(table).as_bytes())?;
        store::write_atomic(&self.outdir.join(format!("{name}.parquet")), &write_parquet(table, &metadata)?)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        store::write_atomic(&self.outdir.join(name), text.as_bytes())
    }

    /// Prints the table, or the JSON, and says where the rest is.
    fn finish(&self, common: &Common, context: &Context, json: &serde_json::Value, rows: &[Vec<String>]) -> Result<()> {
        self.write("study.json", &format!("{json:#}\n"))?;
        if common.json {
            output::print_json(json)?;
        } else {
            output::print(&output::columns(rows))?;
        }
        context.say(&format!("written: {}; open report.html there", shown(&self.outdir)));
        Ok(())
    }
}

fn seeds(text: &str, flag: &str) -> Result<Vec<u64>> {
    parse_seeds(text).map_err(|m| Error::config(flag, m))
}

/// A number of a table, or a dash.
fn number(v: Option<f64>, digits: usize) -> String {
    v.map_or("-".to_owned(), |v| format!("{v:.digits$}"))
}

fn inverter(generator: &Arc<dyn Generator>, folder: &Path) -> Result<Inverter> {
    Inverter::new(Arc::clone(generator), folder, None)
}
