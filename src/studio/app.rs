//! What every route sees: the folder, the guard, the events, the models and the work.

use super::bench::Bench;
use super::db::{Changes, Db};
use super::guard::Guard;
use super::hub::Hub;
use super::journal::Journal;
use super::looks::Looks;
use super::models::Models;
use super::problem::{Code, Problem};
use super::scan::Seen;
use super::shelf::Shelf;
use super::taste::Taste;
use crate::acts::generate::Recipe;
use crate::error::Error;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Name of the setting that the queue rests.
const PAUSED: &str = "paused";
/// Recipes that are remembered.
const RECIPES: usize = 4_096;

/// The studio while it runs.
pub struct App {
    /// The folder of the run folders, absolute.
    pub root: PathBuf,
    /// The model that a new page begins with.
    pub model: String,
    /// Who may ask.
    pub guard: Guard,
    /// The studio's own memory.
    pub db: Arc<Db>,
    /// Who is told.
    pub hub: Arc<Hub>,
    /// The models at hand, and what the worker has said of them.
    pub models: Models,
    /// Pictures that were looked at.
    pub shelf: Shelf,
    /// What is still to be looked at.
    pub looks: Mutex<Looks>,
    /// The worker's side of it.
    pub bench: Bench,
    /// What people said of pictures.
    pub journal: Journal,
    /// Held while a plan of kept pictures is read, grown and written.
    pub keeping: Mutex<()>,
    /// Changes of marks that can be taken back.
    pub undos: Mutex<Undos>,
    /// The recipes of pictures that were looked at, each with its model's name.
    pub recipes: Mutex<BTreeMap<String, (String, Recipe)>>,
    /// What the run folders looked like when they were read.
    pub seen: Mutex<Seen>,
    /// What was learnt from choices between pictures.
    pub taste: Taste,
    /// Held while a choice is made or taken back.
    pub choosing: Mutex<()>,
}

/// Changes that bring back what was before, the last ones; each with its number.
#[derive(Default)]
pub struct Undos {
    /// The number of the last.
    pub last: u64,
    /// The changes.
    pub kept: VecDeque<(u64, Changes)>,
}

impl App {
    /// An error of the library, for the page.
    pub fn problem(&self, error: &Error) -> Problem {
        Problem::of(error, &self.root)
    }

    /// What is still to be looked at.
    pub fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the run folders looked like when they were read.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model and the recipe of pictures that were looked at.
    pub fn recipe(&self, run_id: &str) -> Option<(String, Recipe)> {
        self.recipes.lock().unwrap_or_else(PoisonError::into_inner).get(run_id).cloned()
    }

    /// Remembers the recipe of pictures.
    pub fn remember(&self, run_id: &str, model: &str, recipe: Recipe) {
        let mut known = self.recipes.lock().unwrap_or_else(PoisonError::into_inner);
        // A dragged slider asks for many levels; what is dropped is known again with the next look.
        if known.len() >= RECIPES {
            known.clear();
        }
        known.insert(run_id.to_owned(), (model.to_owned(), recipe));
    }

    /// Whether the whole queue rests.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn paused(&self) -> Result<bool, Error> {
        Ok(self.db.settings()?.get(PAUSED).is_some_and(|v| v == "true"))
    }

    /// Lets the queue rest, or go on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pause(&self, paused: bool) -> Result<(), Error> {
        self.db.keep_settings(&[(PAUSED, paused.to_string())])?;
        self.hub.tell("queue", &serde_json::json!({ "paused": paused }))?;
        self.bench.wake();
        Ok(())
    }

    /// Lets the queue rest if it was to rest after this job.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pause_if_asked(&self, job: i64) -> Result<(), Error> {
        if self.bench.rests_after(job) { self.pause(true) } else { Ok(()) }
    }

    /// The bytes of a picture of a run, by one of them, if there is one.
    pub fn picture_bytes(&self, run: &str) -> Option<u64> {
        let file = self.db.a_file(run).ok()??;
        std::fs::metadata(self.root.join(file)).ok().map(|m| m.len())
    }

    /// Runs what waits for a disk beside the requests.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&app)).await;
        done.unwrap_or_else(|e| Err(Problem::new(Code::Bug, format!("a request failed: {e}"))))
    }
}
