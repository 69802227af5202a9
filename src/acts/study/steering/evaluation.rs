//! Whether steered pictures are still what the model makes: as sets, beside unguided ones of other seeds, and beside real
//! ones. Novelty that is only junk lies outside the surroundings of unguided pictures (precision), and steering that
//! always ends at the same pictures leaves most of them unvisited (recall).

use super::Comparison;
use super::entries::Loop;
use super::tiles::Tiles;
use crate::acts::evaluate::{Extracted, Extractor, FeatureCache, Finding, Source, figure, settings};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::evaluate::{DISTANCES, MetricRow, NEIGHBOURHOODS, Sets};
use crate::progress::Progress;
use crate::render::Picture;
use crate::render::page::{number, row};
use crate::table::{Column, Table, Values};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Neighbours that decide how large a picture's surroundings are.
const NEAREST: usize = 5;
/// What the sets are compared with.
const UNGUIDED: &str = "unguided";
const REAL: &str = "real";
/// Pictures of a set that the page shows.
const SHEET: usize = 10;

/// How sets of pictures lie beside unguided and real ones.
#[derive(Clone, Debug, Serialize)]
pub struct SteeredEvaluation {
    /// What pictures are compared by.
    pub features: String,
    /// SHA-256 of the network that made the features, if one did.
    pub features_sha256: Option<String>,
    /// Values of a row of features.
    pub width: usize,
    /// Unguided pictures of other seeds that the sets are compared with.
    pub unguided: usize,
    /// Where the real pictures lie, if there are some.
    pub real: Option<String>,
    /// SHA-256 over the real pictures that were taken.
    pub real_sha256: Option<String>,
    /// How many were taken.
    pub real_pictures: Option<usize>,
    /// Each set; first, the unguided pictures of the seeds themselves, which show what no steering gives.
    pub sets: Vec<SteeredSet>,
}

/// One set of pictures beside another.
#[derive(Clone, Debug, Serialize)]
pub struct SteeredSet {
    /// `unguided` or `real`.
    pub against: &'static str,
    /// Name of the method, with the loop it ran in; `unguided` for pictures that were not steered.
    pub method: String,
    /// The percentile asked for.
    pub asked: Option<f64>,
    /// Pictures of the set: those whose values were finite.
    pub samples: usize,
    /// A finding for each metric; none where there are fewer than two pictures.
    pub findings: Vec<Finding>,
    /// The first of its pictures, to be looked at; none for a set that is compared once more.
    #[serde(skip)]
    pub shown: Vec<Picture>,
}

/// What is opened before the first sample is steered, so that nothing is steered in vain.
pub struct Evaluator {
    extractor: Extractor,
    real: Option<Source>,
}

impl Evaluator {
    /// Opens what an evaluation needs; `None` where none is asked for. `shape` is that of the model's samples.
    ///
    /// # Errors
    /// Those of reading the real pictures and of loading a classifier; [`Error::Key`] for fewer than two seeds.
    pub fn open(asked: &Comparison, shape: [usize; 3], seeds: usize, device: &Device) -> Result<Option<Self>> {
        if !asked.evaluate {
            return Ok(None);
        }
        if seeds < 2 {
            return Err(Error::key("seeds", "expected at least 2 to evaluate their pictures as a set, found 1"));
        }
        let real = asked.real.as_ref().map(|path| Source::read(path, &[], None)).transpose()?;
        let extractor = Extractor::open(asked.features.as_deref(), &real.iter().collect::<Vec<_>>(), device)?;
        let Some(real) = real else { return Ok(Some(Self { extractor, real: None })) };
        let Some(pictures) = real.pictures() else {
            return Err(Error::input(&real.path, "expected pictures, found rows of numbers"));
        };
        let found = [pictures[0].channels, pictures[0].height, pictures[0].width];
        if matches!(extractor, Extractor::Pixels) && found != shape {
            let message = format!(
                "expected pictures of the shape {shape:?} as the model makes them, found {found:?}; make them alike, or let \
                 features be a classifier"
            );
            return Err(Error::input(&real.path, message));
        }
        // As many as there are seeds, evenly over all: a folder may be sorted by class.
        let count = pictures.len().min(seeds);
        let taken = (0..count).map(|i| pictures[i * pictures.len() / count].clone()).collect();
        let real = Some(Source::made(&real.path.to_string_lossy(), taken));
        Ok(Some(Self { extractor, real }))
    }

    /// Compares what was steered.
    ///
    /// # Errors
    /// When a tile is not finished, the device fails, a feature is not finite, or the run is stopped.
    pub fn run(&self, tiles: &Tiles, progress: &Progress, cancel: &Cancel) -> Result<SteeredEvaluation> {
        let seeds = tiles.seeds();
        let steered: BTreeSet<u64> = seeds.iter().copied().collect();
        let others: Vec<u64> = (0..).filter(|s| !steered.contains(s)).take(seeds.len()).collect();
        let unguided = self.features(UNGUIDED, tiles.unguided(&others, cancel)?)?;
        let real = self.real.as_ref().map(|source| self.extractor.of(source, &FeatureCache::none())).transpose()?;
        let Some(unguided) = unguided else {
            return Err(Error::key("seeds", "fewer than two unguided pictures of other seeds are finite"));
        };
        let mut made = vec![(UNGUIDED.to_owned(), None, tiles.unguided(seeds, cancel)?)];
        for entry in tiles.entries().iter().filter(|e| e.runs != Loop::Free || e.guide.is_some()) {
            let levels = tiles.levels().iter().zip(tiles.kept(entry)?);
            made.extend(levels.map(|(asked, pictures)| (entry.short(), Some(*asked), pictures)));
        }
        let references: Vec<(&'static str, &Extracted)> = [(UNGUIDED, Some(&unguided)), (REAL, real.as_ref())]
            .into_iter()
            .filter_map(|(n, f)| Some((n, f?)))
            .collect();
        let bar = progress.start("evaluating", (references.len() * made.len()) as u64);
        let mut sets: Vec<Vec<SteeredSet>> = references.iter().map(|_| Vec::new()).collect();
        for (method, asked, pictures) in made {
            let samples = pictures.len();
            let mut sheet = pictures[..samples.min(SHEET)].to_vec();
            let features = self.features(&method, pictures)?;
            for (&(against, reference), sets) in references.iter().zip(&mut sets) {
                let compare = |made: &Extracted| findings(reference, made, cancel);
                let findings = features.as_ref().map_or(Ok(Vec::new()), compare)?;
                let shown = std::mem::take(&mut sheet);
                sets.push(SteeredSet { against, method: method.clone(), asked, samples, findings, shown });
                bar.advance(1);
            }
        }
        bar.finish();
        Ok(SteeredEvaluation {
            features: self.extractor.name(),
            features_sha256: self.extractor.sha256().map(str::to_owned),
            width: unguided.features.width,
            unguided: unguided.features.rows(),
            real: self.real.as_ref().map(|r| shown(&r.path)),
            real_sha256: self.real.as_ref().map(|r| r.sha256.clone()),
            real_pictures: self.real.as_ref().map(|r| r.samples.count()),
            sets: sets.concat(),
        })
    }

    /// The features of pictures that were made here; `None` for fewer than two.
    fn features(&self, name: &str, pictures: Vec<Picture>) -> Result<Option<Extracted>> {
        (pictures.len() > 1)
            .then(|| self.extractor.of(&Source::made(name, pictures), &FeatureCache::none()))
            .transpose()
    }
}

fn findings(reference: &Extracted, made: &Extracted, cancel: &Cancel) -> Result<Vec<Finding>> {
    let sets = Sets::new(&reference.features, &made.features);
    let one = |metric: &'static MetricRow| {
        cancel.check(|| "samples are complete; the same command goes on".to_owned())?;
        Finding::of(metric, &sets, &settings(0, NEAREST), false)
    };
    NEIGHBOURHOODS.iter().chain(&DISTANCES).map(|metric| one(metric)).collect()
}

impl SteeredEvaluation {
    /// What was compared, in a sentence.
    pub fn said(&self, against: &str) -> String {
        let compared = match against {
            REAL => format!(
                "{} real pictures, spread evenly over {}",
                self.real_pictures.unwrap_or(0),
                self.real.as_deref().unwrap_or_default()
            ),
            _ => format!("{} unguided pictures of seeds that were not steered", self.unguided),
        };
        format!("Pictures of each level beside {compared}, by {} ({} values)", self.features, self.width)
    }

    /// What the sets were compared with.
    pub fn references(&self) -> Vec<&'static str> {
        [UNGUIDED, REAL].into_iter().filter(|a| self.sets.iter().any(|s| s.against == *a)).collect()
    }

    /// The table of the sets beside `unguided` or `real` ones, header first.
    pub fn rows(&self, against: &str) -> Vec<Vec<String>> {
        let cell = |set: &SteeredSet, metric: &MetricRow, digits: Option<usize>| {
            let shown = |v: f64| digits.map_or_else(|| figure(v), |d| number(Some(v), d));
            let found = set.findings.iter().find(|f| f.metric == metric.name);
            match found.and_then(|f| f.value.zip(f.interval)) {
                Some((v, [low, high])) => format!("{} ({} to {})", shown(v), shown(low), shown(high)),
                None => "-".to_owned(),
            }
        };
        let line = |set: &SteeredSet| {
            let asked = set.asked.map_or("-".to_owned(), |a| a.to_string());
            let head = row([&set.method, &asked, &set.samples.to_string()]);
            let shares = NEIGHBOURHOODS.iter().map(|metric| cell(set, metric, Some(3)));
            head.into_iter().chain(shares).chain(DISTANCES.iter().map(|metric| cell(set, metric, None))).collect()
        };
        let head = row(["method", "asked", "pictures"])
            .into_iter()
            .chain(NEIGHBOURHOODS.iter().chain(&DISTANCES).map(|m| m.name.to_owned()))
            .collect();
        std::iter::once(head).chain(self.sets.iter().filter(|s| s.against == against).map(line)).collect()
    }

    /// What one must know of the values: each note once, with the metrics that it holds for.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for f in self.sets.iter().flat_map(|s| &s.findings) {
            let Some(note) = f.note.as_deref() else { continue };
            let metrics = notes.entry(note).or_default();
            if !metrics.contains(&f.metric) {
                metrics.push(f.metric);
            }
        }
        let mut notes: Vec<String> = notes.into_iter().map(|(note, of)| format!("{}: {note}", of.join(", "))).collect();
        let few = self.sets.iter().filter(|s| s.findings.is_empty());
        notes.extend(few.map(|s| {
            let asked = s.asked.map_or(String::new(), |a| format!(" at {a}"));
            format!("{}{asked}: {} of the pictures are finite, too few for a set", s.method, s.samples)
        }));
        notes
    }

    /// (asked, value) of a metric, a line for each method and one for no steering, of the sets beside unguided ones.
    pub fn lines(&self, metric: &str) -> Vec<(&str, Vec<(f64, f64)>)> {
        let own: Vec<&SteeredSet> = self.sets.iter().filter(|s| s.against == UNGUIDED).collect();
        let value = |s: &SteeredSet| s.findings.iter().find(|f| f.metric == metric).and_then(|f| f.value);
        let mut asked: Vec<f64> = own.iter().filter_map(|s| s.asked).collect();
        asked.sort_by(f64::total_cmp);
        asked.dedup();
        let mut names: Vec<&str> = own.iter().map(|s| s.method.as_str()).collect();
        names.dedup();
        let line = |name: &str| {
            let at = |level: &f64| {
                let set = own.iter().find(|s| s.method == name && s.asked.is_none_or(|a| a == *level))?;
                Some((*level, value(set)?))
            };
            asked.iter().filter_map(at).collect()
        };
        names.into_iter().map(|name| (name, line(name))).collect()
    }

    /// One row per set and metric.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn table(&self) -> Result<Table> {
        let all = || self.sets.iter().flat_map(|s| s.findings.iter().map(move |f| (s, f)));
        let text =
            |of: fn(&SteeredSet, &Finding) -> Option<String>| Values::Text(all().map(|(s, f)| of(s, f)).collect());
        let real = |of: fn(&SteeredSet, &Finding) -> Option<f64>| Values::F64(all().map(|(s, f)| of(s, f)).collect());
        let whole = |of: fn(&SteeredSet, &Finding) -> usize| {
            Values::I64(all().map(|(s, f)| i64::try_from(of(s, f)).ok()).collect())
        };
        Table::new(vec![
            Column::new("set", text(|s, _| Some(s.method.clone()))),
            Column::new("novelty_asked", real(|s, _| s.asked)),
            Column::new("against", text(|s, _| Some(s.against.to_owned()))),
            Column::new("metric", text(|_, f| Some(f.metric.to_owned()))),
            Column::new("value", real(|_, f| f.value)),
            Column::new("low", real(|_, f| f.interval.map(|i| i[0]))),
            Column::new("high", real(|_, f| f.interval.map(|i| i[1]))),
            Column::new("samples", whole(|s, _| s.samples)),
            Column::new("biased_below", whole(|_, f| f.biased_below)),
            Column::new("note", text(|_, f| f.note.clone())),
        ])
    }
}
