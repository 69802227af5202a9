//! The studio: a page in the browser over a folder of runs, served by this program to this machine.
//!
//! `serve` listens, `guard` says who may ask, `routes` answer, `hub` tells every page what happens. The process that makes
//! pictures is another one (`worker`); `bench` gives it something to do, `looks` says what goes first, `shelf` keeps what was
//! made. `docs/studio.md` has the whole picture.

mod app;
mod assets;
mod bench;
mod db;
mod guard;
mod hub;
mod journal;
mod keep;
mod looks;
mod models;
mod pictures;
mod problem;
mod queue;
mod routes;
mod scan;
mod serve;
mod shelf;
mod taste;
mod token;
mod worker;

pub use serve::bind;
pub use worker::child::run as work;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::store::{self, Lock};
use app::App;
use bench::Bench;
use db::{Db, JobRow, JobState};
use guard::Guard;
use hub::Hub;
use journal::Journal;
use looks::{Looks, Subject};
use models::Models;
use shelf::Shelf;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use taste::Taste;
use token::Token;

/// How a studio is started.
pub struct Studio {
    /// The folder of the run folders.
    pub root: PathBuf,
    /// The model to begin with.
    pub model: String,
    /// Names that it may be called by, behind a proxy.
    pub names: Vec<String>,
    /// The device that pictures are made on.
    pub device: String,
    /// The program whose `studio-worker` makes them.
    pub program: PathBuf,
    /// Whether the database is made anew from the run folders and the journal.
    pub rebuild: bool,
}

impl Studio {
    /// Serves until it is stopped. `ready` gets the address to open, as soon as requests are answered.
    ///
    /// # Errors
    /// [`Error::Busy`] where another studio works in the same folder; [`Error::Io`]; [`Error::Input`] for a database that cannot
    /// be used.
    pub fn run(self, listener: TcpListener, cancel: &Cancel, ready: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        store::create_dir(&self.root)?;
        let root = self.root.canonicalize().map_err(|e| Error::io(&self.root, "open", e))?;
        let own = root.join(".studio");
        store::create_dir(&own)?;
        let _lock = Lock::exclusive(&own.join("studio.lock"))?;
        let address = listener.local_addr().map_err(|e| Error::io("<network>", "listen to", e))?;
        let open = !address.ip().is_loopback();
        let (text, token) = match open {
            true => Token::in_file(&own.join("token")).map(|(text, token)| (format!("#token={text}"), Some(token)))?,
            false => (String::new(), None),
        };
        if self.rebuild {
            Db::remove(&own)?;
        }
        let fresh = !own.join("studio.db").exists();
        let db = Arc::new(Db::open(&own)?);
        let hub = Arc::new(Hub::new(Arc::clone(&db), root.clone()));
        let app = Arc::new(App {
            shelf: Shelf::open(&own.join("cache"))?,
            guard: Guard { port: address.port(), names: self.names, open, token },
            model: self.model,
            db,
            hub,
            models: Models::default(),
            looks: Mutex::new(Looks::default()),
            journal: Journal::open(&own)?,
            keeping: Mutex::default(),
            undos: Mutex::default(),
            recipes: Mutex::default(),
            seen: Mutex::default(),
            taste: Taste::default(),
            choosing: Mutex::default(),
            bench: Bench::new(self.program, self.device),
            root,
        });
        if fresh {
            app.journal.replay(&app.db)?;
        }
        begin(&app)?;
        app.bench.load(Subject { model: app.model.clone(), reward: None });
        // Requests are answered on a thread of their own, whatever the queue has to read.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|e| Error::io("<network>", "listen to", e))?;
        let done = runtime.block_on(async {
            ready(&format!("http://{address}/{text}"))?;
            let (served, stop) = (Arc::clone(&app), cancel.clone());
            let serving = tokio::spawn(async move { serve::serve(served, listener, &stop).await });
            tokio::select! {
                served = serving => served.map_err(|e| Error::Bug(e.to_string()))?,
                () = bench::run(Arc::clone(&app)) => Ok(()),
                () = scan::keep_scanning(Arc::clone(&app)) => Ok(()),
            }
        });
        // Requests that still wait for a disk are not waited for: nothing of theirs is half-written.
        runtime.shutdown_background();
        done
    }
}

/// Reads the run folders, and puts those that an earlier studio planned and did not finish back into the queue. What ran when
/// it ended goes on first, since it stands first; a batch that no job is known of waits to be resumed.
fn begin(app: &App) -> Result<()> {
    scan::scan(app)?;
    let jobs = app.db.jobs()?;
    for job in jobs.iter().filter(|j| matches!(j.state, JobState::Running | JobState::Elsewhere)) {
        app.db.keep_job(&JobRow { state: JobState::Queued, reason: None, ..job.clone() })?;
    }
    let known = |run: &str| jobs.iter().any(|j| j.run == run);
    let open = app.db.runs()?.into_iter().filter(|r| r.kind == GENERATE && r.done < r.wanted && !known(&r.name));
    for run in open {
        let id = app.db.enqueue(&run.name, run.made_at)?;
        if let Some(job) = queue::find(app, id)? {
            let reason = Some("found unfinished".into());
            app.db.keep_job(&JobRow { state: JobState::Paused, reason, ..job })?;
        }
    }
    Ok(())
}

/// The act whose runs have pictures.
const GENERATE: &str = crate::acts::generate::ROW.name;
