//! `isoline lid bench`: every method on manifolds of known dimension, in the same coordinates.

use super::Context;
use crate::cli::output;
use crate::diffusion::lid::{
    Cloud, MANIFOLDS, METHODS, ScoreConfig, concordance, manifolds::ManifoldRow, mean_absolute_error, normal_bundle,
    purity, rounding_accuracy, train_score,
};
use crate::diffusion::{Clock, NetworkDenoiser, Trace, flipd};
use crate::error::{Error, Result, did_you_mean};
use crate::tensors::rows;
use serde_json::json;

/// Arguments of `isoline lid bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Manifolds; see isoline list manifolds
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "lollipop")]
    set: Vec<String>,
    /// Training seeds, one fit each
    #[arg(long, value_name = "LIST", default_value = "0")]
    seeds: String,
    /// Points the network is trained on
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    points: usize,
    /// Held-out points that are measured; the first half chooses the settings of methods that have one
    #[arg(long, value_name = "N", default_value_t = 600)]
    queries: usize,
    /// Training steps of the score network
    #[arg(long, value_name = "N", default_value_t = 6000)]
    steps: u32,
    /// Widths of the score network on its way down
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "112,112,64")]
    widths: Vec<usize>,
    /// Time of the variance-preserving process that FLIPD is read at, chosen beforehand
    #[arg(long, value_name = "T", default_value_t = 0.02)]
    time: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One method's figures on a set.
struct Line {
    method: String,
    setting: String,
    mae: f64,
    concordance: f64,
    rounding: f64,
}

impl Line {
    fn new(method: &str, setting: String, found: &[f64], truth: &[f64]) -> Self {
        Self {
            method: method.into(),
            setting,
            mae: mean_absolute_error(found, truth),
            concordance: concordance(found, truth),
            rounding: rounding_accuracy(found, truth),
        }
    }
}

/// A set cut into training points and queries, the queries into a half that chooses and one that is reported.
struct Trial {
    training: Cloud,
    parts: Vec<usize>,
    queries: Cloud,
    query_parts: Vec<usize>,
    truth: Vec<f64>,
}

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

    /// The figures of a method whose setting is the best of `settings` on the first half, reported on the second.
    fn chosen(
        &self,
        name: &str,
        key: &str,
        settings: &[f64],
        measure: impl Fn(f64) -> Result<Vec<f64>>,
    ) -> Result<Line> {
        let half = self.half();
        let mut best: Option<(f64, f64, Vec<f64>)> = None;
        for setting in settings {
            let found = measure(*setting)?;
            let error = mean_absolute_error(&found[..half], &self.truth[..half]);
            if best.as_ref().is_none_or(|b| error < b.0) {
                best = Some((error, *setting, found));
            }
        }
        let (_, setting, found) = best.ok_or_else(|| Error::Bug("a method without settings".into()))?;
        Ok(Line::new(name, format!("{key} {setting}, chosen"), &found[half..], &self.truth[half..]))
    }
}

/// Fits, measures, prints.
///
/// # Errors
/// [`Error::Config`] for a set that does not exist; those of the device, or a stop.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let sets = args.set.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
    let seeds = crate::run::parse_seeds(&args.seeds).map_err(|m| Error::config("--seeds", m))?;
    check(args)?;
    let (_, device) = context.open_device()?;
    let mut reports = Vec::new();
    for set in sets {
        for seed in &seeds {
            let trial = Trial::new(set, args.points, args.queries, *seed);
            let config =
                ScoreConfig { widths: args.widths.clone(), steps: args.steps, seed: *seed, ..ScoreConfig::default() };
            let label = format!("{} seed {seed}", set.name);
            let (denoiser, weights) =
                train_score(&trial.training, &config, &label, &device, &context.progress, &context.cancel)?;
            let mut lines = by_score(&trial, &denoiser, args.time)?;
            for row in METHODS {
                let measure = |setting: f64| Ok((row.estimate)(&trial.training, &trial.queries, setting));
                lines.push(trial.chosen(row.name, row.setting.0, row.setting.1, measure)?);
            }
            let pure = purity(&trial.training, &trial.parts, &trial.queries, &trial.query_parts, 100);
            if !args.json {
                output::print(&format!(
                    "{label}: {weights} weights, purity of 100 neighbours {pure:.3}\n{}\n",
                    table(&lines)
                ))?;
            }
            reports.push(json!({"set": set.name, "seed": seed, "weights": weights, "purity": pure, "methods": lines.iter().map(|l|
                json!({"method": l.method, "setting": l.setting, "mae": l.mae, "concordance": l.concordance, "rounding": l.rounding})
            ).collect::<Vec<_>>()}));
        }
    }
    if args.json { output::print_json(&reports.into()) } else { Ok(()) }
}

fn find(name: &str) -> Result<&'static ManifoldRow> {
    MANIFOLDS.iter().find(|m| m.name == name).ok_or_else(|| {
        let known: Vec<&str> = MANIFOLDS.iter().map(|m| m.name).collect();
        Error::config("--set", format!("no such manifold \"{}\"{}", name.escape_debug(), did_you_mean(name, known)))
    })
}

fn check(args: &Args) -> Result<()> {
    let range = |flag: &str, value: usize, range: std::ops::RangeInclusive<usize>| match range.contains(&value) {
        true => Ok(()),
        false => Err(Error::config(flag, format!("expected {} to {}, found {value}", range.start(), range.end()))),
    };
    range("--points", args.points, 1000..=1_000_000)?;
    range("--queries", args.queries, 10..=100_000)?;
    range("--steps", args.steps as usize, 1..=10_000_000)?;
    range("--widths", args.widths.len(), 1..=8)?;
    args.widths.iter().try_for_each(|w| range("--widths", *w, 4..=4096))?;
    if args.time > 0.0 && args.time < 1.0 {
        return Ok(());
    }
    Err(Error::config("--time", format!("expected a number between 0 and 1, found {}", args.time)))
}

/// FLIPD exactly, at the time fixed beforehand and by probes; the negative control at noised points; the normal bundle.
fn by_score(trial: &Trial, denoiser: &NetworkDenoiser, time: f64) -> Result<Vec<Line>> {
    let vp = Clock::Continuous { beta: [0.1, 20.0], time_scale: 1.0 };
    let (d, half) = (trial.queries.width, trial.half());
    let truth = &trial.truth[half..];
    let to_rows = |values: &[f64]| rows(values.iter().map(|v| *v as f32).collect(), d, denoiser.device());
    let measured = |time: f64, how: Trace, noised: bool| -> Result<Vec<f64>> {
        let sigma = vp.sigma_at(time);
        let mut values = trial.queries.values.clone();
        if noised {
            let noise = crate::noise::normals(0, 0, crate::noise::Stream::Probe, 3, values.len());
            values.iter_mut().zip(noise).for_each(|(v, e)| *v += sigma * f64::from(e));
        }
        Ok(flipd(denoiser, &to_rows(&values), sigma, how)?.iter().map(|f| f.dimension().value).collect())
    };
    let mut lines =
        vec![Line::new("flipd", format!("t {time}, fixed"), &measured(time, Trace::Exact, false)?[half..], truth)];
    lines.push(trial.chosen("flipd", "t", &[0.01, 0.02, 0.05, 0.1, 0.15], |t| measured(t, Trace::Exact, false))?);
    for probes in [4, 64] {
        let found = measured(time, Trace::Hutchinson { probes, seed: 0 }, false)?;
        lines.push(Line::new("flipd", format!("t {time}, {probes} probes"), &found[half..], truth));
    }
    let noised = measured(time, Trace::Exact, true)?;
    let mean = noised.iter().sum::<f64>() / noised.len() as f64;
    lines.push(Line::new("noised (control)", format!("mean {mean:.3} of {d}"), &noised[half..], truth));
    let few: Vec<f64> = trial.queries.values.clone();
    let bundle = |t: f64| normal_bundle(denoiser, &few, vp.sigma_at(t), 0, denoiser.device());
    lines.push(trial.chosen("normal bundle", "t", &[0.01, 0.05], bundle)?);
    Ok(lines)
}

fn table(lines: &[Line]) -> String {
    let mut rows = vec![output::row(["method", "setting", "MAE", "concordance", "rounding"])];
    rows.extend(lines.iter().map(|l| {
        output::row([
            &l.method,
            &l.setting,
            &format!("{:.3}", l.mae),
            &format!("{:.4}", l.concordance),
            &format!("{:.3}", l.rounding),
        ])
    }));
    output::columns(&rows)
}
