//! What every route sees: the folder, the guard, the events, the models and the work.

use super::bench::Bench;
use super::db::Db;
use super::guard::Guard;
use super::hub::Hub;
use super::looks::Looks;
use super::models::Models;
use super::problem::{Code, Problem};
use super::shelf::Shelf;
use crate::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
