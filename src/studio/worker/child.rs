//! The worker's own loop: it reads a line, does what it says, and answers. It ends when the studio's end of its pipe closes.

use super::measure::measure;
use super::talk::{Answer, Ask, Loaded};
use crate::acts::generate::{
    Classifiers, GeneratePlan, PictureRecipe, Pictures, PlannedJob, Shot, Subject, Subjects, Templates, look,
    look_around,
};
use crate::cancel::Cancel;
use crate::device::{self, Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::find_model;
use crate::panics::caught;
use crate::render::png;
use crate::run::{Event, Log, Lookup, Maker, Plan, SampleEnd, Work};
use crate::store::{self, Lock};
use crate::units::Percentile;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

/// Models that stay in memory; the one used longest ago goes first.
const MODELS: usize = 2;

/// Works until the studio closes the pipe.
///
/// # Errors
/// [`Error::Device`] for a device that cannot be opened; [`Error::Io`] where the studio no longer listens.
pub fn run(device: &str) -> Result<()> {
    match serve(device) {
        // There is nobody to tell.
        Err(Error::Io { path, .. }) if path.as_os_str() == STUDIO => Ok(()),
        done => done,
    }
}

fn serve(device: &str) -> Result<()> {
    let asks = listen();
    let device = match device::open(device) {
        Ok(device) => device,
        Err(e) => return say(&failed(&e)),
    };
    say(&Answer::Ready { device: device.0.to_string(), class: device.0.class().to_owned() })?;
    let mut child = Child { device, subjects: Subjects::new(), used: Vec::new(), open: None };
    for (ask, cancel) in asks {
        let done = caught(|| child.answer(&ask, &cancel));
        match done {
            Ok(()) => {}
            Err(Error::Io { path, source, action, advice }) if path.as_os_str() == STUDIO => {
                return Err(Error::Io { path, source, action, advice });
            }
            Err(e) => say(&failed(&e))?,
        }
    }
    Ok(())
}

/// How an error of the pipe to the studio is told from others.
const STUDIO: &str = "<studio>";

/// Reads what the studio asks on a thread of its own, so that a word from it, or the end of the pipe, stops what is being made.
/// Each task comes with what stops it.
fn listen() -> mpsc::Receiver<(Ask, Cancel)> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut last = Cancel::never();
        for line in std::io::stdin().lock().lines() {
            match line.ok().and_then(|line| serde_json::from_str(&line).ok()) {
                Some(Ask::Stop) => last.stop(),
                Some(ask) => {
                    last = Cancel::never();
                    if sender.send((ask, last.clone())).is_err() {
                        break;
                    }
                }
                None => break,
            }
        }
        last.stop();
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

/// The run that is being worked in.
struct Open {
    folder: PathBuf,
    /// The text of its plan: a plan may grow.
    plan: Vec<u8>,
    pictures: Pictures,
    _lock: Lock,
}

impl Open {
    fn at(folder: &Path, text: Vec<u8>) -> Result<Self> {
        let lock = Lock::exclusive(&folder.join("run.lock"))?;
        let plan = Plan::parse(&text, &folder.join("plan.toml"))?;
        let own = GeneratePlan::of(&plan)?.ok_or_else(|| Error::input(folder, "is no run of pictures"))?;
        let pictures = Pictures::open(own, folder).map_err(|e| crate::acts::of_plan(e, folder))?;
        for found in pictures.folders() {
            store::remove_unfinished(&found)?;
        }
        pictures.claim()?;
        let mut log = Log::open(folder, None)?;
        let samples = (0..pictures.tiles()).map(|t| pictures.wanted(t)).sum();
        log.write(&Event::Start {
            plan: plan.id(),
            pid: std::process::id(),
            host: store::host(),
            version: env!("CARGO_PKG_VERSION").into(),
            shard: None,
            tiles: pictures.tiles(),
            samples,
        })?;
        Ok(Self { folder: folder.to_owned(), plan: text, pictures, _lock: lock })
    }
}

struct Child {
    device: (DeviceName, Device),
    subjects: Subjects,
    /// Which of them were used, the last one last.
    used: Vec<(String, Option<String>, bool)>,
    open: Option<Open>,
}

impl Child {
    fn answer(&mut self, ask: &Ask, cancel: &Cancel) -> Result<()> {
        match ask {
            Ask::Load { model, reward } => {
                let (subject, templates) = self.held(model, reward.as_deref())?;
                say(&Answer::Loaded(Box::new(Loaded {
                    templates,
                    shape: subject.generator().spec().sample_shape,
                    one_by_one: !subject.needs_whole_tiles(),
                    quantity: subject.engine().map(|e| e.reward.quantity.row().symbol.to_owned()),
                })))
            }
            Ask::Look { model, reward, wanted, vary } => {
                let (subject, templates) = self.held(model, reward.as_deref())?;
                failpoint!("studio.look").map_err(|e| Error::io("a look", "make", e))?;
                let shots = match vary {
                    None => look(subject, &templates, wanted, cancel)?,
                    Some(vary) => {
                        let numbers: Vec<u64> = wanted.iter().map(|w| w.0).collect();
                        let around = (&**vary, numbers.as_slice());
                        look_around(&mut self.subjects, (model, &templates), around, &self.device, cancel)?
                    }
                };
                for (index, shot) in shots.into_iter().enumerate() {
                    let Shot { row, png } = shot;
                    let png = png.unwrap_or_default();
                    send(&Answer::Frame { index, row: Box::new(row), bytes: png.len() }, &png)?;
                }
                say(&Answer::Done)
            }
            Ask::Check { model, reward } => {
                let (subject, templates) = self.held(model, reward.as_deref())?;
                say(&Answer::Checked { same: is_alike(subject, &templates, cancel)? })
            }
            Ask::Tile { run, tile } => {
                let open = self.run(run)?;
                let done = self.with_maker(&open.pictures, |maker| made(&open, *tile, maker, cancel));
                self.open = Some(open);
                done?;
                say(&Answer::Done)
            }
            Ask::Complete { run } => {
                let open = self.run(run)?;
                let missing: Vec<u64> =
                    (0..open.pictures.tiles()).filter(|t| !open.pictures.state(*t, false).is_done()).collect();
                self.with_maker(&open.pictures, |maker| {
                    missing.into_iter().try_for_each(|tile| made(&open, tile, maker, cancel))
                })?;
                open.pictures.finish()?;
                Log::open(&open.folder, None)?.write(&Event::End { code: 0 })?;
                say(&Answer::Done)
            }
            Ask::Again { file, below } => {
                let answer = self.again(file, below, cancel)?;
                say(&answer)
            }
            Ask::Measure { model, own, exact } => {
                let found = measure(&mut self.subjects, model, ((**own).clone(), *exact), &self.device, cancel);
                self.forget();
                say(&Answer::Measured(Box::new(found?)))
            }
            Ask::Leave => {
                self.open = None;
                say(&Answer::Done)
            }
            Ask::Stop => Ok(()),
        }
    }

    /// The model, loaded if it is not in memory yet.
    fn held(&mut self, model: &str, reward: Option<&str>) -> Result<(&Subject, Templates)> {
        let of = |taught: bool| (model.to_owned(), reward.map(str::to_owned), taught);
        let here = [true, false].map(of).into_iter().find(|key| self.subjects.contains_key(key));
        let key = match here {
            Some(key) => key,
            None => {
                let load = |device: &Device| Subject::load(&find_model(model)?, reward, false, device);
                let subject = match load(&self.device.1) {
                    // What is in memory makes room for what is wanted.
                    Err(Error::Memory { .. }) if !self.subjects.is_empty() => {
                        self.subjects.clear();
                        load(&self.device.1)?
                    }
                    other => other?,
                };
                let key = of(subject.engine().is_some());
                self.subjects.insert(key.clone(), subject);
                key
            }
        };
        self.used.retain(|k| *k != key);
        self.used.push(key.clone());
        self.forget();
        let subject = self.subjects.get(&key).ok_or_else(|| Error::Bug("a model that was loaded is gone".into()))?;
        Ok((subject, Templates::of(subject, model, reward, self.device.0)?))
    }

    /// Makes the picture in `file` again, in a run folder of its own, and compares.
    fn again(&mut self, file: &Path, below: &Path, cancel: &Cancel) -> Result<Answer> {
        let own = PictureRecipe::read(file)?;
        let (class, recipe) = (self.device.0.class(), own.recipe);
        if recipe.device != class {
            let message = format!("it was made on {}, and this is {class}: the bytes would differ", recipe.device);
            return Err(Error::input(file, message));
        }
        let folder = tempfile::tempdir_in(below).map_err(|e| Error::io(below, "make a folder in", e))?;
        let seeds = own.seed.to_string().try_into().map_err(Error::Bug)?;
        let job = PlannedJob::plain("again", ".", &recipe.model.clone(), seeds, recipe);
        let pictures = Pictures::open(GeneratePlan { csv: false, jobs: vec![job] }, folder.path())?;
        self.with_maker(&pictures, |maker| maker.make(0, false, &mut |_| Ok(()), cancel))?;
        let Lookup::Whole(rows) = pictures.recorded(0) else { return Err(Error::Bug("no picture was made".into())) };
        let made = rows.into_iter().find_map(|r| r.2).ok_or(Error::SamplesNotFinite { count: 1, total: 1 })?;
        let read = |path: &Path| store::read_bounded(path, crate::limits::PICTURE_BYTES);
        let (was, is) = (read(file)?, read(&made)?);
        let values = |path: &Path| png::read_picture(path).map(|p| p.pixels);
        let largest = match was == is {
            true => None,
            false => {
                let (a, b) = (values(file)?, values(&made)?);
                let apart = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
                Some(if a.len() == b.len() { apart } else { u8::MAX })
            }
        };
        Ok(Answer::Compared { bytes: was.len(), largest })
    }

    /// Works with a maker of this run's tiles, which is lent the models in memory.
    fn with_maker(&mut self, pictures: &Pictures, work: impl FnOnce(&mut dyn Maker) -> Result<()>) -> Result<()> {
        let subjects = std::mem::take(&mut self.subjects);
        let mut maker = pictures.maker_with(self.device.clone(), subjects, Classifiers::new());
        let done = work(&mut maker);
        self.subjects = maker.into_subjects();
        self.forget();
        done
    }

    /// Drops the models that were used longest ago.
    fn forget(&mut self) {
        while self.subjects.len() > MODELS {
            let unused = self.subjects.keys().find(|k| !self.used.contains(k)).cloned();
            let Some(oldest) = unused.or_else(|| (!self.used.is_empty()).then(|| self.used.remove(0))) else { return };
            self.subjects.remove(&oldest);
        }
    }

    /// The run in `folder`, opened if it is not; it has to be put back.
    fn run(&mut self, folder: &Path) -> Result<Open> {
        let text = store::read_bounded(&folder.join("plan.toml"), crate::limits::PLAN_BYTES)?;
        // Another run, and this one with another plan, is let go of before its lock is taken anew.
        match self.open.take().filter(|open| open.folder == folder && open.plan == text) {
            Some(open) => Ok(open),
            None => Open::at(folder, text),
        }
    }
}

/// Makes a tile and notes it in the run's log.
fn made(open: &Open, tile: u64, maker: &mut dyn Maker, cancel: &Cancel) -> Result<()> {
    if tile >= open.pictures.tiles() {
        return Err(Error::Bug(format!("tile {tile} of {}", open.pictures.tiles())));
    }
    failpoint!("studio.tile").map_err(|e| Error::io(&open.folder, "begin a tile in", e))?;
    let mut log = Log::open(&open.folder, None)?;
    let began = Instant::now();
    let mut samples = 0;
    let mut tell = |end: &SampleEnd| {
        samples += 1;
        log.write(&Event::Sample { job: end.job.map(str::to_owned), seed: end.seed, status: end.status })
    };
    maker.make(tile, false, &mut tell, cancel)?;
    let seconds = (began.elapsed().as_secs_f64() * 1e3).round() / 1e3;
    log.write(&Event::Tile { tile, samples, seconds })
}

/// Whether a sample's picture is the same alone and behind another.
fn is_alike(subject: &Subject, templates: &Templates, cancel: &Cancel) -> Result<bool> {
    let novelty = templates.steered.as_ref().map(|_| Percentile::clamped(82.0));
    let make = |wanted: &[(u64, Option<Percentile>)]| look(subject, templates, wanted, cancel);
    let alone = make(&[(1, novelty)])?.pop();
    let behind = make(&[(0, novelty), (1, novelty)])?.pop();
    Ok(alone.zip(behind).is_some_and(|(a, b)| a.png == b.png))
}
