//! `steer-report`: compares the novelty asked for with the novelty measured, method by method.

use super::misses::Misses;
use super::relations::Brightness;
use super::{Compared, compared, seeds};
use crate::acts::generate::Identity;
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::{Classifier, find_model};
use crate::limits;
use crate::progress::Progress;
use crate::render::page::{number, row};
use crate::statistics::{spearman, spearman_ceiling};
use crate::steer::{Denoising, Engine, GUIDES, GuideRow, Settings, Status};
use crate::store;
use crate::tile::Tiling;
use crate::units::Percentile;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// A comparison of methods that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Comparison {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Reward beside the model's own, by its name; see isoline list rewards
    #[arg(long, value_name = "NAME")]
    pub reward: Option<String>,
    /// Seeds, as in 0-255
    #[arg(long, value_name = "LIST", default_value = "0-63")]
    pub seeds: String,
    /// Percentiles to ask for
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5,25,50,75,95")]
    pub novelty: Vec<f64>,
    /// Most corrections by measurement in the closed loop [default: 24]
    #[arg(long, value_name = "N", value_parser = corrections)]
    pub corrections: Option<usize>,
    /// Steps of the open loop [default: 48; 12 for diffusion models]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Tells whether pictures keep their class: folder of a card of the family classifier
    #[arg(long, value_name = "DIR")]
    pub classifier: Option<String>,
    /// Samples per tile
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub tile: usize,
}

fn corrections(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|n| (1..=64).contains(n)).ok_or_else(|| "expected 1 to 64".to_owned())
}

/// What the comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct ComparisonReport {
    /// Model id.
    pub model: String,
    /// The reward's name, if it is not the model's own.
    pub reward: Option<String>,
    /// What the reward predicts.
    pub quantity: String,
    /// The figures, method by method.
    pub methods: Vec<MethodFigures>,
}

/// The figures of one method.
#[derive(Clone, Debug, Serialize)]
pub struct MethodFigures {
    /// Name of the method, with the loop it ran in.
    pub name: String,
    /// Rank correlation of asked and reached, as a share of the largest value possible with tied levels.
    pub spearman: Option<f64>,
    /// The same correlation without that adjustment; ties share their mean rank.
    pub spearman_unadjusted: Option<f64>,
    /// How far samples end from what was asked, over all levels.
    pub misses: Misses,
    /// The same, level by level.
    pub levels: Vec<Misses>,
    /// What is left of the unguided pictures, level by level.
    pub identity: Vec<Identity>,
    /// How much of the level reached is brightness.
    pub brightness: Brightness,
    /// Share of samples that are off the manifold or not finite.
    pub off_manifold: f64,
    /// Samples without a measured novelty.
    pub undefined: usize,
    /// Mean angle between a latent and its seed's own, in degrees.
    pub mean_angle: f64,
    /// Mean number of measurements of a sample.
    pub attempts: f64,
    /// Denoiser calls that the steering took, as a mean over samples; only for a diffusion model.
    pub evaluations: Option<f64>,
    /// Seconds of steering and measuring.
    pub seconds_per_sample: f64,
}

impl Comparison {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        if let Some(n) = self.novelty.iter().find(|n| !(0.0..=100.0).contains(*n)) {
            return Err(Error::key("novelty", format!("expected a percentile from 0 to 100, found {n}")));
        }
        if !(1..=limits::TILE).contains(&self.tile) {
            return Err(Error::key("tile", format!("expected 1 to {}, found {}", limits::TILE, self.tile)));
        }
        seeds("seeds", &self.seeds)?;
        self.reward.as_ref().map_or(Ok(()), |name| store::check_id(name).map_err(|m| Error::key("reward", m)))
    }

    /// Steers every seed to every novelty with every method, and measures what was reached.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model and the device, or a stop.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<ComparisonReport> {
        self.check()?;
        let seeds = seeds("seeds", &self.seeds)?;
        let engine = Engine::load(&find_model(&self.model)?, self.reward.as_deref(), device)?;
        let classifier =
            self.classifier.as_deref().map(|name| Classifier::load(&find_model(name)?, device)).transpose()?;
        let classifier = classifier.as_ref();
        let first = &seeds[..seeds.len().min(self.tile)];
        let warm = Trial { engine: &engine, classifier, asked: self, seeds: first, progress, cancel };
        let methods = Trial { seeds: &seeds, ..warm }.every_method(&warm)?;
        Ok(ComparisonReport {
            model: engine.generator.spec().id.clone(),
            reward: self.reward.clone(),
            quantity: engine.reward.card.quantity.clone(),
            methods,
        })
    }
}

/// Some seeds, to be steered to all levels.
#[derive(Clone, Copy)]
struct Trial<'a> {
    engine: &'a Engine,
    classifier: Option<&'a Classifier>,
    asked: &'a Comparison,
    seeds: &'a [u64],
    progress: &'a Progress,
    cancel: &'a Cancel,
}

/// Guided samples, with what they cost.
struct Guided {
    rows: Vec<Compared>,
    /// Number of samples computed, which includes the unwanted ones in the tiles.
    computed: usize,
    seconds: f64,
}

impl Trial<'_> {
    fn every_method(&self, warm: &Self) -> Result<Vec<MethodFigures>> {
        let usual = self.engine.usual_settings();
        let corrections = self.corrections();
        let closed = Settings { steps: self.asked.steps.unwrap_or(usual.steps), corrections, ..usual };
        let open = Settings { corrections: 0, ..closed.clone() };
        warm.latents("gradient", "warm-up", &open)?;
        let mut methods = vec![
            self.latents("gradient", "gradient, open loop", &open)?,
            self.latents("gradient", &format!("gradient, {corrections} corrections"), &closed)?,
        ];
        let candidates = self.candidates(warm, &open, methods[1].seconds_per_sample)?;
        let name = format!("search, {candidates} candidates (equal seconds)");
        methods.push(self.latents("search", &name, &Settings { steps: candidates, ..open.clone() })?);
        methods.push(self.latents("truncation", "truncation, open loop", &open)?);
        methods.push(self.latents("truncation", &format!("truncation, {corrections} corrections"), &closed)?);
        methods.push(self.latents("none", "none (unguided)", &open)?);
        if self.engine.evaluations().is_some() {
            methods.extend(self.guides(warm)?);
        }
        Ok(methods)
    }

    fn corrections(&self) -> usize {
        self.asked.corrections.unwrap_or(self.engine.usual_settings().corrections)
    }

    /// The number of candidates with which a search takes `seconds` per sample, estimated from two short searches.
    fn candidates(&self, warm: &Self, open: &Settings, seconds: f64) -> Result<usize> {
        let cost = |steps| {
            let settings = Settings { steps, ..open.clone() };
            warm.latents("search", "sizing the search", &settings).map(|m| m.seconds_per_sample)
        };
        let sizes = self.engine.generator.spec().usual.trial_candidates;
        let (short, long) = (cost(sizes[0])?, cost(sizes[1])?);
        // On a busy machine the longer search may seem to cost nothing extra; the search then gets no more than its
        // candidates.
        let per_step = (long - short) / (sizes[1] - sizes[0]) as f64;
        let [first, last] = sizes.map(|s| s as f64);
        let fitting = if per_step > 0.0 { first + (seconds - short) / per_step } else { last };
        Ok(fitting.clamp(1.0, limits::STEPS as f64) as usize)
    }

    /// Runs every guide over all seeds and levels. For each level a guide gets the strength whose mean on the warm-up
    /// tile came nearest; finding that strength does not count in the seconds.
    fn guides(&self, warm: &Self) -> Result<Vec<MethodFigures>> {
        let mut methods = Vec::new();
        let mut means: BTreeMap<(&str, u64, u64), f64> = BTreeMap::new();
        let loops = |guide: &'static GuideRow| {
            [false, true].into_iter().take(1 + usize::from(guide.has_set_point)).map(move |closed| (guide, closed))
        };
        for (guide, closed) in GUIDES.iter().filter(|g| !g.trial_strengths.is_empty()).flat_map(loops) {
            let strengths = guide.trial_strengths;
            let name = match (guide.has_set_point, closed) {
                (false, _) => format!("{} guidance", guide.name),
                (true, false) => format!("{} guidance, open loop", guide.name),
                (true, true) => format!("{} guidance, closed loop", guide.name),
            };
            let mut all = Guided { rows: Vec::new(), computed: 0, seconds: 0.0 };
            for &novelty in &self.asked.novelty {
                let mut best = (f64::INFINITY, strengths[0]);
                for strength in strengths {
                    // Without a set-point a strength gives the same pictures whatever level is asked.
                    let level = if guide.has_set_point { novelty.to_bits() } else { 0 };
                    let key = (guide.name, level, strength.to_bits());
                    let mean = match means.get(&key) {
                        Some(mean) => *mean,
                        None => {
                            let found = warm.guided(guide, *strength, novelty, false)?.rows;
                            let reached: Vec<f64> = found.iter().filter_map(|r| r.row.novelty_reached).collect();
                            reached.iter().sum::<f64>() / reached.len().max(1) as f64
                        }
                    };
                    means.insert(key, mean);
                    let off = (mean - novelty).abs();
                    if off < best.0 {
                        best = (off, *strength);
                    }
                }
                let found = self.guided(guide, best.1, novelty, closed)?;
                all.rows.extend(found.rows);
                all.computed += found.computed;
                all.seconds += found.seconds;
            }
            let mean = all.rows.iter().map(|r| r.row.steps as f64).sum::<f64>() / all.rows.len().max(1) as f64;
            methods.push(figures(&name, &all.rows, Some(mean), all.seconds / all.computed.max(1) as f64));
        }
        Ok(methods)
    }

    /// Runs one guide at one strength.
    fn guided(&self, guide: &GuideRow, strength: f64, novelty: f64, closed: bool) -> Result<Guided> {
        let bar = self.progress.start(format!("{} at {strength}, {novelty}", guide.name), self.seeds.len() as u64);
        let settings = Denoising { strength, push: !guide.has_set_point, ..Denoising::default() };
        let corrections = if closed { self.corrections() } else { 0 };
        let steering = Settings { corrections, ..self.engine.usual_settings() };
        let target = Some(Percentile::clamped(novelty));
        let tiling = Tiling::new(self.asked.tile);
        let (mut rows, mut count, mut seconds) = (Vec::new(), 0, 0.0);
        for (tile, wanted) in tiling.cover(self.seeds) {
            let samples: Vec<u64> = tiling.samples(tile).collect();
            let begin = Instant::now();
            let found = self.engine.guide(Some(guide), &settings, &samples, target, &steering, self.cancel)?;
            (count, seconds) = (count + found.len(), seconds + begin.elapsed().as_secs_f64());
            let all = compared(self.engine, guide.name, Some(&settings), &found, target, self.classifier, self.cancel)?;
            rows.extend(all.into_iter().filter(|c| wanted.contains(&c.row.seed)));
            bar.advance(wanted.len() as u64);
        }
        bar.finish();
        Ok(Guided { rows, computed: count, seconds })
    }

    /// Runs one method on latents, over all seeds and levels.
    fn latents(&self, method: &str, name: &str, settings: &Settings) -> Result<MethodFigures> {
        let bar = self.progress.start(name.to_owned(), (self.seeds.len() * self.asked.novelty.len()) as u64);
        let (mut rows, mut count, mut seconds) = (Vec::new(), 0, 0.0);
        let tiling = Tiling::new(self.asked.tile);
        for (tile, wanted) in tiling.cover(self.seeds) {
            let samples: Vec<u64> = tiling.samples(tile).collect();
            for &novelty in &self.asked.novelty {
                let target = Some(Percentile::clamped(novelty));
                let begin = Instant::now();
                let steered =
                    self.engine.steer(method, &samples, &vec![target; samples.len()], settings, self.cancel)?;
                (count, seconds) = (count + steered.len(), seconds + begin.elapsed().as_secs_f64());
                let found = self.engine.pictures(steered, 0, self.cancel)?;
                let all = compared(self.engine, method, None, &found, target, self.classifier, self.cancel)?;
                rows.extend(all.into_iter().filter(|c| wanted.contains(&c.row.seed)));
                bar.advance(wanted.len() as u64);
            }
        }
        bar.finish();
        let seconds = seconds / count.max(1) as f64;
        // Each step of a latent is a pass through the sampler, and the start is one more.
        let mean = rows.iter().map(|r: &Compared| 1.0 + r.row.steps as f64).sum::<f64>() / rows.len().max(1) as f64;
        let calls = self.engine.evaluations().map(|n| mean * n as f64);
        Ok(figures(name, &rows, calls, seconds))
    }
}

fn figures(name: &str, all: &[Compared], evaluations: Option<f64>, seconds_per_sample: f64) -> MethodFigures {
    let rows = || all.iter().map(|c| &c.row);
    let pairs: Vec<(f64, f64)> = rows().filter_map(|r| r.novelty_asked.zip(r.novelty_reached)).collect();
    let (asked, reached): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let misses = |level: Option<f64>| {
        let at = pairs.iter().filter(|(a, _)| level.is_none_or(|l| l == *a));
        Misses::of(level, at.map(|(a, r)| (a - r).abs()).collect())
    };
    let mut levels: Vec<f64> = asked.clone();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let n = all.len().max(1) as f64;
    let rho = spearman(&asked, &reached);
    MethodFigures {
        name: name.to_owned(),
        spearman: rho.zip(spearman_ceiling(&asked)).map(|(rho, most)| rho / most),
        spearman_unadjusted: rho,
        misses: misses(None),
        levels: levels.into_iter().map(|l| misses(Some(l))).collect(),
        identity: Identity::by_level(rows()),
        brightness: Brightness::of(&all.iter().filter_map(Compared::of_brightness).collect::<Vec<_>>()),
        off_manifold: rows().filter(|r| !matches!(r.status, Status::Ok | Status::Unreached)).count() as f64 / n,
        undefined: all.len() - pairs.len(),
        mean_angle: rows().map(|r| r.angle).sum::<f64>() / n,
        attempts: rows().map(|r| r.attempts as f64).sum::<f64>() / n,
        evaluations,
        seconds_per_sample,
    }
}

impl ComparisonReport {
    /// The printed table of methods, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let line = |m: &MethodFigures| {
            let first = row([&m.name, &number(m.spearman_unadjusted, 3), &number(m.spearman, 3)]);
            let last = row([
                &m.undefined.to_string(),
                &format!("{:.1} %", 100.0 * m.off_manifold),
                &format!("{:.0}°", m.mean_angle),
                &format!("{:.1}", m.attempts),
                &number(m.evaluations, 1),
                &format!("{:.1}", 1e3 * m.seconds_per_sample),
            ]);
            [first, m.misses.cells(), last].concat()
        };
        let first = row(["method", "spearman", "of ceiling"]);
        let last = row(["undefined", "off manifold", "mean angle", "measured", "evaluations", "ms/sample"]);
        let head = [first, Misses::head(), last].concat();
        [head].into_iter().chain(self.methods.iter().map(line)).collect()
    }

    /// The printed table of what is left of the unguided pictures, method by method and level by level, header first.
    pub fn identity_rows(&self) -> Vec<Vec<String>> {
        let head = [row(["method", "asked"]), Identity::head()].concat();
        let lines = self.methods.iter().flat_map(|m| {
            let line = |l: &Identity| [row([&m.name, &number(l.asked, 0)]), l.cells()].concat();
            m.identity.iter().map(line).collect::<Vec<_>>()
        });
        [head].into_iter().chain(lines).collect()
    }

    /// The printed table of rank correlations with brightness, header first.
    pub fn brightness_rows(&self) -> Vec<Vec<String>> {
        let shown =
            |[v, low, high]: [Option<f64>; 3]| format!("{} ({} to {})", number(v, 2), number(low, 2), number(high, 2));
        let line = |m: &MethodFigures| {
            let Brightness { reached_ink, asked_reached, asked_reached_given_ink, .. } = &m.brightness;
            row([&m.name, &shown(*reached_ink), &shown(*asked_reached), &shown(*asked_reached_given_ink)])
        };
        let head = row(["method", "reached and ink", "asked and reached", "the same given ink"]);
        [head].into_iter().chain(self.methods.iter().map(line)).collect()
    }

    /// The printed table of misses, method by method and level by level, header first.
    pub fn level_rows(&self) -> Vec<Vec<String>> {
        let head = [row(["method", "asked"]), Misses::head()].concat();
        let lines = self.methods.iter().flat_map(|m| {
            let line = |l: &Misses| [row([&m.name, &number(l.asked, 0)]), l.cells()].concat();
            m.levels.iter().map(line).collect::<Vec<_>>()
        });
        [head].into_iter().chain(lines).collect()
    }
}
