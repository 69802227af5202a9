//! `study map`: descriptors over a plane of latent space, with the pictures at its corners.

use super::{
    Model, NamedColumn, Provenance, Study, StudyRow, as_map, cell, column, extremes, plane, seeds, write_page,
    write_table, write_text,
};
use crate::acts::describe::Geometry;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::pictures;
use crate::geometry::{ShownIn, shown_in};
use crate::progress::Progress;
use crate::render::Picture;
use crate::render::figure::heat_map;
use crate::render::page::{Page, number, row};
use crate::table::{Column, Table, Values};
use crate::units::Latents;
use serde::Serialize;
use std::path::Path;

/// The row of this study.
pub const ROW: StudyRow =
    StudyRow::of::<Map>("map", "psi, nu and delta over a plane of latent space, with the pictures at its corners");

/// A map that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Map {
    /// Three seeds that span the plane, as in 0,1,2
    #[arg(long, value_name = "SEEDS", default_value = "0,1,2")]
    pub plane: String,
    /// Latents along a side [default: 33; 9 for a diffusion model]
    #[arg(long, value_name = "N")]
    pub size: Option<usize>,
    /// How geometry is measured.
    #[command(flatten)]
    pub geometry: Geometry,
}

/// A map: one value of each descriptor for each latent of a square grid.
#[derive(Clone, Debug, Serialize)]
pub struct MapReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// The seeds that span the plane.
    pub plane: [u64; 3],
    /// n, the number of latents along a side.
    pub size: usize,
    /// Name of the estimator of the spectra.
    pub estimator: String,
    /// The k of ψ_k.
    pub model_rank: usize,
    /// The descriptors that are drawn, each summarised in a few numbers.
    #[serde(serialize_with = "as_map")]
    pub descriptors: Vec<(String, Extent)>,
    /// (u, v) of each latent, n² of them, row by row from the lowest v.
    #[serde(skip)]
    pub places: Vec<(f64, f64)>,
    /// Every descriptor at each latent, in the order of `places`.
    #[serde(skip)]
    pub columns: Vec<NamedColumn>,
    /// The pictures at the corners of the plane; grey where a value is not finite.
    #[serde(skip)]
    pub corners: Option<[Picture; 4]>,
}

/// A descriptor over a map, in a few numbers.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Extent {
    /// Number of latents where it is defined.
    pub defined: usize,
    /// Its least value.
    pub least: Option<f64>,
    /// Its mean.
    pub mean: Option<f64>,
    /// Its greatest value.
    pub greatest: Option<f64>,
}

impl Extent {
    fn of(values: &[Option<f64>]) -> Self {
        let [least, greatest] = extremes(values);
        let defined: Vec<f64> = values.iter().flatten().copied().collect();
        let mean = (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64);
        Self { defined: defined.len(), least, mean, greatest }
    }
}

impl Map {
    fn seeds(&self) -> Result<[u64; 3]> {
        let found = seeds("plane", &self.plane)?;
        let message = format!("expected three different seeds, as in 0,1,2, found {}", found.len());
        found.try_into().map_err(|_| Error::key("plane", message))
    }
}

impl Study for Map {
    type Report = MapReport;

    fn check(&self) -> Result<()> {
        self.seeds()?;
        match self.size.filter(|n| !(2..=128).contains(n)) {
            Some(size) => Err(Error::key("size", format!("expected 2 to 128, found {size}"))),
            None => Ok(()),
        }
    }

    fn seeds_on(&self, _: &Model) -> String {
        self.plane.clone()
    }

    fn run(&self, model: &Model, folder: &Path, progress: &Progress, cancel: &Cancel) -> Result<MapReport> {
        self.check()?;
        let seeds = self.seeds()?;
        let n = self.size.unwrap_or(model.usual().map_side);
        let points = Latents::of_seeds(&seeds, model.latent_width());
        let (latents, places) = plane([0, 1, 2].map(|i| points.row(i)), n);
        let found = model.describe(&latents, &self.geometry, folder, progress, cancel)?;
        let mut corners = Vec::new();
        for i in [0, n - 1, n * (n - 1), n * n - 1] {
            let picture = pictures(&*model.generator, latents.row(i))?.pop().flatten();
            corners.push(picture.unwrap_or_else(|| Picture::blank(8, 8, [240; 3])));
        }
        let columns: Vec<NamedColumn> = found.names.iter().map(|name| (name.clone(), found.values(name))).collect();
        Ok(MapReport {
            model: model.id().to_owned(),
            model_sha256: model.generator.model_sha256().to_owned(),
            plane: seeds,
            size: n,
            descriptors: shown_in(ShownIn::Map)
                .map(|d| (d.name.to_owned(), Extent::of(column(&columns, d.name))))
                .collect(),
            estimator: found.estimator,
            model_rank: found.model_rank,
            places,
            columns,
            corners: corners.try_into().ok(),
        })
    }
}

impl super::Report for MapReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let line = |(name, e): &(String, Extent)| {
            let [least, mean, greatest] = [e.least, e.mean, e.greatest].map(|v| number(v, 4));
            row([name, &e.defined.to_string(), &least, &mean, &greatest])
        };
        let head = row(["descriptor", "defined", "least", "mean", "greatest"]);
        [head].into_iter().chain(self.descriptors.iter().map(line)).collect()
    }

    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        let (id, n, [a, b, c]) = (&self.model, self.size, self.plane);
        let mut page = Page::new(&format!("A plane of {id}'s latent space"));
        page.section(
            "Through three seeds",
            &format!(
                "z = z_{a} + u (z_{b} - z_{a}) + v (z_{c} - z_{a}), u and v from -0.25 to 1.25, {n} latents a side, by {}; model rank {}. \
                 The pictures stand at the corners that they were made at.",
                self.estimator, self.model_rank
            ),
        );
        let marks = [(a, 0.0, 0.0), (b, 1.0, 0.0), (c, 0.0, 1.0)]
            .map(|(seed, u, v)| (cell(u, n), cell(v, n), format!("seed {seed}")));
        let axes = [format!("u: seed {a} to seed {b}"), format!("v: seed {a} to seed {c}")];
        for d in shown_in(ShownIn::Map) {
            let grid: Vec<Vec<Option<f64>>> = column(&self.columns, d.name).chunks(n).map(<[_]>::to_vec).collect();
            let title = format!("{} of {id}", d.label);
            let svg = heat_map(&title, [&axes[0], &axes[1]], &grid, self.corners.as_ref(), &marks)?;
            write_text(folder, &format!("{}.svg", d.name), &svg)?;
            page.plot(&svg);
        }
        let place = |of: fn(&(f64, f64)) -> f64| Values::F64(self.places.iter().map(|p| Some(of(p))).collect());
        let mut columns = vec![Column::new("u", place(|p| p.0)), Column::new("v", place(|p| p.1))];
        columns.extend(self.columns.iter().map(|(name, v)| Column::new(name.clone(), Values::F64(v.clone()))));
        let metadata = [("model", id.as_str()), ("model_sha256", &self.model_sha256)];
        write_table(folder, "map", &Table::new(columns)?, &metadata)?;
        page.table(&self.rows());
        write_page(folder, page, self, provenance)
    }
}
