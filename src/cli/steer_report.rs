//! `isoline steer-report`: asked against measured novelty, method by method. The honest proof.

use super::{Context, output};
use crate::acts::generate::{self, SampleRow};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::find_model;
use crate::reward::{quantile, spearman, spearman_ceiling};
use crate::run::parse_seeds;
use crate::steer::{Denoising, Engine, GUIDES, GuideRow, Settings, Status};
use crate::tile::Tiling;
use crate::units::Percentile;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

/// Arguments of `isoline steer-report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    model: String,
    /// Reward beside the model's own, by its name; see isoline list rewards
    #[arg(long, value_name = "NAME")]
    reward: Option<String>,
    /// Seeds, as in 0-255
    #[arg(long, value_name = "LIST", default_value = "0-63")]
    seeds: String,
    /// Percentiles to ask for
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5,25,50,75,95")]
    novelty: Vec<f64>,
    /// Measured corrections of the closed loop [default: 2; 4 for diffusion models]
    #[arg(long, value_name = "N", value_parser = corrections)]
    corrections: Option<usize>,
    /// Steps of the open loop [default: 48; 12 for diffusion models]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Samples per tile
    #[arg(long, value_name = "N", default_value_t = 16)]
    tile: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn corrections(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|n| (1..=64).contains(n)).ok_or_else(|| "expected 1 to 64".to_owned())
}

/// What one method did.
struct Line {
    name: String,
    /// As a share of the largest value that the tied levels permit.
    spearman: Option<f64>,
    /// Of mid-ranks, as it is.
    spearman_unadjusted: Option<f64>,
    median_abs_error: Option<f64>,
    off_manifold: f64,
    undefined: usize,
    mean_angle: f64,
    /// Denoiser calls that the steering took, mean over samples; of a diffusion model.
    evaluations: Option<f64>,
    seconds_per_sample: f64,
}

/// Steers every seed to every novelty with every method and measures what was reached.
///
/// # Errors
/// Those of the model and the device, or a stop.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if let Some(n) = args.novelty.iter().find(|n| !(0.0..=100.0).contains(*n)) {
        return Err(Error::config("--novelty", format!("expected a percentile from 0 to 100, found {n}")));
    }
    if !(1..=crate::limits::TILE).contains(&args.tile) {
        return Err(Error::config("--tile", format!("expected 1 to {}, found {}", crate::limits::TILE, args.tile)));
    }
    let seeds = parse_seeds(&args.seeds).map_err(|m| Error::config("--seeds", m))?;
    if let Some(reward) = &args.reward {
        crate::store::check_id(reward).map_err(|m| Error::config("--reward", m))?;
    }
    let (_, device) = context.open_device()?;
    let engine = Engine::load(&find_model(&args.model)?, args.reward.as_deref(), &device)?;
    let usual = engine.usual_settings();
    let corrections = args.corrections.unwrap_or(usual.corrections);
    let closed = Settings { steps: args.steps.unwrap_or(usual.steps), corrections, ..usual };
    let open = Settings { corrections: 0, ..closed.clone() };
    let first = &seeds[..seeds.len().min(args.tile)];
    let warm = Trial { engine: &engine, args, seeds: first, corrections, cancel: &context.cancel };
    warm.run("gradient", "warm-up", &open, context)?;
    let trial = Trial { seeds: &seeds, ..warm };
    let mut lines = vec![
        trial.run("gradient", "gradient, open loop", &open, context)?,
        trial.run("gradient", &format!("gradient, {corrections} corrections"), &closed, context)?,
    ];
    // Candidates that cost the seconds of the closed loop: from the cost of two short searches.
    let cost = |steps| {
        warm.run("search", "sizing the search", &Settings { steps, ..open.clone() }, context)
            .map(|l| l.seconds_per_sample)
    };
    let sizes = engine.generator.spec().usual.trial_candidates;
    let (short, long) = (cost(sizes[0])?, cost(sizes[1])?);
    // On a busy machine the longer search may seem free; it then gets no more than the longer one's candidates.
    let per_step = (long - short) / (sizes[1] - sizes[0]) as f64;
    let [first, last] = sizes.map(|s| s as f64);
    let fitting = if per_step > 0.0 { first + (lines[1].seconds_per_sample - short) / per_step } else { last };
    let steps = fitting.clamp(1.0, crate::limits::STEPS as f64) as usize;
    lines.push(trial.run(
        "search",
        &format!("search, {steps} candidates (equal seconds)"),
        &Settings { steps, ..open.clone() },
        context,
    )?);
    lines.push(trial.run("truncation", "truncation, open loop", &open, context)?);
    lines.push(trial.run("truncation", &format!("truncation, {corrections} corrections"), &closed, context)?);
    lines.push(trial.run("none", "none (unguided)", &open, context)?);
    if engine.evaluations().is_some() {
        lines.extend(trial.guided(&warm, context)?);
    }
    print(args, &engine, &lines)
}

#[derive(Clone, Copy)]
struct Trial<'a> {
    engine: &'a Engine,
    args: &'a Args,
    seeds: &'a [u64],
    corrections: usize,
    cancel: &'a Cancel,
}

impl Trial<'_> {
    /// Every guide that has strengths to try, over all seeds and levels; where it has a set-point, in the open and in the closed loop. A guide's strength for a level is the one whose mean on the warm-up tile came
    /// nearest; finding it is no part of the seconds.
    fn guided(&self, warm: &Self, context: &Context) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut means: BTreeMap<(&str, u64, u64), f64> = BTreeMap::new();
        let loops = |row: &'static GuideRow| {
            [false, true].into_iter().take(1 + usize::from(row.has_set_point)).map(move |c| (row, c))
        };
        for (row, closed) in GUIDES.iter().filter(|g| !g.trial_strengths.is_empty()).flat_map(loops) {
            let strengths = row.trial_strengths;
            let name = match (row.has_set_point, closed) {
                (false, _) => format!("{} guidance", row.name),
                (true, false) => format!("{} guidance, open loop", row.name),
                (true, true) => format!("{} guidance, closed loop", row.name),
            };
            let mut rows = Vec::new();
            let (mut computed, mut seconds) = (0, 0.0);
            for &novelty in &self.args.novelty {
                let mut best = (f64::INFINITY, strengths[0]);
                for strength in strengths {
                    // Without a set-point a strength gives the same pictures whatever is asked.
                    let level = if row.has_set_point { novelty.to_bits() } else { 0 };
                    let key = (row.name, level, strength.to_bits());
                    let mean = match means.get(&key) {
                        Some(mean) => *mean,
                        None => {
                            let (found, ..) = warm.guide(row, *strength, novelty, false, context)?;
                            let reached: Vec<f64> = found.iter().filter_map(|r| r.novelty_reached).collect();
                            reached.iter().sum::<f64>() / reached.len().max(1) as f64
                        }
                    };
                    means.insert(key, mean);
                    let off = (mean - novelty).abs();
                    if off < best.0 {
                        best = (off, *strength);
                    }
                }
                let (found, count, spent) = self.guide(row, best.1, novelty, closed, context)?;
                rows.extend(found);
                computed += count;
                seconds += spent;
            }
            let mean = rows.iter().map(|r: &SampleRow| r.steps as f64).sum::<f64>() / rows.len().max(1) as f64;
            lines.push(line(&name, &rows, Some(mean), seconds / computed.max(1) as f64));
        }
        Ok(lines)
    }

    /// One guide at one strength: rows of the wanted seeds, samples computed, seconds.
    fn guide(
        &self,
        row: &GuideRow,
        strength: f64,
        novelty: f64,
        closed: bool,
        context: &Context,
    ) -> Result<(Vec<SampleRow>, usize, f64)> {
        let bar = context.progress.start(format!("{} at {strength}, {novelty}", row.name), self.seeds.len() as u64);
        let how = Denoising { strength, push: !row.has_set_point, ..Denoising::default() };
        let corrections = if closed { self.corrections } else { 0 };
        let begin = Instant::now();
        let tiling = Tiling::new(self.args.tile);
        let (mut rows, mut computed) = (Vec::new(), 0);
        for (tile, wanted) in tiling.cover(self.seeds) {
            let samples: Vec<u64> = tiling.samples(tile).collect();
            let guided = self.engine.guide(
                Some(row),
                &how,
                &samples,
                Some(Percentile::clamped(novelty)),
                corrections,
                self.cancel,
            )?;
            computed += guided.len();
            let kept = guided.iter().map(|f| &f.steered).filter(|s| wanted.contains(&s.sample));
            rows.extend(kept.map(|s| generate::row(self.engine, s, Some(Percentile::clamped(novelty)))));
            bar.advance(wanted.len() as u64);
        }
        bar.finish();
        Ok((rows, computed, begin.elapsed().as_secs_f64()))
    }

    fn run(&self, method: &str, name: &str, settings: &Settings, context: &Context) -> Result<Line> {
        let bar = context.progress.start(name.to_owned(), (self.seeds.len() * self.args.novelty.len()) as u64);
        let mut rows: Vec<SampleRow> = Vec::new();
        let mut computed = 0;
        let begin = Instant::now();
        let tiling = Tiling::new(self.args.tile);
        for (tile, wanted) in tiling.cover(self.seeds) {
            let samples: Vec<u64> = tiling.samples(tile).collect();
            for &novelty in &self.args.novelty {
                let targets = vec![Some(Percentile::clamped(novelty)); samples.len()];
                let steered = self.engine.steer(method, &samples, &targets, settings, self.cancel)?;
                computed += steered.len();
                rows.extend(
                    steered
                        .iter()
                        .filter(|s| wanted.contains(&s.sample))
                        .map(|s| generate::row(self.engine, s, Some(Percentile::clamped(novelty)))),
                );
                bar.advance(wanted.len() as u64);
            }
        }
        bar.finish();
        let seconds = begin.elapsed().as_secs_f64() / computed.max(1) as f64;
        // A step of a latent is a pass through the sampler, and the start is one more.
        let mean = rows.iter().map(|r| 1.0 + r.steps as f64).sum::<f64>() / rows.len().max(1) as f64;
        let calls = self.engine.evaluations().map(|n| mean * n as f64);
        Ok(line(name, &rows, calls, seconds))
    }
}

fn line(name: &str, rows: &[SampleRow], evaluations: Option<f64>, seconds_per_sample: f64) -> Line {
    let pairs: Vec<(f64, f64)> = rows.iter().filter_map(|r| r.novelty_asked.zip(r.novelty_reached)).collect();
    let (asked, reached): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let mut errors: Vec<f64> = pairs.iter().map(|(a, r)| (a - r).abs()).collect();
    errors.sort_by(f64::total_cmp);
    let n = rows.len().max(1) as f64;
    Line {
        name: name.to_owned(),
        spearman: spearman(&asked, &reached).zip(spearman_ceiling(&asked)).map(|(s, c)| s / c),
        spearman_unadjusted: spearman(&asked, &reached),
        median_abs_error: quantile(&errors, 0.5),
        off_manifold: rows.iter().filter(|r| r.status != Status::Ok).count() as f64 / n,
        undefined: rows.len() - pairs.len(),
        mean_angle: rows.iter().map(|r| r.angle).sum::<f64>() / n,
        evaluations,
        seconds_per_sample,
    }
}

fn print(args: &Args, engine: &Engine, lines: &[Line]) -> Result<()> {
    if args.json {
        let methods: Vec<_> = lines
            .iter()
            .map(|l| {
                json!({"name": l.name, "spearman": l.spearman, "spearman_unadjusted": l.spearman_unadjusted, "median_abs_error": l.median_abs_error, "off_manifold": l.off_manifold,
                    "undefined": l.undefined, "mean_angle": l.mean_angle, "evaluations": l.evaluations, "seconds_per_sample": l.seconds_per_sample})
            })
            .collect();
        return output::print_json(&json!({
            "model": engine.generator.spec().id, "reward": args.reward, "quantity": engine.reward.card.quantity,
            "methods": methods,
        }));
    }
    let number = |v: Option<f64>, digits: usize| v.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
    let mut table = vec![output::row([
        "method",
        "spearman",
        "unadjusted",
        "median |error|",
        "undefined",
        "off manifold",
        "mean angle",
        "evaluations",
        "ms/sample",
    ])];
    table.extend(lines.iter().map(|l| {
        output::row([
            &l.name,
            &number(l.spearman, 3),
            &number(l.spearman_unadjusted, 3),
            &number(l.median_abs_error, 2),
            &l.undefined.to_string(),
            &format!("{:.1} %", 100.0 * l.off_manifold),
            &format!("{:.0}°", l.mean_angle),
            &number(l.evaluations, 1),
            &format!("{:.1}", 1e3 * l.seconds_per_sample),
        ])
    }));
    output::print(&output::columns(&table))
}
