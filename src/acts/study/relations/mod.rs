//! `study relate`: what descriptors say about pictures, what ν and δ say beyond ψ, and how much of each is plain looks:
//! brightness, contrast, edges, the size of the file, the class.

mod brightness;
mod correlation;
mod pictures;
mod significance;

pub use brightness::Brightness;
pub use correlation::{DRAWS, Relation, bootstrap, bootstrap_groups, explained, partial, relate};
pub use pictures::{LOOKS, PICTURE_MEASURES, PictureMeasure, looks};
pub use significance::{holm, p_value};

use super::{Model, NamedColumn, Provenance, Study, StudyRow, column, seeds, write_page, write_table, write_text};
use crate::acts::describe::{Geometry, Inverter, spread};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::{self, Classifier, find_model};
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
    /// Tells the class of each picture: folder of a card of the family classifier
    #[arg(long, value_name = "DIR")]
    pub classifier: Option<String>,
    /// How geometry is measured.
    #[command(flatten)]
    pub geometry: Geometry,
}

/// The descriptors that the study is about, each with the descriptors held fixed in its partial correlation.
const PARTIAL: [(&str, &[&str]); 3] = [("psi_k", &["nu", "delta"]), ("nu", &["psi_k"]), ("delta", &["psi_k"])];

/// Name of the column of classes.
const CLASS: &str = "class";
/// Samples below which a class is not told apart: of eight, one draw in 3,000 has none.
const RARE: usize = 8;

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
    /// Samples of each class, by a classifier; empty without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<usize>,
    /// Rank correlations of descriptors with measures of the picture.
    pub relations: Vec<Relation>,
    /// How many correlations were looked at: those by whose number the p-values are adjusted.
    pub correlations: usize,
    /// How much of each descriptor is plain looks.
    pub looks: Vec<Share>,
    /// What ν and δ explain beyond ψ, measure by measure.
    pub beyond_psi: Vec<Gain>,
    /// The seeds.
    #[serde(skip)]
    pub seeds: Vec<u64>,
    /// Every descriptor of every sample.
    #[serde(skip)]
    pub descriptors: Vec<NamedColumn>,
    /// Every measure of every picture, and its class, if there is a classifier.
    #[serde(skip)]
    pub measures: Vec<NamedColumn>,
    /// Some pictures from the lowest ψ_k to the highest, each with its index among the seeds.
    #[serde(skip)]
    pub pictures: Vec<(Picture, usize)>,
}

/// How much of a descriptor's ranks some looks of the picture explain.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// Descriptor.
    pub descriptor: String,
    /// What explains it: measures of the picture, or its class.
    pub by: Vec<String>,
    /// Adjusted R² as `[value, low, high]`, with its 95 % interval.
    pub r2: [Option<f64>; 3],
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
        let mut measures = measure(&pictures, &inverter)?;
        if let Some(name) = &self.classifier {
            let classifier = Classifier::load(&find_model(name)?, &model.device)?;
            measures.push((CLASS.to_owned(), classes(&pictures, &classifier)?));
        }
        let columns = Whole::new(&descriptors, &measures);
        if columns.samples < FEWEST {
            let message = format!(
                "only {} of {} samples have all of psi_k, nu, delta and a picture",
                columns.samples,
                seeds.len()
            );
            return Err(Error::input(&model.folder, message));
        }
        let (mut relations, beyond_psi) = columns.relations(&measures, progress, cancel)?;
        let adjusted = holm(&relations.iter().map(|r| r.p).collect::<Vec<_>>());
        relations.iter_mut().zip(&adjusted).for_each(|(r, p)| r.p_holm = *p);
        let shown = spread(column(&descriptors, "psi_k"), 60);
        Ok(RelationsReport {
            model: model.id().to_owned(),
            model_sha256: model.generator.model_sha256().to_owned(),
            samples: columns.samples,
            estimator: found.estimator,
            model_rank: found.model_rank,
            classes: columns.classes(),
            correlations: adjusted.iter().flatten().count(),
            looks: columns.shares(),
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

/// The class of every picture.
fn classes(shown: &[Option<Picture>], classifier: &Classifier) -> Result<Vec<Option<f64>>> {
    let whole: Vec<&Picture> = shown.iter().flatten().collect();
    let mut found = classifier.classify(&whole)?.into_iter();
    Ok(shown.iter().map(|p| p.as_ref().and_then(|_| found.next().flatten()).map(|c| c as f64)).collect())
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
        let measures: Vec<_> = measures.iter().filter(|m| m.0 != CLASS).filter_map(|m| self.get(&m.0)).collect();
        let bar = progress.start("bootstrap", (measures.len() * (pairs.len() + 2)) as u64);
        let (mut relations, mut gains) = (Vec::new(), Vec::new());
        let classes = self.indicators();
        for measure in measures {
            for (descriptor, given) in &pairs {
                cancel.check(|| "the measured tiles are kept".into())?;
                let given: Vec<_> = given.iter().filter_map(|g| self.get(g)).collect();
                relations.extend(self.get(descriptor).map(|d| relate(d, measure, &given)));
                bar.advance(1);
            }
            let others: Vec<_> = LOOKS.iter().filter(|l| **l != measure.0).filter_map(|l| self.get(l)).collect();
            let classes: Vec<(&str, &[f64])> = classes.iter().map(|c| (CLASS, c.as_slice())).collect();
            for given in [others, classes].iter().filter(|g| !g.is_empty()) {
                let of = |(name, _): &(&str, _)| self.get(name).map(|d| relate(d, measure, given));
                relations.extend(PARTIAL.iter().filter_map(of));
            }
            bar.advance(1);
            gains.extend(self.gain(measure));
            bar.advance(1);
        }
        bar.finish();
        Ok((relations, gains))
    }

    /// Samples of each class, from class 0 to the greatest that occurs.
    fn classes(&self) -> Vec<usize> {
        let found = self.get(CLASS).map_or(&[][..], |c| c.1);
        let count = found.iter().map(|c| *c as usize + 1).max().unwrap_or(0);
        (0..count).map(|class| found.iter().filter(|c| **c as usize == class).count()).collect()
    }

    /// A column of zeros and ones for each class but one, which the others are told from. Classes of fewer than [`RARE`]
    /// samples are that one too: of those a draw may have none.
    fn indicators(&self) -> Vec<Vec<f64>> {
        let Some((_, found)) = self.get(CLASS) else { return Vec::new() };
        let counts = self.classes();
        let mut common: Vec<usize> = (0..counts.len()).filter(|c| counts[*c] >= RARE).collect();
        if counts.iter().all(|n| *n == 0 || *n >= RARE) {
            common.pop();
        }
        common.iter().map(|c| found.iter().map(|f| f64::from(u8::from(*f == *c as f64))).collect()).collect()
    }

    /// How much of each descriptor is brightness, all plain looks together, and the class.
    fn shares(&self) -> Vec<Share> {
        let looks: Vec<_> = LOOKS.iter().filter_map(|l| self.get(l)).collect();
        let classes = self.indicators();
        let classes: Vec<(&str, &[f64])> = classes.iter().map(|c| (CLASS, c.as_slice())).collect();
        let sets = [looks[..looks.len().min(1)].to_vec(), looks, classes];
        let share = |name: &str, by: &[(&str, &[f64])]| {
            let columns: Vec<&[f64]> = [self.get(name)?.1].into_iter().chain(by.iter().map(|b| b.1)).collect();
            let r2 = bootstrap(&columns, 0, |c| explained(c[0], &c[1..]));
            let mut by: Vec<String> = by.iter().map(|b| b.0.to_owned()).collect();
            by.dedup();
            Some(Share { descriptor: name.to_owned(), by, r2 })
        };
        let sets = sets.iter().filter(|by| !by.is_empty());
        sets.flat_map(|by| PARTIAL.iter().filter_map(|(name, _)| share(name, by)).collect::<Vec<_>>()).collect()
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
            let p = r.p_holm.map_or("-".to_owned(), |p| if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") });
            row([&r.measure, &r.descriptor, &given, &interval([r.rho, r.low, r.high]), &p])
        };
        let head = row(["measure", "descriptor", "given", "Spearman [95 %]", "p (Holm)"]);
        [head].into_iter().chain(self.relations.iter().map(of)).collect()
    }

    fn gain_rows(&self) -> Vec<Vec<String>> {
        let of = |g: &Gain| row([&g.measure, &interval(g.by_psi), &interval(g.by_all), &interval(g.gain)]);
        let head = row(["measure", "adjusted R² of psi_k", "with nu and delta", "gain [95 %]"]);
        [head].into_iter().chain(self.beyond_psi.iter().map(of)).collect()
    }

    fn look_rows(&self) -> Vec<Vec<String>> {
        let of = |s: &Share| row([&s.descriptor, &s.by.join(", "), &interval(s.r2)]);
        let head = row(["descriptor", "explained by", "adjusted R² [95 %]"]);
        [head].into_iter().chain(self.looks.iter().map(of)).collect()
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
        let tables = [self.relation_rows(), self.gain_rows(), self.look_rows()];
        tables.join(&[Vec::new()][..])
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
        for (name, _) in self.measures.iter().filter(|m| m.0 != CLASS) {
            let lines: Vec<Interval> = self.relations.iter().filter(|r| r.measure == *name).map(line).collect();
            let title = format!("{name} of {id}");
            let svg = intervals(&title, "Spearman's correlation", [-1.0, 1.0], &["plain", "partial"], &lines);
            write_text(folder, &format!("{name}.svg"), &svg)?;
            page.plot(&svg);
        }
        page.section("Beyond psi", "Share of the variance of a measure's ranks that psi_k explains, that psi_k, nu and delta explain together, and the difference (adjusted R²). Resampling repeats rows, which flatters larger models a little: where a gain is small, the partial correlations above decide.");
        page.table(&self.gain_rows());
        let classes = match self.classes.as_slice() {
            [] => String::new(),
            counts => format!(
                " Classes by a classifier, from class 0 on: {} samples; those of fewer than {RARE} count as one class.",
                counts.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
            ),
        };
        page.section(
            "How much is plain looks",
            &format!("Share of the variance of a descriptor's ranks that brightness (ink) explains, and that all plain looks explain together (adjusted R²).{classes}"),
        );
        page.table(&self.look_rows());
        page.section(
            "All correlations",
            &format!(
                "{} correlations were looked at. The intervals are for each by itself; the p-values, by Fisher's z, are \
                 adjusted for their number by Holm's method: of those below 0.05 none is false, but for one chance in twenty.",
                self.correlations
            ),
        );
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
