//! Compares what a run directory holds with what its plan wants. `isoline verify`, `isoline status`, `isoline merge`
//! and the tests all use this one check.

use super::events::{Session, sessions};
use super::plan::Plan;
use super::shard::{Manifest, Shard};
use super::work::{TileState, Work};
use crate::error::Result;
use crate::store::{self, Lock};
use std::path::Path;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The tile, counted over all jobs; `None` if the problem belongs to no tile.
    pub tile: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// Whether it is a record of another run, which isoline will not replace.
    pub foreign: bool,
}

/// The result of a survey.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Samples wanted.
    pub wanted: u64,
    /// Samples finished.
    pub done: u64,
    /// How many of these were not finite.
    pub non_finite: u64,
    /// Number of tiles, and how many of them are finished.
    pub tiles: (u64, u64),
    /// Tiles that are not finished.
    pub missing: Vec<u64>,
    /// What is damaged, foreign or left over.
    pub problems: Vec<Problem>,
    /// Shards without a manifest of this plan, if the plan fixes the number of shards.
    pub missing_shards: Option<Vec<u64>>,
    /// What the logs say.
    pub sessions: Vec<Session>,
    /// The processes working here now.
    pub holders: Vec<String>,
    /// SHA-256 and path of every finished file, in the order of tiles.
    pub files: Vec<(String, String)>,
    /// Index into `files` at which each tile's files begin, with the total number of files at the end.
    pub starts: Vec<usize>,
}

impl Survey {
    /// Whether everything wanted is there and intact.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.problems.is_empty()
    }

    /// Samples per second of the processes still running, and the seconds left at that rate.
    pub fn rate(&self) -> (Option<f64>, Option<f64>) {
        let running = self.sessions.iter().filter(|s| s.code.is_none()).filter_map(Session::rate);
        let rate = Some(running.sum::<f64>()).filter(|r| *r > 0.0 && !self.holders.is_empty());
        (rate, rate.map(|r| (self.wanted - self.done) as f64 / r))
    }
}

/// Examines every tile; with `hash` every file is read and compared.
///
/// # Errors
/// [`crate::error::Error::Io`] if logs or folders cannot be read.
pub fn survey(folder: &Path, plan: &Plan, work: &dyn Work, hash: bool) -> Result<Survey> {
    let mut survey = Survey { tiles: (work.tiles(), 0), ..Survey::default() };
    for tile in 0..work.tiles() {
        let mut state = work.state(tile, hash);
        survey.wanted += state.wanted;
        survey.done += state.done;
        survey.non_finite += state.non_finite;
        survey.starts.push(survey.files.len());
        survey.files.append(&mut state.files);
        if state.is_done() {
            survey.tiles.1 += 1;
        } else {
            survey.missing.push(tile);
        }
        survey.problems.extend(problem(tile, &state));
    }
    survey.starts.push(survey.files.len());
    survey.holders = holders(folder, plan);
    if survey.holders.is_empty() {
        for found in work.folders() {
            let left = store::unfinished(&found)?.into_iter();
            survey.problems.extend(left.map(|path| Problem {
                tile: None,
                what: format!("{} was left by a process that was killed", crate::error::shown(&path)),
                foreign: false,
            }));
        }
    }
    survey.sessions = sessions(folder)?;
    survey.missing_shards = plan.shards.map(|count| {
        let absent = |index: &u64| Manifest::find(folder, Shard { index: *index, count }, &plan.id()).is_none();
        (0..count).filter(absent).collect()
    });
    Ok(survey)
}

fn problem(tile: u64, state: &TileState) -> Option<Problem> {
    let (what, foreign) = match (&state.foreign, &state.damaged) {
        (Some(why), _) => (why, true),
        (None, Some(why)) => (why, false),
        (None, None) => return None,
    };
    Some(Problem { tile: Some(tile), what: what.clone(), foreign })
}

/// The processes working in the run now: those that hold its lock or the locks of its shards.
fn holders(folder: &Path, plan: &Plan) -> Vec<String> {
    let shard = |index| {
        let shard = Shard { index, count: plan.shards? };
        let holder = Lock::holder(&folder.join(format!("shards/{}.lock", shard.name())))?;
        Some(format!("shard {}: {holder}", shard.label()))
    };
    let own = Lock::holder(&folder.join("run.lock"));
    own.into_iter().chain((0..plan.shards.unwrap_or(0)).filter_map(shard)).collect()
}
