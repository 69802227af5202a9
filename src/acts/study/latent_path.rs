//! `study trajectory`: descriptors along a path between seeds.

use super::{
    Model, NamedColumn, Provenance, Study, StudyRow, as_map, column, extremes, path, seeds, write_page, write_table,
    write_text,
};
use crate::acts::describe::Geometry;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::pictures;
use crate::geometry::{ShownIn, shown_in};
use crate::progress::Progress;
use crate::render::Picture;
use crate::render::page::{Page, number, row};
use crate::render::plot;
use crate::table::{Column, Table, Values};
use crate::units::Latents;
use serde::Serialize;
use std::path::Path;

/// The row of this study.
pub const ROW: StudyRow = StudyRow::of::<LatentPath>("trajectory", "Descriptors along a path between seeds");

/// At most this many pictures along a path are shown on the page.
const STRIP: usize = 33;

/// A path that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct LatentPath {
    /// Seeds to go through, as in 3,14,15
    #[arg(long, value_name = "SEEDS", default_value = "0,1,2")]
    pub seeds: String,
    /// Steps from one seed to the next [default: 32; 8 for a diffusion model]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Straight lines instead of great circles
    #[arg(long)]
    pub straight: bool,
    /// How geometry is measured.
    #[command(flatten)]
    pub geometry: Geometry,
}

/// Descriptors along a path.
#[derive(Clone, Debug, Serialize)]
pub struct LatentPathReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// The seeds, in order.
    pub seeds: Vec<u64>,
    /// Number of steps from a seed to the next.
    pub steps: usize,
    /// Whether the path follows straight lines instead of great circles.
    pub straight: bool,
    /// Name of the estimator of the spectra.
    pub estimator: String,
    /// The k of ψ_k.
    pub model_rank: usize,
    /// Position of each latent on the path; whole numbers are the seeds.
    pub position: Vec<f64>,
    /// Every descriptor at each latent.
    #[serde(serialize_with = "as_map")]
    pub descriptors: Vec<NamedColumn>,
    /// Some pictures, each with its position.
    #[serde(skip)]
    pub pictures: Vec<(Picture, f64)>,
}

impl Study for LatentPath {
    type Report = LatentPathReport;

    fn check(&self) -> Result<()> {
        let stations = seeds("seeds", &self.seeds)?.len();
        if !(2..=64).contains(&stations) {
            return Err(Error::key("seeds", format!("expected 2 to 64 different seeds, found {stations}")));
        }
        match self.steps.filter(|n| !(1..=1024).contains(n)) {
            Some(steps) => Err(Error::key("steps", format!("expected 1 to 1024, found {steps}"))),
            None => Ok(()),
        }
    }

    fn seeds_on(&self, _: &Model) -> String {
        self.seeds.clone()
    }

    fn run(&self, model: &Model, folder: &Path, progress: &Progress, cancel: &Cancel) -> Result<LatentPathReport> {
        self.check()?;
        let seeds = seeds("seeds", &self.seeds)?;
        let steps = self.steps.unwrap_or(model.usual().path_steps);
        let latents = path(&Latents::of_seeds(&seeds, model.latent_width()), steps, self.straight);
        let found = model.describe(&latents, &self.geometry, folder, progress, cancel)?;
        let position: Vec<f64> = (0..latents.len()).map(|i| i as f64 / steps as f64).collect();
        let mut shown = Vec::new();
        for i in (0..latents.len()).step_by(latents.len().div_ceil(STRIP)) {
            let picture = pictures(&*model.generator, latents.row(i))?.pop().flatten();
            shown.extend(picture.map(|picture| (picture, position[i])));
        }
        Ok(LatentPathReport {
            model: model.id().to_owned(),
            model_sha256: model.generator.model_sha256().to_owned(),
            seeds,
            steps,
            straight: self.straight,
            model_rank: found.model_rank,
            position,
            descriptors: found.names.iter().map(|name| (name.clone(), found.values(name))).collect(),
            estimator: found.estimator,
            pictures: shown,
        })
    }
}

impl super::Report for LatentPathReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let line = |name: &str| {
            let values = column(&self.descriptors, name);
            let [first, last] = [values.first(), values.last()].map(|v| v.copied().flatten());
            let [least, greatest] = extremes(values);
            let [first, least, greatest, last] = [first, least, greatest, last].map(|v| number(v, 4));
            row([name, &first, &least, &greatest, &last])
        };
        let head = row(["descriptor", "at the start", "least", "greatest", "at the end"]);
        [head].into_iter().chain(shown_in(ShownIn::Path).map(|d| line(d.name))).collect()
    }

    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        let (id, steps) = (&self.model, self.steps);
        let mut page = Page::new(&format!("A path through {id}'s latent space"));
        let way = if self.straight { "straight lines" } else { "great circles, the norm changing evenly" };
        let list = self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        page.section(
            "From seed to seed",
            &format!("Seeds {list}, by {way}; {steps} steps each. Whole numbers on the axis are the seeds."),
        );
        let strip = self.pictures.iter().map(|(picture, at)| (picture.clone(), format!("{at:.2}")));
        page.pictures(&strip.collect::<Vec<_>>())?;
        for d in shown_in(ShownIn::Path) {
            let values = self.position.iter().zip(column(&self.descriptors, d.name));
            let line = values.filter_map(|(at, v)| Some((*at, (*v)?))).collect();
            let title = format!("{} along the path", d.label);
            let svg = plot::lines(&title, "position", d.label, &[(d.name, line)], false)?;
            write_text(folder, &format!("{}.svg", d.name), &svg)?;
            page.plot(&svg);
        }
        let position = Values::F64(self.position.iter().copied().map(Some).collect());
        let mut columns = vec![Column::new("position", position)];
        columns.extend(self.descriptors.iter().map(|(name, v)| Column::new(name.clone(), Values::F64(v.clone()))));
        let metadata = [("model", id.as_str()), ("model_sha256", &self.model_sha256)];
        write_table(folder, "trajectory", &Table::new(columns)?, &metadata)?;
        page.table(&self.rows());
        write_page(folder, page, self, provenance)
    }
}
