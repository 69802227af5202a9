//! What is compared: every method and guide in each of its loops.

use super::Comparison;
use crate::error::{Error, Result, nearest};
use crate::reward::Place;
use crate::steer::{Denoising, Engine, GUIDES, GuideRow, METHODS, Settings, method};

/// A method or a guide, in one loop: one line of the report.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Name of the method.
    pub method: &'static str,
    /// Its row, if it is a guide.
    pub guide: Option<&'static GuideRow>,
    /// The loop it runs in.
    pub runs: Loop,
}

/// The loop an entry runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// By the reward alone.
    Open,
    /// With corrections by measurement.
    Closed,
    /// By the reward alone, with as many candidates as fit into the evaluations of [`BUDGET`] in the closed loop.
    Budget,
    /// Without a level to reach.
    Free,
}

/// The method whose closed loop is the budget of a search.
pub const BUDGET: &str = "gradient";
/// The method that takes whatever budget it gets.
const SEARCH: &str = "search";

impl Entry {
    /// Its name in file names and legends, as in `gradient-closed`.
    pub fn short(&self) -> String {
        match self.runs {
            Loop::Open => format!("{}-open", self.method),
            Loop::Closed => format!("{}-closed", self.method),
            Loop::Budget | Loop::Free => self.method.to_owned(),
        }
    }

    /// Its name in tables, with the number of corrections or candidates.
    pub fn name(&self, corrections: usize, candidates: Option<usize>) -> String {
        let method = self.method;
        match (self.runs, self.guide) {
            (Loop::Open, None) => format!("{method}, open loop"),
            (Loop::Closed, None) => format!("{method}, {corrections} corrections"),
            (Loop::Budget, _) => {
                let count = candidates.map_or("no".to_owned(), |n| n.to_string());
                format!("{method}, {count} candidates (equal evaluations)")
            }
            (Loop::Free, None) => format!("{method} (unguided)"),
            (Loop::Open, Some(_)) => format!("{method} guidance, open loop"),
            (Loop::Closed, Some(_)) => format!("{method} guidance, closed loop"),
            (Loop::Free, Some(_)) => format!("{method} guidance"),
        }
    }

    /// Whether a search of equal evaluations looks at what this entry costs.
    pub fn is_budget(&self) -> bool {
        self.method == BUDGET && self.runs == Loop::Closed
    }
}

/// How a guide is asked to act in a trial.
pub fn denoising(guide: &GuideRow, strength: f64) -> Denoising {
    Denoising { strength, push: !guide.has_set_point, ..Denoising::default() }
}

/// The settings of the closed loop; those of the open one have no corrections.
pub fn settings(asked: &Comparison, engine: &Engine) -> Settings {
    let usual = engine.usual_settings();
    let corrections = asked.corrections.unwrap_or(usual.corrections);
    Settings { steps: asked.steps.unwrap_or(usual.steps), corrections, ..usual }
}

/// Whether guided pictures can be measured: they are not made from a known noise.
pub fn measures_pictures(engine: &Engine) -> bool {
    engine.reward.quantity.row().place == Place::Picture
}

/// Every entry that fits the model and its reward, in the order of the report.
fn fitting(engine: &Engine) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    for row in METHODS {
        let loops: &[Loop] = match row.name {
            SEARCH => &[Loop::Budget],
            _ if !method(row.name)?.moves() => &[Loop::Free],
            _ => &[Loop::Open, Loop::Closed],
        };
        all.extend(loops.iter().map(|runs| Entry { method: row.name, guide: None, runs: *runs }));
    }
    for guide in GUIDES.iter().filter(|g| !g.trial_strengths.is_empty() && measures_pictures(engine)) {
        let loops: &[Loop] = if guide.has_set_point { &[Loop::Open, Loop::Closed] } else { &[Loop::Free] };
        if engine.check_denoising(Some(guide), &denoising(guide, guide.strength)).is_ok() {
            all.extend(loops.iter().map(|runs| Entry { method: guide.name, guide: Some(guide), runs: *runs }));
        }
    }
    Ok(all)
}

/// The entries of the methods asked for, or all that fit the model.
///
/// # Errors
/// [`Error::Key`] for a method that does not fit, with those that do.
pub fn entries(asked: &Comparison, engine: &Engine) -> Result<Vec<Entry>> {
    let all = fitting(engine)?;
    let mut known: Vec<&str> = all.iter().map(|e| e.method).collect();
    known.dedup();
    if let Some(name) = asked.methods.iter().find(|m| !known.contains(&m.as_str())) {
        let near = nearest(name, known.iter().copied()).map_or(String::new(), |n| format!(", did you mean \"{n}\""));
        let why = match GUIDES.iter().any(|g| g.name == name) && !measures_pictures(engine) {
            true => ": by this reward guided pictures cannot be measured".to_owned(),
            false => near,
        };
        let message = format!("no such method for this model{why}; those that fit it: {}", known.join(", "));
        return Err(Error::key_found("methods", name, message));
    }
    let chosen = |name: &str| asked.methods.is_empty() || asked.methods.iter().any(|m| m == name);
    let budget = chosen(SEARCH);
    Ok(all.into_iter().filter(|e| chosen(e.method) || (budget && e.is_budget())).collect())
}
