//! The figures of a comparison, and the tables that show them.

use super::bootstrap::{DRAWS, intervals};
use super::entries::Entry;
use super::evaluation::SteeredEvaluation;
use super::misses::Misses;
use super::recipe::Recipe;
use super::row::TrialRow;
use crate::acts::generate::Identity;
use crate::acts::study::relations::Brightness;
use crate::render::page::{number, row};
use crate::statistics::{quantile, spearman, spearman_ceiling};
use crate::steer::Status;
use serde::Serialize;

/// What the comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct ComparisonReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// The reward's name, if it is not the model's own.
    pub reward: Option<String>,
    /// SHA-256 of the reward's card.
    pub reward_sha256: String,
    /// What the reward predicts.
    pub quantity: String,
    /// What measured it in the closed loop, which chose by this measurement.
    pub estimator: String,
    /// What measured it again at the end, which steering never saw; or that there is nothing to hold out.
    pub remeasured_by: String,
    /// Whether guides are left out, because by this reward their pictures cannot be measured.
    pub guides_left_out: bool,
    /// Draws of the bootstrap over seeds behind each 95 % interval.
    pub draws: usize,
    /// The figures, method by method.
    pub methods: Vec<MethodFigures>,
    /// Steered pictures beside unguided and real ones, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<SteeredEvaluation>,
    /// What its tiles depend on.
    #[serde(skip)]
    pub recipe: Recipe,
    /// Every sample, with the short name of its method; in the order of `methods`.
    #[serde(skip)]
    pub samples: Vec<(String, Vec<TrialRow>)>,
}

/// The figures of one method.
#[derive(Clone, Debug, Serialize)]
pub struct MethodFigures {
    /// Name of the method, with the loop it ran in.
    pub name: String,
    /// The same in short, as in the column `method` of the samples.
    pub short: String,
    /// Rank correlation of asked and reached, as a share of the largest value possible with tied levels.
    pub spearman: Option<f64>,
    /// The same correlation without that adjustment; ties share their mean rank.
    pub spearman_unadjusted: Option<f64>,
    /// 95 % interval of the unadjusted correlation, by drawing seeds.
    pub spearman_unadjusted_interval: Option<[f64; 2]>,
    /// How far samples end from what was asked, over all levels.
    pub misses: Misses,
    /// The same, level by level.
    pub levels: Vec<Misses>,
    /// All of it again by the measurement that steering never saw; absent where there is nothing to hold out.
    pub held_out: Option<HeldOutFigures>,
    /// What is left of the unguided pictures, level by level.
    pub identity: Vec<Identity>,
    /// How much of the level reached is brightness.
    pub brightness: Brightness,
    /// Share of samples further off than the tolerance.
    pub unreached: f64,
    /// Share of samples that are off the manifold or not finite.
    pub off_manifold: f64,
    /// Samples without a measured novelty.
    pub undefined: usize,
    /// Mean angle between a latent and its seed's own, in degrees.
    pub mean_angle: f64,
    /// Mean number of measurements of a sample.
    pub attempts: f64,
    /// Mean number of network evaluations of a sample, its measurements among them.
    pub evaluations: f64,
    /// Seconds of steering and measuring.
    pub seconds_per_sample: f64,
}

/// The figures of one method by the measurement that steering never saw.
#[derive(Clone, Debug, Serialize)]
pub struct HeldOutFigures {
    /// Rank correlation of asked and measured again, without adjustment.
    pub spearman_unadjusted: Option<f64>,
    /// How far samples are from what was asked, over all levels.
    pub misses: Misses,
    /// The same, level by level.
    pub levels: Vec<Misses>,
    /// Median of |reached − measured again|. For unguided samples, among which nothing was chosen, it is what two sets of
    /// directions differ by.
    pub disagreement: Option<f64>,
}

/// Misses over all levels, and level by level.
fn misses(rows: &[TrialRow], miss: impl Fn(&TrialRow) -> Option<f64>) -> (Misses, Vec<Misses>) {
    let all: Vec<(f64, u64, f64)> =
        rows.iter().filter_map(|r| Some((r.sample.novelty_asked?, r.sample.seed, miss(r)?))).collect();
    let mut levels: Vec<f64> = rows.iter().filter_map(|r| r.sample.novelty_asked).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let at = |level: Option<f64>| {
        let of = all.iter().filter(|(asked, ..)| level.is_none_or(|l| l == *asked));
        Misses::of(level, &of.map(|(_, seed, miss)| (*seed, *miss)).collect::<Vec<_>>())
    };
    (at(None), levels.into_iter().map(|l| at(Some(l))).collect())
}

/// Asked beside measured, with the seeds: where both are defined.
fn pairs(rows: &[TrialRow], measured: impl Fn(&TrialRow) -> Option<f64>) -> (Vec<u64>, Vec<f64>, Vec<f64>) {
    let found = rows.iter().filter_map(|r| Some((r.sample.seed, r.sample.novelty_asked?, measured(r)?)));
    let mut all = (Vec::new(), Vec::new(), Vec::new());
    for (seed, asked, measured) in found {
        all.0.push(seed);
        all.1.push(asked);
        all.2.push(measured);
    }
    all
}

/// The figures of an entry's samples.
pub fn figures(entry: &Entry, name: &str, rows: &[TrialRow]) -> MethodFigures {
    let (seeds, asked, reached) = pairs(rows, |r| r.sample.novelty_reached);
    let rho = spearman(&asked, &reached);
    let of = |values: &[f64], drawn: &[usize]| drawn.iter().map(|i| values[*i]).collect::<Vec<f64>>();
    let [interval] = intervals(&seeds, |drawn| [spearman(&of(&asked, drawn), &of(&reached, drawn))]);
    let (all, levels) = misses(rows, TrialRow::miss);
    let n = rows.len().max(1) as f64;
    let mean = |of: &dyn Fn(&TrialRow) -> f64| rows.iter().map(of).sum::<f64>() / n;
    let share = |of: &dyn Fn(&TrialRow) -> bool| rows.iter().filter(|r| of(r)).count() as f64 / n;
    MethodFigures {
        name: name.to_owned(),
        short: entry.short(),
        spearman: rho.zip(spearman_ceiling(&asked)).map(|(rho, most)| rho / most),
        spearman_unadjusted: rho,
        spearman_unadjusted_interval: interval,
        misses: all,
        levels,
        held_out: held_out(rows),
        identity: Identity::by_level(rows.iter().map(|r| &r.sample)),
        brightness: Brightness::of(&rows.iter().filter_map(TrialRow::of_brightness).collect::<Vec<_>>()),
        unreached: share(&|r| r.sample.status == Status::Unreached),
        off_manifold: share(&TrialRow::is_off),
        undefined: rows.len() - reached.len(),
        mean_angle: mean(&|r| r.sample.angle),
        attempts: mean(&|r| r.sample.attempts as f64),
        evaluations: mean(&|r| r.evaluations as f64),
        seconds_per_sample: 1e-3 * mean(&|r| r.ms),
    }
}

fn held_out(rows: &[TrialRow]) -> Option<HeldOutFigures> {
    let (_, asked, again) = pairs(rows, |r| r.sample.novelty_remeasured);
    if again.is_empty() {
        return None;
    }
    let (misses, levels) = misses(rows, TrialRow::miss_remeasured);
    let both = |r: &TrialRow| Some((r.sample.novelty_reached? - r.sample.novelty_remeasured?).abs());
    let mut apart: Vec<f64> = rows.iter().filter_map(both).collect();
    apart.sort_by(f64::total_cmp);
    Some(HeldOutFigures {
        spearman_unadjusted: spearman(&asked, &again),
        misses,
        levels,
        disagreement: quantile(&apart, 0.5),
    })
}

impl ComparisonReport {
    /// The report of these samples.
    pub(super) fn new(recipe: &Recipe, methods: Vec<MethodFigures>, samples: Vec<(String, Vec<TrialRow>)>) -> Self {
        Self {
            model: recipe.model.clone(),
            model_sha256: recipe.model_sha256.clone(),
            reward: recipe.reward.clone(),
            reward_sha256: recipe.reward_sha256.clone(),
            quantity: recipe.quantity.clone(),
            estimator: recipe.estimator.clone(),
            remeasured_by: recipe.remeasured.clone(),
            guides_left_out: false,
            draws: DRAWS,
            methods,
            evaluation: None,
            recipe: recipe.clone(),
            samples,
        }
    }

    /// Order and misses of each method, header first.
    pub fn miss_rows(&self) -> Vec<Vec<String>> {
        let line = |m: &MethodFigures| {
            let rho = number(m.spearman_unadjusted, 3);
            let rho = m.spearman_unadjusted_interval.map_or(rho.clone(), |[a, b]| format!("{rho} ({a:.3} to {b:.3})"));
            [row([&m.name, &rho, &number(m.spearman, 3)]), m.misses.cells()].concat()
        };
        let head = [row(["method", "spearman", "of ceiling"]), Misses::head()].concat();
        [head].into_iter().chain(self.methods.iter().map(line)).collect()
    }

    /// How the samples of each method ended and what they cost, header first.
    pub fn cost_rows(&self) -> Vec<Vec<String>> {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let line = |m: &MethodFigures| {
            row([
                &m.name,
                &percent(m.unreached),
                &m.undefined.to_string(),
                &percent(m.off_manifold),
                &format!("{:.0}°", m.mean_angle),
                &format!("{:.1}", m.attempts),
                &format!("{:.0}", m.evaluations),
                &format!("{:.1}", 1e3 * m.seconds_per_sample),
            ])
        };
        let head = row([
            "method",
            "unreached",
            "undefined",
            "off manifold",
            "mean angle",
            "measured",
            "evaluations",
            "ms/sample",
        ]);
        [head].into_iter().chain(self.methods.iter().map(line)).collect()
    }

    /// The misses by the measurement that chose and by the one held out, method by method, all levels first; header first.
    /// `None` where there is nothing to hold out.
    pub fn held_out_rows(&self) -> Option<Vec<Vec<String>>> {
        let line = |name: &str, chose: &Misses, again: &Misses, more: [String; 2]| {
            let level = chose.asked.map_or("all".to_owned(), |a| a.to_string());
            let [one, two] = [chose, again].map(|m| m.cells());
            let cells = [&one[0], &two[0], &one[1], &two[1], &one[4], &two[4], &one[5], &two[5]].map(String::clone);
            [vec![name.to_owned(), level], cells.to_vec(), more.to_vec()].concat()
        };
        let mut rows = vec![row([
            "method",
            "asked",
            "median |error|",
            "held out",
            "90 %",
            "held out",
            "off by > 3",
            "held out",
            "> 10",
            "held out",
            "spearman held out",
            "apart",
        ])];
        for m in &self.methods {
            let Some(again) = &m.held_out else { continue };
            let order = [number(again.spearman_unadjusted, 3), number(again.disagreement, 2)];
            rows.push(line(&m.name, &m.misses, &again.misses, order));
            let levels = m.levels.iter().zip(&again.levels);
            rows.extend(levels.map(|(one, two)| line(&m.name, one, two, [String::new(), String::new()])));
        }
        (rows.len() > 1).then_some(rows)
    }

    /// What is left of the unguided pictures, method by method and level by level, header first.
    pub fn identity_rows(&self) -> Vec<Vec<String>> {
        let head = [row(["method", "asked"]), Identity::head()].concat();
        let lines = self.methods.iter().flat_map(|m| {
            let line = |l: &Identity| [row([&m.name, &number(l.asked, 0)]), l.cells()].concat();
            m.identity.iter().map(line).collect::<Vec<_>>()
        });
        [head].into_iter().chain(lines).collect()
    }

    /// Rank correlations with brightness, method by method, header first.
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

    /// The misses method by method and level by level, header first.
    pub fn level_rows(&self) -> Vec<Vec<String>> {
        let head = [row(["method", "asked"]), Misses::head()].concat();
        let lines = self.methods.iter().flat_map(|m| {
            let line =
                |l: &Misses| [vec![m.name.clone(), l.asked.map_or("-".into(), |a| a.to_string())], l.cells()].concat();
            m.levels.iter().map(line).collect::<Vec<_>>()
        });
        [head].into_iter().chain(lines).collect()
    }
}
