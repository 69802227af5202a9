//! What happened, told to every open page: server-sent events, numbered, with those that a page missed told again.

use super::db::{Db, KeptEvent};
use super::problem::{Code, Problem, below};
use crate::error::Result;
use crate::limits;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::{self, error::RecvError};

/// Events that wait for a page that reads slowly; beyond them it is told again from what is kept.
const WAITING: usize = 1024;

/// One event. Without a number it is never told again: it says what a page can ask for at any time.
#[derive(Clone, Debug)]
struct Told {
    id: Option<i64>,
    kind: String,
    json: String,
}

impl Told {
    fn event(&self) -> Event {
        let event = Event::default().event(&self.kind).data(&self.json);
        match self.id {
            Some(id) => event.id(id.to_string()),
            None => event,
        }
    }
}

/// Where events come from and go to.
pub struct Hub {
    db: Arc<Db>,
    root: PathBuf,
    sender: broadcast::Sender<Told>,
    /// Held while an event gets its number and is told, so that numbers go up in every stream.
    order: Mutex<()>,
    readers: Arc<Readers>,
}

/// How many pages listen, and since when none does.
struct Readers {
    count: AtomicUsize,
    alone_since: Mutex<Instant>,
}

/// A page that listens.
struct Reader(Arc<Readers>);

impl Drop for Reader {
    fn drop(&mut self) {
        *self.0.alone_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Hub {
    /// A hub that keeps its events in `db`. Texts of errors show paths below `root`.
    pub fn new(db: Arc<Db>, root: PathBuf) -> Self {
        let readers = Readers { count: AtomicUsize::new(0), alone_since: Mutex::new(Instant::now()) };
        Self { db, root, sender: broadcast::Sender::new(WAITING), order: Mutex::new(()), readers: Arc::new(readers) }
    }

    /// Tells every page, and keeps the event for those that are away.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`].
    pub fn tell(&self, kind: &'static str, content: &impl Serialize) -> Result<()> {
        let json = text(content)?;
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        // A disk that takes nothing keeps nobody from hearing it.
        let id = self.db.keep_event(kind, &json).ok();
        // Nobody listening is no error.
        let _ = self.sender.send(Told { id, kind: kind.into(), json });
        Ok(())
    }

    /// Tells those pages that listen now.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`].
    pub fn mention(&self, kind: &'static str, content: &impl Serialize) -> Result<()> {
        let _ = self.sender.send(Told { id: None, kind: kind.into(), json: text(content)? });
        Ok(())
    }

    /// How many pages listen.
    pub fn readers(&self) -> usize {
        self.readers.count.load(Ordering::SeqCst)
    }

    /// Somebody who may not listen is there all the same: it asked for something.
    pub fn asked(&self) {
        *self.readers.alone_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// For how long no page has listened or asked; `None` while one listens.
    pub fn alone_for(&self) -> Option<Duration> {
        let alone = self.readers() == 0;
        alone.then(|| self.readers.alone_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed())
    }

    /// The events after number `last`, then each as it happens. A page that asks for events that are no longer kept gets
    /// the event `reset`, and reads the whole state again.
    ///
    /// # Errors
    /// 503 where too many pages listen already.
    pub fn stream(
        &self,
        last: Option<i64>,
    ) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>> + use<>>, Problem> {
        let reader = Reader(Arc::clone(&self.readers));
        if self.readers.count.fetch_add(1, Ordering::SeqCst) >= limits::EVENT_STREAMS {
            drop(reader);
            return Err(Problem::new(
                Code::Worker,
                format!("{} pages are open already; close some", limits::EVENT_STREAMS),
            ));
        }
        // Listening begins before the past is read, so that nothing falls between the two.
        let receiver = self.sender.subscribe();
        let newest = self.db.last_event().map_err(|e| Problem::of(&e, &self.root))?;
        let mut listener = Listener {
            receiver,
            db: Arc::clone(&self.db),
            root: self.root.clone(),
            told: last.unwrap_or(newest),
            waiting: VecDeque::from([Event::default().retry(Duration::from_secs(1)).comment("isoline")]),
            _reader: reader,
        };
        if last.is_some() {
            listener.catch_up();
        }
        let stream = futures_util::stream::unfold(listener, |mut listener| async move {
            let event = listener.next().await?;
            Some((Ok(event), listener))
        });
        Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("")))
    }
}

/// One page's place in the events.
struct Listener {
    receiver: broadcast::Receiver<Told>,
    db: Arc<Db>,
    root: PathBuf,
    /// Number of the last event that was told.
    told: i64,
    waiting: VecDeque<Event>,
    _reader: Reader,
}

impl Listener {
    /// Puts what is kept after the last event told into the line.
    fn catch_up(&mut self) {
        match self.db.events_after(self.told) {
            Ok(Some(missed)) => {
                for KeptEvent { id, kind, json } in missed {
                    self.told = id;
                    self.waiting.push_back(Told { id: Some(id), kind, json }.event());
                }
            }
            Ok(None) => {
                self.told = self.db.last_event().unwrap_or(self.told);
                self.waiting.push_back(Event::default().event("reset").id(self.told.to_string()).data("{}"));
            }
            Err(e) => self.waiting.push_back(Event::default().comment(below(&e.to_string(), &self.root))),
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            match self.receiver.recv().await {
                Ok(told) => match told.id {
                    // It was among those told from what is kept.
                    Some(id) if id <= self.told => {}
                    id => {
                        self.told = id.unwrap_or(self.told);
                        return Some(told.event());
                    }
                },
                Err(RecvError::Lagged(_)) => self.catch_up(),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

fn text(content: &impl Serialize) -> Result<String> {
    serde_json::to_string(content).map_err(|e| crate::error::Error::Bug(format!("event: {e}")))
}
