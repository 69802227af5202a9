//! What an audit found, in print and in a folder.

use super::audit::{Audited, Verdict};
use super::beside::CALIBRATED;
use crate::acts::study::{Provenance, Report, write_page, write_table};
use crate::error::Result;
use crate::evaluate::{Detection, wilson};
use crate::render::Picture;
use crate::render::grid::PAPER;
use crate::render::page::{Page, number, row};
use crate::render::png::{PngText, encode};
use crate::store;
use crate::table::{Column, Table, Values};
use serde::Serialize;
use std::path::Path;

/// Samples with their nearest training pictures that the page shows: those with the lowest dimension first.
const SHOWN: usize = 16;
/// Pixels between the pictures of the sheet.
const GAP: usize = 4;

/// What was found.
#[derive(Clone, Debug)]
pub struct AuditReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// SHA-256 of the training pictures.
    pub train_sha256: String,
    /// Number of training pictures.
    pub train: usize,
    /// Noise level of the model's dimension.
    pub sigma: f64,
    /// Training pictures by which the data's dimension was measured.
    pub neighbours: usize,
    /// The median of the data's dimension.
    pub usual: f64,
    /// Below this the model's dimension is low.
    pub low: f64,
    /// The samples.
    pub samples: Vec<Audited>,
    /// The nearest training picture of each.
    pub nearest: Vec<Picture>,
}

/// A number as a detector of copies.
#[derive(Clone, Debug, Serialize)]
pub struct Detector {
    /// What it is.
    pub name: &'static str,
    /// How well it tells copies from the rest; `None` where it could not be measured on some sample, or one of the groups is empty.
    pub detection: Option<Detection>,
}

/// A detector: its name, and its value at a sample, greater for copies.
type DetectorRow = (&'static str, fn(&Audited) -> Option<f64>);

/// Every detector.
static DETECTORS: &[DetectorRow] = &[
    ("model's dimension", |s| Some(-s.model.value)),
    ("model's dimension over the data's", |s| {
        let data = s.beside.dimension.as_ref().ok()?.value;
        (data > 0.0).then_some(-s.model.value / data)
    }),
    ("denoising error", |s| s.denoising.map(|v| -v)),
    ("guidance norm", |s| s.guidance),
    ("norm of the noise", |s| s.noise.map(|v| -v)),
    ("bytes of the PNG", |s| Some(-(s.png as f64))),
    ("model's dimension over PNG bytes", |s| Some(-s.model.value / s.png as f64)),
];

impl AuditReport {
    /// Whether a sample is labelled a copy, by its calibrated distance; `None` where there is none.
    fn is_copy(sample: &Audited) -> Option<bool> {
        sample.beside.calibrated.map(|c| c < CALIBRATED)
    }

    /// How well each detector agrees with the labels.
    pub fn detectors(&self) -> Vec<Detector> {
        let of = |(name, value): &DetectorRow| {
            let mut groups = [Vec::new(), Vec::new()];
            let mut whole = true;
            for sample in &self.samples {
                match (Self::is_copy(sample), value(sample).filter(|v| v.is_finite())) {
                    (Some(copy), Some(value)) => groups[usize::from(!copy)].push(value),
                    _ => whole = false,
                }
            }
            let detection = if whole { Detection::of(&groups[0], &groups[1]) } else { None };
            Detector { name, detection }
        };
        DETECTORS.iter().map(of).collect()
    }

    /// Numbers of samples labelled copies, labelled others, and without a label.
    pub fn labels(&self) -> [usize; 3] {
        let count = |wanted: Option<bool>| self.samples.iter().filter(|s| Self::is_copy(s) == wanted).count();
        [count(Some(true)), count(Some(false)), count(None)]
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.samples.iter().filter(|s| s.verdict == verdict).count()
    }

    /// The verdicts counted, in one line.
    pub fn conclusion(&self) -> String {
        let n = self.samples.len();
        let all = [Verdict::Free, Verdict::Overfitted, Verdict::DataDriven, Verdict::Unknown];
        let counts: Vec<String> = all.iter().map(|v| format!("{} {}", self.count(*v), v.name())).collect();
        let copied = self.count(Verdict::Overfitted) + self.count(Verdict::DataDriven);
        let share = copied as f64 / n.max(1) as f64;
        let [low, high] = wilson(share, n).map(|v| 100.0 * v);
        let hint = match self.count(Verdict::Unknown) > 0 {
            true => {
                "; where the model's dimension is unknown, another noise level or held-out pictures to compare with may help"
            }
            false => "",
        };
        format!(
            "of {n} samples {}; copied: {:.1} % (95 % interval {low:.1} to {high:.1}){hint}",
            counts.join(", "),
            100.0 * share
        )
    }

    /// The printed table of detectors, header first; `None` where one of the groups is empty.
    pub fn detector_rows(&self) -> Option<Vec<Vec<String>>> {
        let [copies, others, _] = self.labels();
        if copies == 0 || others == 0 {
            return None;
        }
        let line = |d: &Detector| match &d.detection {
            Some(found) => {
                let [low, high] = found.auc_interval;
                let [least, most] = found.tpr_interval;
                let auc = format!("{:.3} ({low:.3} to {high:.3})", found.auc);
                row([d.name, &auc, &format!("{:.3} ({least:.3} to {most:.3})", found.tpr)])
            }
            None => row([d.name, "-", "not defined at every sample"]),
        };
        let head = row(["detector", "AUC (95 %)", "found at 1 % false alarms (95 %)"]);
        Some([head].into_iter().chain(self.detectors().iter().map(line)).collect())
    }

    /// Some samples, each above the training picture nearest to it.
    fn sheet(&self, shown: &[usize]) -> Picture {
        let pairs: Vec<[Picture; 2]> =
            shown.iter().map(|i| [&self.samples[*i].picture, &self.nearest[*i]].map(|p| large(p).to_rgb())).collect();
        let [height, width] = pairs.first().map_or([0; 2], |p| [p[0].height + GAP, p[0].width + GAP]);
        let mut sheet = Picture::blank(2 * height + GAP, pairs.len() * width + GAP, PAPER);
        for (column, pair) in pairs.iter().enumerate() {
            pair.iter().enumerate().for_each(|(row, p)| sheet.paste(p, GAP + row * height, GAP + column * width));
        }
        sheet
    }

    fn table(&self) -> Result<Table> {
        type Of<T> = fn(&Audited) -> Option<T>;
        let numbers = |of: Of<f64>| Values::F64(self.samples.iter().map(|s| of(s).filter(|v| v.is_finite())).collect());
        let texts = |of: Of<String>| Values::Text(self.samples.iter().map(of).collect());
        let whole = |of: fn(&Audited) -> u64| Values::U64(self.samples.iter().map(|s| Some(of(s))).collect());
        Table::new(vec![
            Column::new("seed", whole(|s| s.seed)),
            Column::new("verdict", texts(|s| Some(s.verdict.name().to_owned()))),
            Column::new("dimension", numbers(|s| Some(s.model.value))),
            Column::new("stderr", numbers(|s| Some(s.model.stderr))),
            Column::new("data_dimension", numbers(|s| s.beside.dimension.as_ref().ok().map(|d| d.value))),
            Column::new("data_low", numbers(|s| s.beside.dimension.as_ref().ok().map(|d| d.interval[0]))),
            Column::new("data_high", numbers(|s| s.beside.dimension.as_ref().ok().map(|d| d.interval[1]))),
            Column::new("nearest", whole(|s| s.beside.nearest as u64)),
            Column::new("copies", whole(|s| s.beside.copies as u64)),
            Column::new("distance", numbers(|s| Some(s.beside.distance))),
            Column::new("calibrated", numbers(|s| s.beside.calibrated)),
            Column::new("denoising", numbers(|s| s.denoising)),
            Column::new("guidance", numbers(|s| s.guidance)),
            Column::new("noise", numbers(|s| s.noise)),
            Column::new("png", whole(|s| s.png as u64)),
            Column::new("note", texts(note)),
        ])
    }
}

/// A picture large enough to be seen.
fn large(picture: &Picture) -> Picture {
    picture.enlarge((96 / picture.height.max(1)).max(1))
}

/// What has to be known about a sample's numbers.
fn note(sample: &Audited) -> Option<String> {
    sample.note.clone().or_else(|| sample.beside.dimension.as_ref().err().cloned())
}

impl Serialize for AuditReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut all = serializer.serialize_struct("audit", 11)?;
        all.serialize_field("model", &self.model)?;
        all.serialize_field("model_sha256", &self.model_sha256)?;
        all.serialize_field("train_sha256", &self.train_sha256)?;
        all.serialize_field("train", &self.train)?;
        all.serialize_field("sigma", &self.sigma)?;
        all.serialize_field("neighbours", &self.neighbours)?;
        all.serialize_field("usual_data_dimension", &self.usual)?;
        all.serialize_field("low_below", &self.low)?;
        all.serialize_field("labels", &self.labels())?;
        all.serialize_field("detectors", &self.detectors())?;
        let samples: Vec<serde_json::Value> = self.samples.iter().map(as_json).collect();
        all.serialize_field("samples", &samples)?;
        all.end()
    }
}

fn as_json(s: &Audited) -> serde_json::Value {
    let finite = |v: f64| Some(v).filter(|v| v.is_finite());
    serde_json::json!({
        "seed": s.seed,
        "verdict": s.verdict,
        "dimension": finite(s.model.value),
        "stderr": finite(s.model.stderr),
        "data_dimension": s.beside.dimension.as_ref().ok().map(|d| d.value),
        "data_interval": s.beside.dimension.as_ref().ok().map(|d| d.interval),
        "nearest": s.beside.nearest,
        "copies": s.beside.copies,
        "distance": s.beside.distance,
        "calibrated": s.beside.calibrated,
        "denoising": s.denoising,
        "guidance": s.guidance,
        "noise": s.noise,
        "png": s.png,
        "note": note(s),
    })
}

impl Report for AuditReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let line = |s: &Audited| {
            let data = match &s.beside.dimension {
                Ok(d) => format!("{:.1} ({:.1} to {:.1})", d.value, d.interval[0], d.interval[1]),
                Err(_) => "-".to_owned(),
            };
            let own = format!("{:.2} ± {:.2}", s.model.value, 1.96 * s.model.stderr);
            let times =
                if s.beside.copies > 1 { format!(" (in the set {} times)", s.beside.copies) } else { String::new() };
            row([
                &s.seed.to_string(),
                s.verdict.name(),
                &own,
                &data,
                &format!("{}{times}", s.beside.nearest),
                &number(s.beside.calibrated, 2),
                note(s).as_deref().unwrap_or(""),
            ])
        };
        let head = row(["seed", "verdict", "model's dimension", "data's dimension", "nearest", "distance", "note"]);
        [head].into_iter().chain(self.samples.iter().map(line)).collect()
    }

    /// Writes `memorisation.csv`, `memorisation.parquet`, `nearest.png`, `report.html` and `study.json`.
    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        store::create_dir(folder)?;
        let metadata = [
            ("model", self.model.as_str()),
            ("model_sha256", &self.model_sha256),
            ("train_sha256", &self.train_sha256),
        ];
        write_table(folder, "memorisation", &self.table()?, &metadata)?;
        let mut page = Page::new(&format!("What {} copied", self.model));
        let text = format!(
            "A sample is a copy where the model's local dimension is too low. Overfitted: the data vary there, the model does not. \
             Data-driven: the data do not vary there either, as where a picture is repeated. The model's dimension was measured at \
             sigma {}, and is low below {:.1}; the data's on {} neighbours among {} training pictures, and its median is {:.1}.",
            self.sigma, self.low, self.neighbours, self.train, self.usual
        );
        page.section("Verdicts", &format!("{}. {text}", capital(&self.conclusion())));
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        order.sort_by(|a, b| self.samples[*a].model.value.total_cmp(&self.samples[*b].model.value));
        order.truncate(SHOWN);
        store::write_atomic(&folder.join("nearest.png"), &encode(&self.sheet(&order), &PngText::default())?)?;
        let mut pairs = Vec::new();
        for i in order {
            let s = &self.samples[i];
            pairs.push((large(&s.picture), format!("{}: {}, {:.1}", s.seed, s.verdict.name(), s.model.value)));
            let calibrated = s.beside.calibrated.map_or(String::new(), |c| format!(", distance {c:.2}"));
            pairs.push((large(&self.nearest[i]), format!("training picture {}{calibrated}", s.beside.nearest)));
        }
        page.section("Lowest dimensions", "Samples, each followed by the training picture nearest to it.");
        page.pictures(&pairs)?;
        let [copies, others, without] = self.labels();
        let text = format!(
            "Labels are by distance alone: a sample counts as a copy where it is nearer to a training picture than {CALIBRATED} of \
             the distance from that one to its own nearest neighbour at another place. {copies} copies, {others} others, {without} without \
             a label. AUC is the probability that a copy has a more suspicious value than another sample."
        );
        page.section("Detectors", &text);
        if let Some(rows) = self.detector_rows() {
            page.table(&rows);
        }
        page.section("Every sample", "Distance is the calibrated one.");
        page.table(&self.rows());
        write_page(folder, page, self, provenance)
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
