//! `study relate`: what descriptors say about pictures, and what ν and δ say beyond ψ.

mod correlation;
mod pictures;

pub use correlation::{DRAWS, Relation, bootstrap, explained, partial, relate};
pub use pictures::{PICTURE_MEASURES, PictureMeasure};

use super::{Model, NamedColumn, Provenance, Study, StudyRow, column, seeds, write_page, write_table, write_text};
use crate::acts::describe::{Geometry, Inverter, spread};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator;
use crate::geometry::{ShownIn, shown_in};
use crate::progress::Progress;
use crate::render::Picture;
use crate::render::figure::{Interval, intervals};
use crate::render::page::{Page, number, row};
use crate::table::{Column, Table, Values};
use crate::units::Latents;
use serde::Serialize;
use std::path::Path;

/// The row of this study.
pub const ROW: StudyRow =
    StudyRow::of::<Relations>("relate", "What psi, nu and delta say of pictures, and what nu and delta say beyond psi");

/// Relations that are asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Relations {
    /// Seeds of the samples, as in 0-255 [default: 0-255; 0-63 for a diffusion model]
    #[arg(long, value_name = "LIST")]
    pub seeds: Option<String>,
    /// How geometry is measured.
    #[command(flatten)]
    pub geometry: Geometry,
}

/// The descriptors that the study is about, each with the descriptors held fixed in its partial correlation.
const PARTIAL: [(&str, &[&str]); 3] = [("psi_k", &["nu", "delta"]), ("nu", &["psi_k"]), ("delta", &["psi_k"])];

/// The fewest samples with all values that a study may have.
const FEWEST: usize = 16;

/// Every descriptor that is related, in the order of the report: first those the study is about, then their rivals in
/// reverse order of the table of descriptors, whose cheapest stand last.
fn related() -> Vec<&'static str> {
    let about = |name: &&str| PARTIAL.iter().any(|p| p.0 == *name);
    let (mut all, rivals): (Vec<_>, Vec<_>) = shown_in(ShownIn::Related).map(|d| d.name).partition(about);
    all.extend(rivals.into_iter().rev());
    all
}

/// What the study found.
#[derive(Clone, Debug, Serialize)]
pub struct RelationsReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// Samples that have every descriptor and a picture.
    pub samples: usize,
    /// Name of the estimator of the spectra.
    pub estimator: String,
    /// The k of ψ_k.
    pub model_rank: usize,
    /// Rank correlations of descriptors with measures of the picture.
    pub relations: Vec<Relation>,
    /// What ν and δ explain beyond ψ, measure by measure.
    pub beyond_psi: Vec<Gain>,
    /// The seeds.
    #[serde(skip)]
    pub seeds: Vec<u64>,
    /// Every descriptor of every sample.
    #[serde(skip)]
    pub descriptors: Vec<NamedColumn>,
    /// Every measure of every picture.
    #[serde(skip)]
    pub measures: Vec<NamedColumn>,
    /// Some pictures from the lowest ψ_k to the highest, each with its index among the seeds.
    #[serde(skip)]
    pub pictures: Vec<(Picture, usize)>,
}

/// How much ν and δ explain of a measure's ranks beyond ψ: each number as `[value, low, high]`, with its 95 % interval.
#[derive(Clone, Debug, Serialize)]
pub struct Gain {
    /// Measure of the picture.
    pub measure: String,
    /// Adjusted R² of ψ_k alone.
    #[serde(rename = "r2_psi")]
    pub by_psi: [Option<f64>; 3],
    /// Adjusted R² of ψ_k, ν and δ together.
    #[serde(rename = "r2_all")]
    pub by_all: [Option<f64>; 3],
    /// The difference of the two.
    pub gain: [Option<f64>; 3],
}

impl Relations {
    fn seeds(&self) -> Result<Option<Vec<u64>>> {
        self.seeds.as_ref().map(|text| seeds("seeds", text)).transpose()
    }
}

impl Study for Relations {
    type Report = RelationsReport;

    fn check(&self) -> Result<()> {
        match self.seeds()?.filter(|s| s.len() < FEWEST) {
            Some(few) => Err(Error::key("seeds", format!("expected at least {FEWEST} seeds, found {}", few.len()))),
            None => Ok(()),
        }
    }

    fn seeds_on(&self, model: &Model) -> String {
        self.seeds.clone().unwrap_or_else(|| format!("0-{}", model.usual().relate_seeds - 1))
    }

    fn run(&self, model: &Model, folder: &Path, progress: &Progress, cancel: &Cancel) -> Result<RelationsReport> {
        self.check()?;
        let seeds = self.seeds()?.unwrap_or_else(|| (0..model.usual().relate_seeds).collect());
        let latents = Latents::of_seeds(&seeds, model.latent_width());
        let inverter = model.inverter()?;
        let found = model.describe(&latents, &self.geometry, folder, progress, cancel)?;
        let pictures = generator::pictures(&*model.generator, latents.values())?;
        let descriptors: Vec<NamedColumn> = found.names.iter().map(|n| (n.clone(), found.values(n))).collect();
        let measures = measure(&pictures, &inverter)?;
        let columns = Whole::new(&descriptors, &measures);
        if columns.samples < FEWEST {
            let message = format!(
                "only {} of {} samples have all of psi_k, nu, delta and a picture",
                columns.samples,
                seeds.len()
            );
            return Err(Error::input(&model.folder, message));
        }
        let (relations, beyond_psi) = columns.relations(&measures, progress, cancel)?;
        let shown = spread(column(&descriptors, "psi_k"), 60);
        Ok(RelationsReport {
            model: model.id().to_owned(),
            model_sha256: model.generator.model_sha256().to_owned(),
            samples: columns.samples,
            estimator: found.estimator,
            model_rank: found.model_rank,
            relations,
            beyond_psi,
            pictures: shown.into_iter().filter_map(|i| Some((pictures[i].clone()?, i))).collect(),
            seeds,
            descriptors,
            measures,
        })
    }
}

/// Every measure of every picture, plus the reconstruction error if the model has an encoder.
fn measure(shown: &[Option<Picture>], inverter: &Inverter) -> Result<Vec<NamedColumn>> {
    let mut found = Vec::new();
    for measure in PICTURE_MEASURES {
        let each = shown.iter().map(|p| p.as_ref().map(measure.measure).transpose());
        found.push((measure.name.to_owned(), each.collect::<Result<Vec<_>>>()?));
    }
    if inverter.has_encoder() {
        let spec = inverter.spec();
        let mut errors = Vec::new();
        for part in shown.chunks(16) {
            let mut values = Vec::new();
            for picture in part {
                let blank = Picture::blank(spec.sample_shape[1], spec.sample_shape[2], [0; 3]);
                values.extend(picture.as_ref().unwrap_or(&blank).to_values(spec.sample_shape, spec.range)?);
            }
            let inverted = inverter.invert(&values, &vec![0; part.len()])?;
            errors.extend(part.iter().zip(inverted).map(|(p, i)| p.as_ref().map(|_| i.residual)));
        }
        found.push(("reconstruction_error".to_owned(), errors));
    }
    Ok(found)
}

/// Columns without gaps: only of the samples that have every value.
struct Whole {
    columns: Vec<(String, Vec<f64>)>,
    samples: usize,
}

impl Whole {
    fn new(descriptors: &[NamedColumn], measures: &[NamedColumn]) -> Self {
        // With a descriptor that was not measured no sample is left.
        let missing = vec![None; measures.first().map_or(0, |m| m.1.len())];
        let of = |name: &'static str| match column(descriptors, name) {
            [] => (name, missing.as_slice()),
            values => (name, values),
        };
        let all: Vec<(&str, &[Option<f64>])> =
            related().into_iter().map(of).chain(measures.iter().map(|(n, v)| (n.as_str(), v.as_slice()))).collect();
        let kept: Vec<usize> = (0..missing.len()).filter(|i| all.iter().all(|(_, v)| v[*i].is_some())).collect();
        let dense = |v: &[Option<f64>]| kept.iter().filter_map(|i| v[*i]).collect();
        Self { columns: all.iter().map(|(n, v)| ((*n).to_owned(), dense(v))).collect(), samples: kept.len() }
    }

    fn get(&self, name: &str) -> Option<(&str, &[f64])> {
        self.columns.iter().find(|(n, _)| n == name).map(|(n, v)| (n.as_str(), v.as_slice()))
    }

    fn relations(
        &self,
        measures: &[NamedColumn],
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<(Vec<Relation>, Vec<Gain>)> {
        let pairs: Vec<(&str, &[&str])> = related().into_iter().map(|d| (d, &[][..])).chain(PARTIAL).collect();
        let bar = progress.start("bootstrap", (measures.len() * (pairs.len() + 1)) as u64);
        let (mut relations, mut gains) = (Vec::new(), Vec::new());
        for measure in measures.iter().filter_map(|m| self.get(&m.0)) {
            for (descriptor, given) in &pairs {
                cancel.check(|| "the measured tiles are kept".into())?;
                let given: Vec<_> = given.iter().filter_map(|g| self.get(g)).collect();
                relations.extend(self.get(descriptor).map(|d| relate(d, measure, &given)));
                bar.advance(1);
            }
            gains.extend(self.gain(measure));
            bar.advance(1);
        }
        bar.finish();
        Ok((relations, gains))
    }

    fn gain(&self, measure: (&str, &[f64])) -> Option<Gain> {
        let of = |name| self.get(name).map(|c| c.1);
        let all = [measure.1, of("psi_k")?, of("nu")?, of("delta")?];
        Some(Gain {
            measure: measure.0.to_owned(),
            by_psi: bootstrap(&all, 0, |c| explained(c[0], &c[1..2])),
            by_all: bootstrap(&all, 0, |c| explained(c[0], &c[1..])),
            gain: bootstrap(&all, 0, |c| Some(explained(c[0], &c[1..])? - explained(c[0], &c[1..2])?)),
        })
    }
}

fn interval(v: [Option<f64>; 3]) -> String {
    match v {
        [Some(v), Some(a), Some(b)] => format!("{v:.3} [{a:.3}, {b:.3}]"),
        [Some(v), ..] => format!("{v:.3}"),
        _ => "-".into(),
    }
}

/// A relation as one line of an interval plot.
fn line(r: &Relation) -> Interval {
    let label = match r.given.is_empty() {
        true => r.descriptor.clone(),
        false => format!("{} given {}", r.descriptor, r.given.join(", ")),
    };
    let [rho, low, high] = [r.rho, r.low, r.high].map(|v| v.unwrap_or(f64::NAN));
    (label, usize::from(!r.given.is_empty()), rho, low, high)
}

impl RelationsReport {
    fn relation_rows(&self) -> Vec<Vec<String>> {
        let of = |r: &Relation| {
            let given = if r.given.is_empty() { "-".to_owned() } else { r.given.join(", ") };
            row([&r.measure, &r.descriptor, &given, &interval([r.rho, r.low, r.high])])
        };
        let head = row(["measure", "descriptor", "given", "Spearman [95 %]"]);
        [head].into_iter().chain(self.relations.iter().map(of)).collect()
    }

    fn gain_rows(&self) -> Vec<Vec<String>> {
        let of = |g: &Gain| row([&g.measure, &interval(g.by_psi), &interval(g.by_all), &interval(g.gain)]);
        let head = row(["measure", "adjusted R² of psi_k", "with nu and delta", "gain [95 %]"]);
        [head].into_iter().chain(self.beyond_psi.iter().map(of)).collect()
    }

    fn table(&self) -> Result<Table> {
        let seeds = Values::U64(self.seeds.iter().copied().map(Some).collect());
        let mut columns = vec![Column::new("seed", seeds)];
        let all = self.descriptors.iter().chain(&self.measures);
        columns.extend(all.map(|(name, v)| Column::new(name.clone(), Values::F64(v.clone()))));
        Table::new(columns)
    }
}

impl super::Report for RelationsReport {
    fn rows(&self) -> Vec<Vec<String>> {
        [self.relation_rows(), vec![Vec::new()], self.gain_rows()].concat()
    }

    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        let id = &self.model;
        let mut page = Page::new(&format!("Descriptors and pictures of {id}"));
        page.section(
            "What psi, nu and delta say of pictures",
            &format!(
                "{} of {} samples, by {}, model rank {}. Rank correlations with 95 % bootstrap intervals of 1,000 draws. \
                 Partial ones hold other descriptors fixed: nu and delta given psi_k show what they say that psi_k does not.",
                self.samples, self.seeds.len(), self.estimator, self.model_rank
            ),
        );
        for (name, _) in &self.measures {
            let lines: Vec<Interval> = self.relations.iter().filter(|r| r.measure == *name).map(line).collect();
            let title = format!("{name} of {id}");
            let svg = intervals(&title, "Spearman's correlation", [-1.0, 1.0], &["plain", "partial"], &lines);
            write_text(folder, &format!("{name}.svg"), &svg)?;
            page.plot(&svg);
        }
        page.section("Beyond psi", "Share of the variance of a measure's ranks that psi_k explains, that psi_k, nu and delta explain together, and the difference (adjusted R²). Resampling repeats rows, which flatters larger models a little: where a gain is small, the partial correlations above decide.");
        page.table(&self.gain_rows());
        page.section("All correlations", "");
        page.table(&self.relation_rows());
        let psi = column(&self.descriptors, "psi_k");
        let caption = |i: usize| format!("seed {}: {}", self.seeds[i], number(psi[i], 2));
        let sheet = self.pictures.iter().map(|(picture, i)| (picture.clone(), caption(*i)));
        page.section("From typical to novel", "Pictures in the order of psi_k, lowest first.");
        page.pictures(&sheet.collect::<Vec<_>>())?;
        let metadata = [("model", id.as_str()), ("model_sha256", &self.model_sha256)];
        write_table(folder, "relate", &self.table()?, &metadata)?;
        write_page(folder, page, self, provenance)
    }
}
