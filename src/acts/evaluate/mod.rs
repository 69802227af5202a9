//! Evaluating generated samples against real ones: what can be asked for, what was found, and the folder that is left.

mod cache;
mod calorimeter;
mod classes;
mod domain;
mod extract;
mod page;
mod shower_plots;
mod source;
mod told_apart;

pub use cache::FeatureCache;
pub use calorimeter::{ShowerEvaluation, ShowerReport, Simulation};
pub use classes::{Agreement, ClassFinding, ClassRow};
pub use domain::{Calorimeter, Constraint, DOMAINS, Described, Domain, Images, World};
pub use extract::{Extracted, Extractor};
pub use source::{Samples, Source};
pub use told_apart::ClassifierKind;

use super::study::{Origin, Provenance, Scope};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result, did_you_mean, shown};
use crate::evaluate::{Better, METRICS, Measured, MetricRow, Need, Sets, Settings};
use crate::progress::Progress;
use crate::table::{Column, Table, Values};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What can be asked for. Each field is a flag too.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Evaluation {
    /// Real samples, the ones that the generator was taught with: a folder or .zip of pictures, an IDX file, a run folder, or rows
    /// of numbers as .npz, .safetensors or .parquet
    #[arg(value_name = "REAL")]
    pub real: PathBuf,
    /// Generated samples, one set or several, of the same kind
    #[arg(value_name = "GENERATED", required = true)]
    pub generated: Vec<PathBuf>,
    /// Real samples that the generator was not taught with; C_T, FLS and their like need them
    #[arg(long, value_name = "PATH")]
    pub test: Option<PathBuf>,
    /// What pictures are compared by: pixels, or the folder or name of a classifier, of an encoder, or of a model with an encoder
    /// [default: pixels]
    #[arg(long, value_name = "WHAT")]
    pub features: Option<String>,
    /// Columns of a table that are the features, as in psi_k,nu; or the name of an array
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Metrics to measure, as in fd,precision [default: all that can be; see isoline list metrics]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Neighbours that decide how large a sample's surroundings are
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub nearest: usize,
    /// Samples of each set that are read, the first [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Key of everything that is drawn: the same key, the same bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Neither read features of earlier evaluations nor keep these
    #[arg(long)]
    #[serde(skip)]
    pub no_cache: bool,
}

/// What a metric says of one generated set.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The metric's name.
    pub metric: &'static str,
    /// Its value; none if it was not measured.
    pub value: Option<f64>,
    /// Ends of its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// How the interval was made.
    pub interval_by: &'static str,
    /// Which way is better, in words.
    pub better: String,
    /// The values it can take.
    pub range: &'static str,
    /// Who published it.
    pub reference: &'static str,
    /// Below this number of samples it is biased at this width of features.
    pub biased_below: usize,
    /// What one must know of this value: a bias, or why there is none.
    pub note: Option<String>,
}

/// One set of samples in a report.
#[derive(Clone, Debug, Serialize)]
pub struct SetNote {
    /// Where it lies.
    pub path: PathBuf,
    /// How many samples.
    pub samples: usize,
    /// SHA-256 over them.
    pub sha256: String,
}

/// What was found of one generated set.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The set.
    pub set: SetNote,
    /// A finding for each metric.
    pub findings: Vec<Finding>,
    /// What must hold of every sample, counted.
    pub constraints: Vec<Constraint>,
    /// The same class by class, where the features are of a network that tells classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<ClassRow>>,
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What samples are, and what they are compared by.
    pub world: World,
    /// The real samples.
    pub real: SetNote,
    /// Those held out.
    pub test: Option<SetNote>,
    /// What features they were compared by.
    pub features: String,
    /// SHA-256 of the network that made them.
    pub features_sha256: Option<String>,
    /// Values of a row of features.
    pub width: usize,
    /// A comparison for each generated set.
    pub generated: Vec<Comparison>,
    /// How often the classifier agrees with the classes beside a set, of each set that has some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agreement: Vec<Agreement>,
    /// Things that the user should know.
    pub remarks: Vec<String>,
    /// What was found damaged in the cache of features or could not be kept there; it changes no figure.
    #[serde(skip)]
    pub cache_remarks: Vec<String>,
    #[serde(skip)]
    page: page::Material,
}

/// Rows of a block of distances.
const BLOCK: usize = 240;

impl Evaluation {
    /// Checks everything that needs no file.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        self.chosen()?;
        if self.nearest == 0 || self.nearest > 1000 {
            return Err(Error::key("nearest", format!("expected 1 to 1000, found {}", self.nearest)));
        }
        match self.limit {
            Some(n) if n < 2 => Err(Error::key("limit", format!("expected at least 2, found {n}"))),
            _ => Ok(()),
        }
    }

    /// The metrics that were asked for; all without a name.
    fn chosen(&self) -> Result<Vec<&'static MetricRow>> {
        let one = |name: &String| {
            METRICS.iter().find(|m| m.name == name).ok_or_else(|| {
                let near = did_you_mean(name, METRICS.iter().map(|m| m.name).collect::<Vec<_>>());
                Error::key_found("metrics", name, format!("no such metric{near}"))
            })
        };
        match self.metrics.is_empty() {
            true => Ok(METRICS.iter().collect()),
            false => self.metrics.iter().map(one).collect(),
        }
    }

    /// Reads, measures and compares.
    ///
    /// # Errors
    /// Those of reading the sources and of the device; a metric that cannot be measured on them is an error only if it was asked
    /// for by name.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<Report> {
        self.check()?;
        let read = |path: &Path| Source::read(path, &self.columns, self.limit);
        let real = read(&self.real)?;
        let test = self.test.as_deref().map(read).transpose()?;
        let generated = self.generated.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let sources: Vec<&Source> = std::iter::once(&real).chain(&test).chain(&generated).collect();
        let extractor = Extractor::open(self.features.as_deref(), &sources, device)?;
        let cache = FeatureCache::new(!self.no_cache, &format!("{device:?}"));
        let [real_features, test_features] =
            [Some(&real), test.as_ref()].map(|s| s.map(|s| extractor.of(s, &cache)).transpose());
        let (Some(real_features), test_features) = (real_features?, test_features?) else {
            return Err(Error::Bug("no real samples".into()));
        };
        let mut remarks: Vec<String> = sources.iter().filter_map(|s| s.remark.clone()).collect();
        let known = [(&real, Some(&real_features))].into_iter().chain(test.iter().map(|s| (s, test_features.as_ref())));
        let mut agreement: Vec<Agreement> =
            known.filter_map(|(source, seen)| classes::agreement(source, seen?)).collect();
        let metrics = self.chosen()?;
        let bar = progress.start("metrics", (metrics.len() * generated.len()) as u64);
        let world = Images {
            samples: &real.samples,
            features: (extractor.name(), real_features.features.width),
            metrics: &metrics,
        };
        let mut comparisons = Vec::with_capacity(generated.len());
        let mut material = page::Material::default();
        for source in &generated {
            let made = extractor.of(source, &cache)?;
            let sets = sets(&real_features, &made, test_features.as_ref());
            sets.check().map_err(|e| at(e, &source.path))?;
            if real.sha256 == source.sha256 {
                remarks.push(format!("{} holds the very samples of {}", shown(&source.path), shown(&real.path)));
            }
            let mut findings = Vec::with_capacity(metrics.len());
            for metric in &metrics {
                cancel.check(|| "nothing was written".to_owned())?;
                let named = !self.metrics.is_empty();
                let found = Finding::of(metric, &sets, &self.settings(), named);
                findings.push(found.map_err(|e| at(e, &source.path))?);
                bar.advance(1);
            }
            material.add(&real, source, &sets, &self.settings())?;
            let classes = classes::rows(&real_features, &made, &self.settings())?;
            if source.path != real.path {
                agreement.extend(classes::agreement(source, &made));
            }
            let constraints = world.constraints(&real.samples, &source.samples)?;
            comparisons.push(Comparison { set: note(source), findings, constraints, classes });
        }
        bar.finish();
        remarks.extend(agreement.iter().map(Agreement::told));
        Ok(Report {
            world: world.described(),
            real: note(&real),
            test: test.as_ref().map(note),
            features: extractor.name(),
            features_sha256: extractor.sha256().map(str::to_owned),
            width: real_features.features.width,
            generated: comparisons,
            agreement,
            remarks,
            cache_remarks: cache.remarks(),
            page: material,
        })
    }

    fn settings(&self) -> Settings {
        settings(self.seed, self.nearest)
    }
}

/// What metrics are told, with this key of everything that is drawn and this many neighbours.
pub fn settings(seed: u64, nearest: usize) -> Settings {
    Settings { seed, nearest, resamples: 200, block: BLOCK }
}

impl Finding {
    /// What a metric says of these sets.
    ///
    /// # Errors
    /// Where it cannot be measured on them and was asked for by name (`named`); otherwise its note says why.
    pub fn of(metric: &'static MetricRow, sets: &Sets, settings: &Settings, named: bool) -> Result<Self> {
        let missing = match metric.needs {
            Some(Need::Test) if sets.test.is_none() => Some("needs held-out samples; give test"),
            Some(Need::Probabilities) if sets.probabilities.is_none() => {
                Some("needs class probabilities; let features be a classifier")
            }
            Some(Need::Spatial) if sets.spatial.is_none() => {
                Some("needs spatial features; let features be a network whose card has a [spatial] table")
            }
            _ => None,
        };
        let measured = match missing {
            Some(why) if !named => Err(why.to_owned()),
            Some(why) => return Err(Error::key_found("metrics", metric.name, why)),
            None => match (metric.measure)(sets, settings) {
                Ok(found) => Ok(found),
                Err(Error::Key { key, message, .. }) if !named => Err(format!("{key}: {message}")),
                Err(other) => return Err(other),
            },
        };
        let biased_below = (metric.biased_below)(match metric.needs {
            Some(Need::Probabilities) => sets.probabilities.map_or(1, |p| p.width),
            Some(Need::Spatial) => sets.spatial.map_or(1, |[real, _]| real.width),
            _ => sets.real.width,
        });
        let fewest = sets.real.rows().min(sets.generated.rows());
        let note = match &measured {
            Err(why) => Some(format!("not measured: {why}")),
            Ok(_) if fewest < biased_below => Some(format!(
                "biased by {fewest} samples, expected at least {biased_below}{}",
                if metric.name == FRECHET { "; fd_infinity takes that off" } else { "" }
            )),
            Ok(_) => None,
        };
        let (value, interval) = match measured {
            Ok(Measured { value, interval }) => (Some(value), Some(interval)),
            Err(_) => (None, None),
        };
        Ok(Self {
            metric: metric.name,
            value,
            interval,
            interval_by: metric.interval,
            better: match metric.better {
                Better::Lower => "lower".to_owned(),
                Better::Higher => "higher".to_owned(),
                Better::Near(v) => format!("near {v}"),
            },
            range: metric.range,
            reference: metric.reference,
            biased_below,
            note,
        })
    }
}

/// The metric whose bias another one takes off.
const FRECHET: &str = METRICS[0].name;

fn sets<'a>(real: &'a Extracted, made: &'a Extracted, test: Option<&'a Extracted>) -> Sets<'a> {
    let mut sets = Sets::new(&real.features, &made.features);
    sets.test = test.map(|t| &t.features);
    sets.probabilities = made.probabilities.as_ref();
    sets.spatial = real.spatial.as_ref().zip(made.spatial.as_ref()).map(|(real, made)| [real, made]);
    sets
}

/// An error about a set, with its file.
fn at(error: Error, path: &Path) -> Error {
    match error {
        Error::Key { key, message, .. } if key == "generated" => Error::input(path, message),
        other => other,
    }
}

fn note(source: &Source) -> SetNote {
    SetNote { path: source.path.clone(), samples: source.samples.count(), sha256: source.sha256.clone() }
}

impl Report {
    /// The printed table, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let several = self.generated.len() > 1;
        let head = ["metric", "value", "95 % interval", "better", "note"].map(str::to_owned);
        let mut rows =
            vec![if several { std::iter::once("set".to_owned()).chain(head).collect() } else { head.to_vec() }];
        for comparison in &self.generated {
            for f in &comparison.findings {
                let interval = f.interval.map_or("-".to_owned(), |[a, b]| format!("{} to {}", figure(a), figure(b)));
                let value = f.value.map_or("-".to_owned(), figure);
                let cells =
                    [f.metric.to_owned(), value, interval, f.better.clone(), f.note.clone().unwrap_or_default()];
                let set = several.then(|| shown(&comparison.set.path));
                rows.push(set.into_iter().chain(cells).collect());
            }
        }
        rows
    }

    /// What must hold of every generated sample, as a table, header first.
    pub fn constraints(&self) -> Vec<Vec<String>> {
        let several = self.generated.len() > 1;
        let mut rows = vec![["samples", "value", "error", "note"].map(str::to_owned).to_vec()];
        for c in &self.generated {
            let cells = |k: &Constraint| vec![k.name.clone(), figure(k.share), figure(k.error), k.note.clone()];
            rows.extend(c.constraints.iter().map(cells));
        }
        if several {
            let names = self.generated.iter().flat_map(|c| c.constraints.iter().map(|_| shown(&c.set.path)));
            let names = std::iter::once("set".to_owned()).chain(names);
            rows = names.zip(rows).map(|(name, row)| std::iter::once(name).chain(row).collect()).collect();
        }
        rows
    }

    /// One row per set and metric.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn table(&self) -> Result<Table> {
        let all = || self.generated.iter().flat_map(|c| c.findings.iter().map(move |f| (c, f)));
        let text =
            |of: &dyn Fn(&Comparison, &Finding) -> String| Values::Text(all().map(|(c, f)| Some(of(c, f))).collect());
        let number = |of: &dyn Fn(&Finding) -> Option<f64>| Values::F64(all().map(|(_, f)| of(f)).collect());
        let count = |of: &dyn Fn(&Comparison, &Finding) -> usize| {
            Values::I64(all().map(|(c, f)| Some(of(c, f) as i64)).collect())
        };
        Table::new(vec![
            Column::new("set", text(&|c, _| shown(&c.set.path))),
            Column::new("metric", text(&|_, f| f.metric.to_owned())),
            Column::new("value", number(&|f| f.value)),
            Column::new("low", number(&|f| f.interval.map(|i| i[0]))),
            Column::new("high", number(&|f| f.interval.map(|i| i[1]))),
            Column::new("samples", count(&|c, _| c.set.samples)),
            Column::new("biased_below", count(&|_, f| f.biased_below)),
            Column::new("note", Values::Text(all().map(|(_, f)| f.note.clone()).collect())),
        ])
    }

    /// Writes `evaluation.parquet`, `evaluation.csv`, `report.html` and `study.json`, and `classes.parquet` and `classes.csv` where
    /// classes are told.
    ///
    /// # Errors
    /// When a picture cannot be made or a file cannot be written.
    pub fn write(&self, folder: &Path, origin: &Origin, asked: &Evaluation, device: &str) -> Result<Provenance> {
        let mut settings = match super::study::json(asked)? {
            serde_json::Value::Object(settings) => settings,
            _ => serde_json::Map::new(),
        };
        settings.retain(|_, v| !v.is_null());
        let scope = Scope { settings, ..Scope::default() };
        let provenance = Provenance::new(origin, ("", ""), None, device, scope);
        super::study::write_table(folder, "evaluation", &self.table()?, &[])?;
        if let Some(classes) = classes::table(&self.generated)? {
            super::study::write_table(folder, "classes", &classes, &[])?;
        }
        super::study::write_page(folder, self.page.page(self)?, self, &provenance)?;
        Ok(provenance)
    }
}

/// A number with four significant digits.
pub fn figure(v: f64) -> String {
    let digits = if v == 0.0 || !v.is_finite() { 3 } else { (3 - v.abs().log10().floor() as i32).clamp(0, 9) as usize };
    format!("{v:.digits$}")
}
