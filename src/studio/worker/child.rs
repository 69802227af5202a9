//! The worker's own loop: it reads a line, does what it says, and answers. It ends when the studio's end of its pipe closes.

use super::talk::{Answer, Ask, Loaded};
use crate::acts::generate::{Shot, Subject, Templates, look};
use crate::cancel::Cancel;
use crate::device::{self, Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::find_model;
use crate::panics::caught;
use crate::units::Percentile;
use std::io::{BufRead, Write};
use std::sync::mpsc;

/// Models that stay in memory; the one used longest ago goes first.
const MODELS: usize = 2;

/// Works until the studio closes the pipe.
///
/// # Errors
/// [`Error::Device`] for a device that cannot be opened; [`Error::Io`] where the studio no longer listens.
pub fn run(device: &str) -> Result<()> {
    let cancel = Cancel::never();
    let asks = listen(cancel.clone());
    let mut child = match device::open(device) {
        Ok(device) => Child { device, cancel, models: Vec::new() },
        Err(e) => return say(&failed(&e)),
    };
    say(&Answer::Ready { device: child.device.0.to_string(), class: child.device.0.class().to_owned() })?;
    for ask in asks {
        let done = caught(|| child.answer(&ask));
        match done {
            Ok(()) => {}
            // There is nobody to tell.
            Err(Error::Io { path, .. }) if path.as_os_str() == STUDIO => return Ok(()),
            Err(e) => say(&failed(&e))?,
        }
    }
    Ok(())
}

/// How an error of the pipe to the studio is told from others.
const STUDIO: &str = "<studio>";

/// Reads what the studio asks on a thread of its own, so that the end of the pipe stops what is being made.
fn listen(cancel: Cancel) -> mpsc::Receiver<Ask> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let ask = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            if ask.is_none_or(|ask| sender.send(ask).is_err()) {
                break;
            }
        }
        cancel.stop();
    });
    receiver
}

fn failed(error: &Error) -> Answer {
    Answer::Failed { message: error.to_string(), code: error.exit_code() }
}

fn say(answer: &Answer) -> Result<()> {
    send(answer, &[])
}

fn send(answer: &Answer, bytes: &[u8]) -> Result<()> {
    let mut line = serde_json::to_vec(answer).map_err(|e| Error::Bug(e.to_string()))?;
    line.push(b'\n');
    line.extend_from_slice(bytes);
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).map_err(|e| Error::io(STUDIO, "talk to", e))
}

/// A model in memory.
struct Held {
    model: String,
    reward: Option<String>,
    subject: Subject,
    templates: Templates,
}

struct Child {
    device: (DeviceName, Device),
    cancel: Cancel,
    /// The one used last is the last.
    models: Vec<Held>,
}

impl Child {
    fn answer(&mut self, ask: &Ask) -> Result<()> {
        match ask {
            Ask::Load { model, reward } => {
                let held = self.held(model, reward.as_deref())?;
                let engine = held.subject.engine();
                say(&Answer::Loaded(Box::new(Loaded {
                    templates: held.templates.clone(),
                    shape: held.subject.generator().spec().sample_shape,
                    one_by_one: !held.subject.needs_whole_tiles(),
                    quantity: engine.map(|e| e.reward.quantity.row().symbol.to_owned()),
                })))
            }
            Ask::Look { model, reward, wanted } => {
                let cancel = self.cancel.clone();
                let held = self.held(model, reward.as_deref())?;
                failpoint!("studio.look").map_err(|e| Error::io("a look", "make", e))?;
                for (index, shot) in look(&held.subject, &held.templates, wanted, &cancel)?.into_iter().enumerate() {
                    let Shot { row, png } = shot;
                    let png = png.unwrap_or_default();
                    send(&Answer::Frame { index, row: Box::new(row), bytes: png.len() }, &png)?;
                }
                say(&Answer::Done)
            }
            Ask::Check { model, reward } => {
                let cancel = self.cancel.clone();
                let held = self.held(model, reward.as_deref())?;
                say(&Answer::Checked { same: is_alike(held, &cancel)? })
            }
        }
    }

    /// The model, loaded if it is not in memory yet.
    fn held(&mut self, model: &str, reward: Option<&str>) -> Result<&Held> {
        let here = self.models.iter().position(|h| h.model == model && h.reward.as_deref() == reward);
        let held = match here {
            Some(place) => self.models.remove(place),
            None => {
                if self.models.len() >= MODELS {
                    self.models.remove(0);
                }
                let load = |device: &Device| Subject::load(&find_model(model)?, reward, false, device);
                let subject = match load(&self.device.1) {
                    // What is in memory makes room for what is wanted.
                    Err(Error::Memory { .. }) if !self.models.is_empty() => {
                        self.models.clear();
                        load(&self.device.1)?
                    }
                    other => other?,
                };
                let templates = Templates::of(&subject, model, reward, self.device.0)?;
                Held { model: model.to_owned(), reward: reward.map(str::to_owned), subject, templates }
            }
        };
        self.models.push(held);
        self.models.last().ok_or_else(|| Error::Bug("no model is held".into()))
    }
}

/// Whether a sample's picture is the same alone and behind another.
fn is_alike(held: &Held, cancel: &Cancel) -> Result<bool> {
    let novelty = held.templates.steered.as_ref().map(|_| Percentile::clamped(82.0));
    let make = |wanted: &[(u64, Option<Percentile>)]| look(&held.subject, &held.templates, wanted, cancel);
    let alone = make(&[(1, novelty)])?.pop();
    let behind = make(&[(0, novelty), (1, novelty)])?.pop();
    Ok(alone.zip(behind).is_some_and(|(a, b)| a.png == b.png))
}
