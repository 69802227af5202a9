//! Evaluating generated showers of a calorimeter against reference ones, as the CaloChallenge does.

use super::domain::{Calorimeter, Constraint, Domain, World};
use super::shower_plots::ShowerPlots;
use super::told_apart::{ClassifierKind, low_level, told_apart};
use super::{BLOCK, SetNote, figure};
use crate::acts::study::{Origin, Provenance, Scope};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::evaluate::calorimeter::{
    FpdProtocol, Geometry, HighLevel, KpdProtocol, Published, SOURCE, Separation, ShowerFile, Showers, Simulator,
    Spectrum, classifier_input, fpd, geometry, kpd, published, separations,
};
use crate::evaluate::{Features, NEIGHBOURHOODS, Sets, Settings};
use crate::progress::Progress;
use crate::render::page::{Page, row};
use crate::store;
use crate::table::{Column, Table, Values};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What can be asked for. Each field is a flag too.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct ShowerEvaluation {
    /// Reference showers, as the CaloChallenge has them: an HDF5 file of incident_energies and showers
    #[arg(value_name = "REFERENCE")]
    pub reference: PathBuf,
    /// Generated showers
    #[arg(value_name = "GENERATED")]
    pub generated: PathBuf,
    /// The detector: photons, pions, electrons, electrons-fine, or the challenge's binning as an .xml file
    #[arg(long, value_name = "NAME|FILE", default_value = "photons")]
    pub geometry: String,
    /// Which classifier tells the two sets apart
    #[arg(long, value_enum, value_name = "WHICH", default_value = "quick")]
    pub classifier: ClassifierKind,
    /// Key of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// What can be asked of the simulator. Each field is a flag too.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Simulation {
    /// The detector: photons, pions, electrons, electrons-fine, or the challenge's binning as an .xml file
    #[arg(value_name = "DETECTOR")]
    pub geometry: String,
    /// How many showers
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10_000)]
    pub count: usize,
    /// Number of the first: the same number and key, the same shower
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub first: u64,
    /// Key of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl Simulation {
    /// Makes the showers and writes them as the challenge's HDF5 file.
    ///
    /// # Errors
    /// [`Error::Key`] for a detector that is not known or a count that cannot be; those of the disk.
    pub fn run(&self, file: &Path) -> Result<Showers> {
        let most = crate::limits::DATASET_BYTES;
        let geometry = detector(&self.geometry)?;
        let bytes = (self.count as u64).saturating_mul(4 * geometry.voxels() as u64);
        if self.count == 0 || bytes > most {
            let message = format!("expected 1 to {}, found {}", most / (4 * geometry.voxels() as u64), self.count);
            return Err(Error::key("count", message));
        }
        let energies = Spectrum::of(&geometry).energies(self.first, self.count, self.seed);
        let showers = Simulator::new(geometry)?.showers(&energies, self.first, self.seed)?;
        showers.write(file)?;
        Ok(showers)
    }
}

fn detector(name: &str) -> Result<Geometry> {
    match name.ends_with(".xml") {
        true => Geometry::read(Path::new(name), None, None),
        false => geometry(name),
    }
}

/// A value of the challenge's table.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it is called.
    pub name: String,
    /// Its value.
    pub value: Option<f64>,
    /// Its error, or half of its 95 % interval.
    pub error: Option<f64>,
    /// What two samples of one distribution would give.
    pub floor: Option<f64>,
    /// What one must know of it.
    pub note: Option<String>,
}

/// What was found of a set of showers.
#[derive(Clone, Debug, Serialize)]
pub struct ShowerReport {
    /// What samples are, and what they are compared by.
    pub world: World,
    /// The reference.
    pub reference: SetNote,
    /// The generated showers.
    pub generated: SetNote,
    /// The detector.
    pub geometry: String,
    /// FPD, KPD, AUC and JSD, precision, recall, density and coverage.
    pub figures: Vec<Figure>,
    /// Separation powers of the high-level features.
    pub separations: Vec<Figure>,
    /// Showers that break no rule of physics, and how many break which.
    pub physics: Vec<Figure>,
    /// E_tot/E_inc by incident energy: from MeV, showers, outside the band, mean, spread.
    pub response: Vec<[f64; 5]>,
    /// Figures that others have published for this detector, not measured here: name, KPD and FPD times 1,000, AUC low and high.
    pub published: Vec<(String, [f64; 2], [Option<f64>; 2])>,
    #[serde(skip)]
    plots: ShowerPlots,
}

/// Rows of each side that precision and its like compare, as in the challenge.
const NEIGHBOURS: usize = 10_000;

impl ShowerEvaluation {
    /// Reads and compares.
    ///
    /// # Errors
    /// Those of reading the files; [`Error::Key`] for too few showers.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<ShowerReport> {
        let geometry = detector(&self.geometry)?;
        let real = Side::read(&self.reference, &geometry)?;
        let made = Side::read(&self.generated, &geometry)?;
        let [x, y] = [classifier_input(&real.features)?, classifier_input(&made.features)?];
        let f = fpd(&x, &y, &FpdProtocol::default(), self.seed)?;
        let k = kpd(&x, &y, &KpdProtocol::default(), self.seed)?;
        let thousand = |name: &str, value: f64, error: f64, floor: f64, note: Option<String>| Figure {
            name: name.to_owned(),
            value: Some(1e3 * value),
            error: Some(1e3 * error),
            floor: Some(1e3 * floor),
            note,
        };
        let mut figures = vec![
            thousand("FPD · 10³", f.value, f.error, f.floor, f.warning),
            thousand("KPD · 10³", k.value, k.error, k.floor, k.warning),
        ];
        if let Some(protocol) = self.classifier.protocol() {
            let voxels = [&real, &made].map(|side| low_level(&side.showers));
            for (name, x, y) in [("high", &x, &y), ("low", &voxels[0], &voxels[1])] {
                let found = told_apart(x, y, &protocol, (self.seed, name), device, (progress, cancel))?;
                let one = |what: &str, [value, error]: [f64; 2], floor: f64, note: Option<String>| Figure {
                    name: format!("{what} {name}"),
                    value: Some(value),
                    error: Some(error),
                    floor: Some(floor),
                    note,
                };
                figures.push(one("AUC", found.auc, 0.5, Some(format!("{}; a lower bound", found.how))));
                figures.push(one("JSD", found.jsd, 0.0, None));
            }
        }
        figures.extend(self.neighbours(&real, &made));
        let band = Simulator::new(geometry.clone())?.band();
        let world = Calorimeter { geometry: &geometry, band, classified: self.classifier.protocol().is_some() };
        let checked = world.check(&made.showers)?;
        let plots = ShowerPlots::of([(&real.showers, &real.features), (&made.showers, &made.features)], &geometry)?;
        Ok(ShowerReport {
            plots,
            reference: real.note,
            generated: made.note,
            figures,
            separations: separations(&real.features, &made.features, &geometry)?.into_iter().map(separation).collect(),
            physics: world.counted(&checked).into_iter().map(physics).collect(),
            world: world.described(),
            response: checked
                .groups
                .iter()
                .map(|g| [g.from, g.showers as f64, g.outside as f64, g.mean, g.spread])
                .collect(),
            published: published(&geometry.name).map(quoted).collect(),
            geometry: geometry.name,
        })
    }

    /// Precision, recall, density and coverage on the logarithms of voxels.
    fn neighbours(&self, real: &Side, made: &Side) -> Vec<Figure> {
        let [a, b] = [real, made].map(|side| logarithms(&side.showers));
        let sets = Sets::new(&a, &b);
        let settings = Settings { seed: self.seed, nearest: 5, resamples: 200, block: BLOCK };
        NEIGHBOURHOODS
            .iter()
            .map(|metric| {
                let measured = (metric.measure)(&sets, &settings);
                let (value, error, note) = match measured {
                    Ok(found) => (Some(found.value), Some((found.interval[1] - found.interval[0]) / 2.0), None),
                    Err(e) => (None, None, Some(format!("not measured: {e}"))),
                };
                Figure { name: metric.name.to_owned(), value, error, floor: None, note }
            })
            .collect()
    }
}

struct Side {
    note: SetNote,
    showers: Showers,
    features: HighLevel,
}

impl Side {
    fn read(path: &Path, geometry: &Geometry) -> Result<Self> {
        let file = ShowerFile::open(path, geometry)?;
        let bytes = (file.len() as u64).saturating_mul(4 * geometry.voxels() as u64);
        if bytes > crate::limits::DATASET_BYTES {
            let most = crate::limits::DATASET_BYTES >> 20;
            return Err(Error::input(path, format!("{} MiB of voxels, at most {most} are read", bytes >> 20)));
        }
        let showers = file.rows(0, file.len())?;
        let features = HighLevel::of(&showers, geometry)?;
        let hashed: Vec<u8> = showers.voxels.iter().flat_map(|v| v.to_le_bytes()).collect();
        let note = SetNote { path: path.to_owned(), samples: showers.len(), sha256: store::sha256_hex(&hashed) };
        Ok(Self { note, showers, features })
    }
}

/// log₁₀ of the voxels of the first showers, with 0.1 MeV in place of 0.
fn logarithms(showers: &Showers) -> Features {
    let count = showers.len().min(NEIGHBOURS);
    let log = |v: &f32| if *v > 0.0 { v.log10() } else { -1.0 };
    Features { values: showers.voxels[..count * showers.width].iter().map(log).collect(), width: showers.width }
}

fn separation(s: Separation) -> Figure {
    let [reference, generated] = s.outside;
    let mut notes = Vec::new();
    if reference + generated > 0.0 {
        notes.push(format!("{:.2} % and {:.2} % lie outside the bins", 100.0 * reference, 100.0 * generated));
    }
    if !s.official {
        notes.push("with bins of this program".to_owned());
    }
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    Figure { name: s.feature, value: s.value, error: s.error, floor: s.floor, note }
}

fn physics(c: Constraint) -> Figure {
    Figure { name: c.name, value: Some(c.share), error: Some(c.error), floor: None, note: Some(c.note) }
}

fn quoted(p: &Published) -> (String, [f64; 2], [Option<f64>; 2]) {
    (p.model.to_owned(), [p.kpd[0], p.fpd[0]], [p.auc_low, p.auc_high])
}

impl ShowerReport {
    /// The printed tables, header first; an empty row separates them.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = self.table("metric", &self.figures);
        rows.push(Vec::new());
        rows.extend(self.table("separation power", &self.separations));
        rows.push(Vec::new());
        rows.extend(self.table("showers", &self.physics));
        rows.push(Vec::new());
        rows.extend(self.others());
        rows
    }

    fn table(&self, what: &str, figures: &[Figure]) -> Vec<Vec<String>> {
        let text = |v: Option<f64>| v.map_or("-".to_owned(), figure);
        let head = row([what, "value", "error", "of the same", "note"]);
        let one = |f: &Figure| {
            vec![f.name.clone(), text(f.value), text(f.error), text(f.floor), f.note.clone().unwrap_or_default()]
        };
        std::iter::once(head).chain(figures.iter().map(one)).collect()
    }

    fn others(&self) -> Vec<Vec<String>> {
        let text = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.3}"));
        let head = row(["published by others", "FPD · 10³", "KPD · 10³", "AUC low", "AUC high"]);
        let one = |(name, [kpd, fpd], [low, high]): &(String, [f64; 2], [Option<f64>; 2])| {
            vec![name.clone(), format!("{fpd:.2}"), format!("{kpd:.3}"), text(*low), text(*high)]
        };
        std::iter::once(head).chain(self.published.iter().map(one)).collect()
    }

    fn parquet(&self) -> Result<Table> {
        let parts = [("metric", &self.figures), ("separation", &self.separations), ("physics", &self.physics)];
        let all = || parts.iter().flat_map(|(part, list)| list.iter().map(move |f| (*part, f)));
        let number = |of: &dyn Fn(&Figure) -> Option<f64>| Values::F64(all().map(|(_, f)| of(f)).collect());
        Table::new(vec![
            Column::new("part", Values::Text(all().map(|(part, _)| Some(part.to_owned())).collect())),
            Column::new("name", Values::Text(all().map(|(_, f)| Some(f.name.clone())).collect())),
            Column::new("value", number(&|f| f.value)),
            Column::new("error", number(&|f| f.error)),
            Column::new("floor", number(&|f| f.floor)),
            Column::new("note", Values::Text(all().map(|(_, f)| f.note.clone()).collect())),
        ])
    }

    /// Writes `showers.parquet`, `showers.csv`, `report.html` and `study.json`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, origin: &Origin, asked: &ShowerEvaluation, device: &str) -> Result<Provenance> {
        let settings = match crate::acts::study::json(asked)? {
            serde_json::Value::Object(settings) => settings,
            _ => serde_json::Map::new(),
        };
        let provenance = Provenance::new(origin, ("", ""), None, device, Scope { settings, ..Scope::default() });
        let mut page = Page::new("Generated showers beside reference ones");
        let text = format!(
            "{} showers of {} against {} of {}, detector {}. FPD and KPD compare the features of the challenge's classifier; \
             \"of the same\" is what two samples of one distribution would give at these numbers. AUC and JSD are of a classifier between \
             the two sets, on those features (high) and on voxels (low).",
            self.generated.samples,
            shown(&self.generated.path),
            self.reference.samples,
            shown(&self.reference.path),
            self.geometry
        );
        page.section("Metrics", &text);
        page.table(&self.table("metric", &self.figures));
        self.plots.onto(&mut page)?;
        page.section("Separation powers", "0 for equal histograms, 1 for histograms that do not overlap.");
        page.table(&self.table("separation power", &self.separations));
        page.section("Physics", "Shares of the generated showers.");
        page.table(&self.table("showers", &self.physics));
        let head = row(["E_inc from, MeV", "showers", "outside the band", "mean E_tot/E_inc", "spread"]);
        let one = |r: &[f64; 5]| {
            vec![format!("{}", r[0]), format!("{}", r[1]), format!("{}", r[2]), figure(r[3]), figure(r[4])]
        };
        page.table(&std::iter::once(head).chain(self.response.iter().map(one)).collect::<Vec<_>>());
        page.section("Published by others", &format!("Not measured here: {SOURCE}."));
        page.table(&self.others());
        page.section("What was compared", self.world.about);
        page.table(&self.world.rows());
        crate::acts::study::write_table(folder, "showers", &self.parquet()?, &[])?;
        crate::acts::study::write_page(folder, page, self, &provenance)?;
        Ok(provenance)
    }
}
