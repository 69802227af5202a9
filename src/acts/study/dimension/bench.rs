//! `lid bench`: runs every method on manifolds of known dimension, in the same coordinates.

use super::super::seeds;
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::lid::{
    Cloud, Local, MANIFOLDS, METHODS, ScoreConfig, concordance, manifolds::ManifoldRow, mean_absolute_error,
    normal_bundle, purity, rounding_accuracy, train_score,
};
use crate::diffusion::{Clock, NetworkDenoiser, Trace, flipd};
use crate::error::{Error, Result, did_you_mean};
use crate::noise::{Stream, normals};
use crate::progress::Progress;
use crate::render::page::row;
use crate::tensors::rows;
use serde::Serialize;
use std::ops::RangeInclusive;

/// A comparison of methods that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Bench {
    /// Manifolds; see isoline list manifolds
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "lollipop")]
    pub set: Vec<String>,
    /// Training seeds, one fit each
    #[arg(long, value_name = "LIST", default_value = "0")]
    pub seeds: String,
    /// Points the network is trained on
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub points: usize,
    /// Held-out points that are measured; the first half chooses the settings of methods that have one
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub queries: usize,
    /// Training steps of the score network
    #[arg(long, value_name = "N", default_value_t = 6000)]
    pub steps: u32,
    /// Widths of the score network on its way down
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "112,112,64")]
    pub widths: Vec<usize>,
    /// Time of the variance-preserving process that FLIPD is read at, chosen beforehand
    #[arg(long, value_name = "T", default_value_t = 0.02)]
    pub time: f64,
}

/// One score network trained on one set, and the figures of every method there.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// Name of the manifold.
    pub set: String,
    /// Training seed.
    pub seed: u64,
    /// Number of weights of the score network.
    pub weights: usize,
    /// Mean share of a query's 100 nearest neighbours that lie on the query's own part of the manifold.
    pub purity: f64,
    /// One entry per method and setting.
    pub methods: Vec<BenchMethod>,
}

/// The figures of one method on a set.
#[derive(Clone, Debug, Serialize)]
pub struct BenchMethod {
    /// Name of the method.
    pub method: String,
    /// Its setting, and how the setting was chosen.
    pub setting: String,
    /// Mean absolute error of the dimension.
    pub mae: f64,
    /// Share of pairs that are in the right order.
    pub concordance: f64,
    /// Share of queries that are right after rounding.
    pub rounding: f64,
    /// Queries where the method has no answer, which are in none of these figures.
    #[serde(skip_serializing_if = "is_zero")]
    pub undefined: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// The answers that there are, and the truth beside them.
fn defined(found: &[Local<f64>], truth: &[f64]) -> (Vec<f64>, Vec<f64>) {
    found.iter().zip(truth).filter_map(|(found, truth)| Some((*found.as_ref().ok()?, *truth))).unzip()
}

impl BenchMethod {
    fn new(method: &str, setting: String, found: &[Local<f64>], truth: &[f64]) -> Self {
        let undefined = found.iter().filter(|f| f.is_err()).count();
        let (found, truth) = &defined(found, truth);
        Self {
            undefined,
            method: method.into(),
            setting,
            mae: mean_absolute_error(found, truth),
            concordance: concordance(found, truth),
            rounding: rounding_accuracy(found, truth),
        }
    }
}

/// A set divided into training points and queries. The first half of the queries chooses settings; the second half is
/// reported.
struct Trial {
    training: Cloud,
    parts: Vec<usize>,
    queries: Cloud,
    query_parts: Vec<usize>,
    truth: Vec<f64>,
}

/// How much a setting misses (queries without an answer, then the error), the setting, and what it found.
type Best = ((usize, f64), f64, Vec<Local<f64>>);

impl Trial {
    fn new(row: &ManifoldRow, points: usize, queries: usize, seed: u64) -> Self {
        let all = (row.make)(points + queries, 1000 + seed);
        let width = all.cloud.width;
        let cut = points * width;
        Self {
            training: Cloud { values: all.cloud.values[..cut].to_vec(), width },
            parts: all.part[..points].to_vec(),
            queries: Cloud { values: all.cloud.values[cut..].to_vec(), width },
            query_parts: all.part[points..].to_vec(),
            truth: all.dimension[points..].to_vec(),
        }
    }

    fn half(&self) -> usize {
        self.truth.len() / 2
    }

    /// Chooses among `settings` the one that does best on the first half, and reports its figures on the second half.
    fn chosen(
        &self,
        name: &str,
        key: &str,
        settings: &[f64],
        measure: impl Fn(f64) -> Result<Vec<Local<f64>>>,
    ) -> Result<BenchMethod> {
        let half = self.half();
        let mut best: Option<Best> = None;
        for setting in settings {
            let found = measure(*setting)?;
            let (some, truth) = defined(&found[..half], &self.truth[..half]);
            // A setting that answers more often is better than one with less error.
            let error = (half - some.len(), mean_absolute_error(&some, &truth));
            if best.as_ref().is_none_or(|b| error < b.0) {
                best = Some((error, *setting, found));
            }
        }
        let (_, setting, found) = best.ok_or_else(|| Error::Bug("a method without settings".into()))?;
        Ok(BenchMethod::new(name, format!("{key} {setting}, chosen"), &found[half..], &self.truth[half..]))
    }
}

impl Bench {
    /// Checks everything that needs no device.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        self.sets()?;
        seeds("seeds", &self.seeds)?;
        let range = |key: &str, value: usize, range: RangeInclusive<usize>| match range.contains(&value) {
            true => Ok(()),
            false => Err(Error::key(key, format!("expected {} to {}, found {value}", range.start(), range.end()))),
        };
        range("points", self.points, 1000..=1_000_000)?;
        range("queries", self.queries, 10..=100_000)?;
        range("steps", self.steps as usize, 1..=10_000_000)?;
        range("widths", self.widths.len(), 1..=8)?;
        self.widths.iter().try_for_each(|w| range("widths", *w, 4..=4096))?;
        if self.time > 0.0 && self.time < 1.0 {
            return Ok(());
        }
        Err(Error::key("time", format!("expected a number between 0 and 1, found {}", self.time)))
    }

    fn sets(&self) -> Result<Vec<&'static ManifoldRow>> {
        let find = |name: &String| {
            MANIFOLDS.iter().find(|m| m.name == name).ok_or_else(|| {
                let near = did_you_mean(name, MANIFOLDS.iter().map(|m| m.name).collect::<Vec<_>>());
                Error::key("set", format!("no such manifold \"{}\"{near}", name.escape_debug()))
            })
        };
        self.set.iter().map(find).collect()
    }

    /// For each set and seed, trains a score network and measures every method. `each` is called with a fit as soon as
    /// it is measured.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the device and of `each`, or a stop.
    pub fn run(
        &self,
        device: &Device,
        progress: &Progress,
        cancel: &Cancel,
        each: &mut dyn FnMut(&Fit) -> Result<()>,
    ) -> Result<Vec<Fit>> {
        self.check()?;
        let mut fits = Vec::new();
        for set in self.sets()? {
            for seed in seeds("seeds", &self.seeds)? {
                fits.push(self.fit(set, seed, device, progress, cancel)?);
                fits.last().map_or(Ok(()), &mut *each)?;
            }
        }
        Ok(fits)
    }

    fn fit(&self, set: &ManifoldRow, seed: u64, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<Fit> {
        let trial = Trial::new(set, self.points, self.queries, seed);
        let config = ScoreConfig { widths: self.widths.clone(), steps: self.steps, seed, ..ScoreConfig::default() };
        let label = format!("{} seed {seed}", set.name);
        let (denoiser, weights) = train_score(&trial.training, &config, &label, device, progress, cancel)?;
        let mut methods = by_score(&trial, &denoiser, self.time)?;
        for row in METHODS {
            let measure = |setting: f64| Ok((row.estimate)(&trial.training, &trial.queries, setting));
            methods.push(trial.chosen(row.name, row.setting.0, row.setting.1, measure)?);
        }
        let purity = purity(&trial.training, &trial.parts, &trial.queries, &trial.query_parts, 100);
        Ok(Fit { set: set.name.to_owned(), seed, weights, purity, methods })
    }
}

impl Fit {
    /// The heading of the table.
    pub fn title(&self) -> String {
        let Self { set, seed, weights, purity, .. } = self;
        format!("{set} seed {seed}: {weights} weights, purity of 100 neighbours {purity:.3}")
    }

    /// The printed table, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let line = |m: &BenchMethod| {
            let [mae, rounding] = [m.mae, m.rounding].map(|v| format!("{v:.3}"));
            let setting = match m.undefined {
                0 => m.setting.clone(),
                n => format!("{}; {n} undefined", m.setting),
            };
            row([&m.method, &setting, &mae, &format!("{:.4}", m.concordance), &rounding])
        };
        let head = row(["method", "setting", "MAE", "concordance", "rounding"]);
        [head].into_iter().chain(self.methods.iter().map(line)).collect()
    }
}

/// The methods that use the score network: FLIPD with exact traces at the fixed time and at a chosen one, then with
/// probes; a negative control at noised points; the normal bundle.
fn by_score(trial: &Trial, denoiser: &NetworkDenoiser, time: f64) -> Result<Vec<BenchMethod>> {
    let vp = Clock::Continuous { beta: [0.1, 20.0], time_scale: 1.0 };
    let (d, half) = (trial.queries.width, trial.half());
    let truth = &trial.truth[half..];
    let to_rows = |values: &[f64]| rows(values.iter().map(|v| *v as f32).collect(), d, denoiser.device());
    let measured = |time: f64, how: Trace, noised: bool| -> Result<Vec<Local<f64>>> {
        let sigma = vp.sigma_at(time);
        let mut values = trial.queries.values.clone();
        if noised {
            let noise = normals(0, 0, Stream::Probe, 3, values.len());
            values.iter_mut().zip(noise).for_each(|(v, e)| *v += sigma * f64::from(e));
        }
        let value = |v: f64| if v.is_finite() { Ok(v) } else { Err("the network's answer is not finite".into()) };
        Ok(flipd(denoiser, &to_rows(&values), sigma, how)?.iter().map(|f| value(f.dimension().value)).collect())
    };
    let mut lines = vec![BenchMethod::new(
        "flipd",
        format!("t {time}, fixed"),
        &measured(time, Trace::Exact, false)?[half..],
        truth,
    )];
    lines.push(trial.chosen("flipd", "t", &[0.01, 0.02, 0.05, 0.1, 0.15], |t| measured(t, Trace::Exact, false))?);
    for probes in [4, 64] {
        let found = measured(time, Trace::Hutchinson { probes, seed: 0 }, false)?;
        lines.push(BenchMethod::new("flipd", format!("t {time}, {probes} probes"), &found[half..], truth));
    }
    let noised = measured(time, Trace::Exact, true)?;
    let finite = defined(&noised, &trial.truth).0;
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    lines.push(BenchMethod::new("noised (control)", format!("mean {mean:.3} of {d}"), &noised[half..], truth));
    let few: Vec<f64> = trial.queries.values.clone();
    let bundle = |t: f64| normal_bundle(denoiser, &few, vp.sigma_at(t), 0, denoiser.device());
    lines.push(trial.chosen("normal bundle", "t", &[0.01, 0.05], bundle)?);
    Ok(lines)
}
