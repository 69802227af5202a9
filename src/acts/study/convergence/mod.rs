//! `study convergence`: compares every estimator with the exact one, over directions and radius.

mod trials;

pub use trials::{Trial, Trials};

use super::{Model, Provenance, Study, StudyRow, seeds, write_page, write_table, write_text};
use crate::acts::describe::spread;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::{Card, OneShot, Output, build, pictures};
use crate::geometry::{ESTIMATORS, EstimatorRow, EstimatorSettings, Varies};
use crate::progress::Progress;
use crate::render::Picture;
use crate::render::page::{Page, number, row};
use crate::render::plot;
use crate::reward::Reward;
use crate::store::Weights;
use crate::table::{Column, Table, Values};
use crate::units::Latents;
use serde::Serialize;
use std::path::Path;

/// The row of this study.
pub const ROW: StudyRow = StudyRow::of::<Convergence>(
    "convergence",
    "Every estimator against the exact one, over directions and radius, with seconds per latent",
);

/// A study of the estimators that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Convergence {
    /// Seeds of the latents, as in 0-63 [default: 0-63; 0-15 for a diffusion model]
    #[arg(long, value_name = "LIST")]
    pub seeds: Option<String>,
    /// Numbers of directions to try besides all d of them (which a diffusion model leaves out); an estimator skips those that
    /// it cannot take
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "4,8,16,32,64,128")]
    pub directions: Vec<usize>,
    /// Radii of the stencil to try, in units of ‖z‖/√d [default: 0.003,0.01,0.03,0.1,0.3; 0.01,0.1 for a diffusion model]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub radius: Option<Vec<f64>>,
    /// Model rank k of psi_k [default: the reward's, else from the exact spectra]
    #[arg(long, value_name = "K")]
    pub model_rank: Option<usize>,
    /// Seed of the random directions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub frame_seed: u64,
    /// Memory of one pass through the network, roughly
    #[arg(long, value_name = "MIB", default_value_t = 192)]
    pub memory: usize,
    /// Only the map that the card names, to the image or to the pre-activation, instead of both
    #[arg(long)]
    pub one_map: bool,
}

/// What the study found.
#[derive(Clone, Debug, Serialize)]
pub struct ConvergenceReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// Number of latents.
    pub latents: usize,
    /// The maps that were measured.
    pub maps: Vec<MeasuredMap>,
    /// Every combination of estimator, directions and radius on every map.
    pub trials: Vec<Trial>,
    /// d, the latent's width.
    #[serde(skip)]
    pub latent_width: usize,
    /// Some pictures from the lowest exact ψ_k to the highest, each with its seed and its ψ_k.
    #[serde(skip)]
    pub pictures: Vec<(Picture, u64, Option<f64>)>,
}

/// A map from latents that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredMap {
    /// What the map leads to: the image or the preactivation.
    pub output: String,
    /// The k of ψ_k.
    pub model_rank: usize,
    /// Median of the numerical ranks.
    pub median_rank: usize,
    /// The exact ψ_k of every latent.
    #[serde(skip)]
    pub exact: Vec<Option<f64>>,
}

impl Convergence {
    fn seeds(&self) -> Result<Option<Vec<u64>>> {
        self.seeds.as_ref().map(|text| seeds("seeds", text)).transpose()
    }

    fn settings(&self) -> EstimatorSettings {
        let memory = self.memory.saturating_mul(1 << 20);
        EstimatorSettings { seed: self.frame_seed, memory, ..EstimatorSettings::default() }
    }

    /// The model rank asked for, or the reward's. If the reward used fewer directions than all, its rank is that of a
    /// subspace and not of the map, so it is not taken.
    fn rank_on(&self, model: &Model) -> Result<Option<usize>> {
        let d = model.latent_width();
        match self.model_rank {
            Some(k) if !(1..=d).contains(&k) => {
                Err(Error::key("model_rank", format!("expected 1 to {d}, the latent's width, found {k}")))
            }
            Some(k) => Ok(Some(k)),
            None => Ok(model.reward()?.filter(|r| r.measures_as("exact", d)).as_ref().and_then(Reward::map_rank)),
        }
    }
}

impl Study for Convergence {
    type Report = ConvergenceReport;

    fn check(&self) -> Result<()> {
        self.seeds()?;
        for radius in self.radius.iter().flatten() {
            EstimatorSettings { radius: *radius, ..self.settings() }.check()?;
        }
        match self.directions.iter().any(|p| *p < 2) {
            true => Err(Error::key("directions", "expected at least 2 each")),
            false => Ok(()),
        }
    }

    fn seeds_on(&self, model: &Model) -> String {
        self.seeds.clone().unwrap_or_else(|| format!("0-{}", model.usual().convergence_seeds - 1))
    }

    fn tile_on(&self, _: &Model) -> Option<usize> {
        None
    }

    fn run(&self, model: &Model, _: &Path, progress: &Progress, cancel: &Cancel) -> Result<ConvergenceReport> {
        self.check()?;
        let (d, usual) = (model.latent_width(), model.usual());
        let seeds = self.seeds()?.unwrap_or_else(|| (0..usual.convergence_seeds).collect());
        let radii = self.radius.clone().unwrap_or_else(|| usual.convergence_radii.to_vec());
        let latents = Latents::of_seeds(&seeds, d);
        // All d directions too: with these every estimator in latent space must agree with the exact one.
        let mut directions = self.directions.clone();
        directions.extend(usual.all_directions.then_some(d));
        directions.sort_unstable();
        directions.dedup();
        let trials = Trials {
            latents: &latents,
            directions: &directions,
            radii: &radii,
            model_rank: self.rank_on(model)?,
            settings: self.settings(),
        };
        let mut found = vec![trials.run(&*model.generator, progress, cancel)?];
        if let (false, Some(other)) = (self.one_map, other_map(model)?) {
            // The reward's model rank belongs to the card's map, not to this one.
            found.push(Trials { model_rank: self.model_rank, ..trials }.run(&other, progress, cancel)?);
        }
        let (maps, trials): (Vec<MeasuredMap>, Vec<Vec<Trial>>) = found.into_iter().unzip();
        let exact = &maps[0].exact;
        let mut shown = Vec::new();
        for i in spread(exact, 48) {
            let picture = pictures(&*model.generator, latents.row(i))?.pop().flatten();
            shown.extend(picture.map(|picture| (picture, seeds[i], exact[i])));
        }
        Ok(ConvergenceReport {
            model: model.id().to_owned(),
            model_sha256: model.generator.model_sha256().to_owned(),
            latents: seeds.len(),
            trials: trials.concat(),
            latent_width: d,
            pictures: shown,
            maps,
        })
    }
}

/// Of the maps before and after the last activation, the one that the card does not measure; `None` if they are the
/// same.
fn other_map(model: &Model) -> Result<Option<OneShot>> {
    let mut card = Card::read(&model.folder.join("card.toml"))?;
    if card.raw.denoiser.is_some() {
        return Ok(None);
    }
    let network = build(&card)?;
    if network.last_activation().is_none() {
        return Ok(None);
    }
    card.raw.geometry.output = match card.raw.geometry.output {
        Output::Image => Output::Preactivation,
        Output::Preactivation => Output::Image,
    };
    let weights = Weights::read(&model.folder.join(&card.raw.weights.file))?;
    OneShot::assemble(&card, network, &weights, &model.device).map(Some)
}

impl super::Report for ConvergenceReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let line = |t: &Trial| {
            let name = if t.statistic == "psi_k" { t.estimator.clone() } else { format!("{} of exact", t.statistic) };
            let radius = t.radius.map_or("-".to_owned(), |r| r.to_string());
            let [rho, bias, sd, stderr] = [t.spearman, t.bias, t.sd, t.stderr].map(|v| number(v, 4));
            let seconds = format!("{:.3}", 1e3 * t.seconds);
            row([&t.output, &name, &t.directions.to_string(), &radius, &rho, &bias, &sd, &stderr, &seconds])
        };
        let head = row(["map", "estimator", "P", "radius", "spearman", "bias", "sd", "stderr", "ms/latent"]);
        [head].into_iter().chain(self.trials.iter().map(line)).collect()
    }

    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        let id = &self.model;
        let metadata = [("model", id.as_str()), ("model_sha256", &self.model_sha256)];
        write_table(folder, "convergence", &self.table()?, &metadata)?;
        let mut page = Page::new(&format!("Estimators on {id}"));
        for map in &self.maps {
            let output = &map.output;
            page.section(
                &format!("Map to the {output}"),
                &format!(
                    "Each estimate of psi_k against the exact one on {} latents; model rank k = {}, median numerical rank {} of {}.",
                    self.latents, map.model_rank, map.median_rank, self.latent_width
                ),
            );
            let trials: Vec<&Trial> = self.trials.iter().filter(|t| t.output == *output).collect();
            for (name, svg) in plots(&trials, output)? {
                write_text(folder, &format!("{name}-{output}.svg"), &svg)?;
                page.plot(&svg);
            }
        }
        page.section("Table", "Spearman and bias against the exact psi_k; sd is what is left without the bias; stderr is what the estimator says of itself. With fewer directions than k the estimate is psi over all of them.");
        page.table(&self.rows());
        let caption = |seed: &u64, psi: &Option<f64>| format!("seed {seed}: {}", number(*psi, 2));
        let sheet = self.pictures.iter().map(|(picture, seed, psi)| (picture.clone(), caption(seed, psi)));
        page.section("From typical to novel", "Pictures in the order of the exact psi_k, lowest first.");
        page.pictures(&sheet.collect::<Vec<_>>())?;
        write_page(folder, page, self, provenance)
    }
}

impl ConvergenceReport {
    fn table(&self) -> Result<Table> {
        let real = |f: fn(&Trial) -> Option<f64>| Values::F64(self.trials.iter().map(f).collect());
        let whole =
            |f: fn(&Trial) -> usize| Values::I64(self.trials.iter().map(|t| i64::try_from(f(t)).ok()).collect());
        let text = |f: fn(&Trial) -> &String| Values::Text(self.trials.iter().map(|t| Some(f(t).clone())).collect());
        Table::new(vec![
            Column::new("output", text(|t| &t.output)),
            Column::new("estimator", text(|t| &t.estimator)),
            Column::new("statistic", text(|t| &t.statistic)),
            Column::new("directions", whole(|t| t.directions)),
            Column::new("radius", real(|t| t.radius)),
            Column::new("spearman", real(|t| t.spearman)),
            Column::new("bias", real(|t| t.bias)),
            Column::new("sd", real(|t| t.sd)),
            Column::new("stderr", real(|t| t.stderr)),
            Column::new("seconds", real(|t| Some(t.seconds))),
            Column::new("undefined", whole(|t| t.undefined)),
        ])
    }
}

type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// The plots of one map's trials, each with the first part of its file's name.
fn plots(trials: &[&Trial], output: &str) -> Result<Vec<(String, String)>> {
    const SCALE: &str = "Spearman with the exact psi_k";
    // Lines first, then the single points of estimators with nothing to vary.
    let (points, curves): (Vec<_>, Vec<_>) = ESTIMATORS.iter().partition(|e| e.varies == Varies::Nothing);
    let order: Vec<&EstimatorRow> = curves.into_iter().chain(points).collect();
    let mut found = Vec::new();
    for (name, label, x) in [
        ("spearman-directions", "directions P", (|t: &Trial| t.directions as f64) as fn(&Trial) -> f64),
        ("spearman-seconds", "milliseconds per latent", |t: &Trial| 1e3 * t.seconds),
    ] {
        let line = |e: &EstimatorRow| -> Line {
            let own = || trials.iter().filter(|t| t.estimator == e.name && t.statistic == "psi_k");
            // One line for each estimator, at the radius where it does best.
            let best = own()
                .filter(|t| t.spearman.is_some())
                .max_by(|a, b| a.spearman.partial_cmp(&b.spearman).unwrap_or(std::cmp::Ordering::Equal));
            let radius = best.and_then(|t| t.radius);
            (e.name, own().filter(|t| t.radius == radius).filter_map(|t| Some((x(t), t.spearman?))).collect())
        };
        let lines: Vec<Line> = order.iter().map(|e| line(e)).collect();
        let title = format!("Order of latents by psi_k of the {output}, over {label}");
        found.push((name.to_owned(), plot::lines(&title, label, SCALE, &lines, true)?));
    }
    for estimator in ESTIMATORS.iter().filter(|e| e.varies == Varies::Radius) {
        let own = || trials.iter().filter(|t| t.estimator == estimator.name);
        let mut sizes: Vec<usize> = own().map(|t| t.directions).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let labels: Vec<String> = sizes.iter().map(|p| format!("P = {p}")).collect();
        let line =
            |p: &usize| own().filter(|t| t.directions == *p).filter_map(|t| Some((t.radius?, t.spearman?))).collect();
        let lines: Vec<Line> = labels.iter().zip(&sizes).map(|(label, p)| (label.as_str(), line(p))).collect();
        if !lines.is_empty() {
            let title = format!("{} on the {output}", estimator.label);
            let name = format!("{}-radius", estimator.name);
            found.push((name, plot::lines(&title, "radius c", SCALE, &lines, true)?));
        }
    }
    Ok(found)
}
