//! The tiles of a comparison: each method at each level, tile by tile, with a record each. A record that is whole is never
//! made again.

use super::Comparison;
use super::entries::{BUDGET, Entry, Loop, denoising, entries, measures_pictures, settings};
use super::figures::{ComparisonReport, figures};
use super::recipe::Recipe;
use super::row::{TrialRow, kept};
use crate::acts::generate::{SampleRow, row};
use crate::acts::study::{Compared, compared, seeds};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::Classifier;
use crate::limits;
use crate::render::Picture;
use crate::run::{Lookup, Maker, Record, SampleEnd, TileState, Work, as_recorded, record_path};
use crate::steer::{Denoising, Engine, Finished, GuideRow, Settings, Status};
use crate::store;
use crate::tile::Tiling;
use crate::units::{Latents, Percentile};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One tile of one entry at one level; or the trial of a guide's strengths, which its own tiles need first.
struct Unit {
    entry: Entry,
    /// Index among the levels.
    level: usize,
    /// Tile of the tiling.
    tile: u64,
    wanted: Vec<u64>,
    tries_strengths: bool,
}

/// What one strength of a guide came to on the first tile.
#[derive(Serialize, Deserialize)]
struct Tried {
    strength: f64,
    /// Mean percentile reached; absent where nothing could be measured.
    mean: Option<f64>,
}

/// Whether the pictures of a tile fit into its record, where they are kept.
fn check_records(asked: &Comparison, engine: &Engine) -> Result<()> {
    let values: usize = engine.generator.spec().sample_shape.iter().product();
    // Pixels in base64, and as much again for the rest of a row: no PNG file is twice as large as its pixels.
    let row = 8 * values / 3 + 65_536;
    let most = (limits::RECORD_BYTES as usize / row).max(1);
    match asked.evaluate && asked.tile > most {
        false => Ok(()),
        true => {
            let message = format!("{} pictures do not fit into a record; at most {most} do", asked.tile);
            Err(Error::key("tile", message))
        }
    }
}

/// The tiles of a comparison, with the model that makes them.
pub struct Tiles<'a> {
    asked: &'a Comparison,
    engine: Engine,
    classifier: Option<Classifier>,
    folder: &'a Path,
    entries: Vec<Entry>,
    units: Vec<Unit>,
    seeds: Vec<u64>,
    recipe: Recipe,
    text: String,
    run_id: String,
    closed: Settings,
}

impl<'a> Tiles<'a> {
    /// The tiles of a comparison, kept in `folder`.
    ///
    /// # Errors
    /// [`Error::Key`] for a method that does not fit the model.
    pub fn new(
        asked: &'a Comparison,
        (engine, classifier): (Engine, Option<Classifier>),
        device: DeviceName,
        folder: &'a Path,
    ) -> Result<Self> {
        let seeds = seeds("seeds", &asked.seeds)?;
        let entries = entries(asked, &engine)?;
        check_records(asked, &engine)?;
        let recipe = Recipe::of(asked, &engine, classifier.as_ref(), device)?;
        let text = recipe.text()?;
        let tiling = Tiling::new(asked.tile);
        let cover: Vec<(u64, Vec<u64>)> = tiling.cover(&seeds).into_iter().collect();
        let first = &seeds[..seeds.len().min(asked.tile)];
        let mut units = Vec::new();
        let mut tried = "";
        for entry in &entries {
            for level in 0..asked.novelty.len() {
                // Without a set-point a strength gives the same pictures whatever level is asked.
                let tries = entry.guide.is_some_and(|g| tried != g.name && (g.has_set_point || level == 0));
                let unit = |tile, wanted: &[u64], tries_strengths| Unit {
                    entry: *entry,
                    level,
                    tile,
                    wanted: wanted.to_vec(),
                    tries_strengths,
                };
                units.extend(tries.then(|| unit(0, first, true)));
                units.extend(cover.iter().map(|(tile, wanted)| unit(*tile, wanted, false)));
            }
            tried = entry.guide.map_or("", |g| g.name);
        }
        let run_id = store::run_id(&text);
        let closed = settings(asked, &engine);
        Ok(Self { asked, engine, classifier, folder, entries, units, seeds, recipe, text, run_id, closed })
    }

    /// Folder of the records of one unit's entry and level.
    fn place(&self, unit: &Unit) -> PathBuf {
        let name = match (unit.tries_strengths, unit.entry.guide) {
            (true, Some(guide)) => format!("{}-strengths", guide.name),
            _ => unit.entry.short(),
        };
        self.folder.join("tiles").join(name).join(self.asked.novelty[unit.level].to_string())
    }

    fn find<R: Serialize + DeserializeOwned>(&self, unit: &Unit) -> Lookup<Record<R>> {
        Record::find(&self.place(unit), unit.tile, &self.run_id)
    }

    fn whole<R: Serialize + DeserializeOwned>(&self, unit: &Unit) -> Result<Vec<R>> {
        match self.find(unit) {
            Lookup::Whole(record) => Ok(record.samples),
            _ => {
                let message = format!(
                    "{} at {} is not finished here; the same command goes on",
                    unit.entry.short(),
                    self.asked.novelty[unit.level]
                );
                Err(Error::input(self.folder, message))
            }
        }
    }

    /// The rows of an entry, each with the index of its level: seed by seed in the order typed, each over all levels.
    fn rows_at(&self, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<(usize, TrialRow)>> {
        let mut rows: Vec<(usize, usize, TrialRow)> = Vec::new();
        for unit in self.units.iter().filter(|u| wanted(&u.entry) && !u.tries_strengths) {
            let found: Vec<TrialRow> = self.whole(unit)?;
            let place = |r: &TrialRow| self.seeds.iter().position(|s| *s == r.sample.seed).unwrap_or(usize::MAX);
            rows.extend(found.into_iter().map(|r| (place(&r), unit.level, r)));
        }
        rows.sort_by_key(|(seed, level, _)| (*seed, *level));
        Ok(rows.into_iter().map(|(_, level, r)| (level, r)).collect())
    }

    fn rows(&self, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<TrialRow>> {
        Ok(self.rows_at(wanted)?.into_iter().map(|(_, r)| r).collect())
    }

    /// The pictures of an entry at each level that were kept, in the order of the seeds.
    ///
    /// # Errors
    /// [`Error::Input`] if a tile is not finished or a picture cannot be read.
    pub fn kept(&self, entry: &Entry) -> Result<Vec<Vec<Picture>>> {
        let mut levels: Vec<Vec<Picture>> = self.asked.novelty.iter().map(|_| Vec::new()).collect();
        for (level, row) in self.rows_at(|e| e.short() == entry.short())? {
            levels[level].extend(row.picture(self.folder)?);
        }
        Ok(levels)
    }

    /// The unguided pictures of seeds, in their order; those with a value that is not finite are left out.
    ///
    /// # Errors
    /// When the device fails or the run is stopped.
    pub fn unguided(&self, seeds: &[u64], cancel: &Cancel) -> Result<Vec<Picture>> {
        let spec = self.engine.generator.spec();
        let condition = Denoising::default().condition;
        let mut found = BTreeMap::new();
        for samples in self.batches(seeds) {
            let values = self.engine.unguided(&condition, &self.engine.starts(&samples), cancel)?;
            found.extend(samples.into_iter().zip(values).filter(|(_, v)| v.iter().all(|v| v.is_finite())));
        }
        let drawn = |seed: &u64| found.get(seed).map(|v| Picture::from_values(v, spec.sample_shape, spec.range));
        seeds.iter().filter_map(drawn).collect()
    }

    /// What is compared, in the order of the report.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The percentiles asked for.
    pub fn levels(&self) -> &[f64] {
        &self.asked.novelty
    }

    /// The seeds, in the order typed.
    pub fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// The candidates of a search that costs as much as the budget did on average.
    fn candidates(&self) -> Result<usize> {
        let rows = self.rows(Entry::is_budget)?;
        let all: u64 = rows.iter().map(|r| r.evaluations).sum();
        self.engine.candidates(all as f64 / rows.len().max(1) as f64)
    }

    /// The finished tiles put together.
    ///
    /// # Errors
    /// [`Error::Input`] if a tile is not finished.
    pub fn report(&self) -> Result<ComparisonReport> {
        let mut methods = Vec::new();
        let mut samples = Vec::new();
        for entry in &self.entries {
            let rows = self.rows(|e| e.short() == entry.short())?;
            let candidates = if entry.runs == Loop::Budget { Some(self.candidates()?) } else { None };
            methods.push(figures(entry, &entry.name(self.closed.corrections, candidates), &rows));
            samples.push((entry.short(), rows));
        }
        let guides_left_out = self.engine.evaluations().is_some() && !measures_pictures(&self.engine);
        Ok(ComparisonReport { guides_left_out, ..ComparisonReport::new(&self.recipe, methods, samples) })
    }

    /// The strength of a guide whose mean on the first seeds came nearest to a level.
    fn strength(&self, guide: &GuideRow, level: usize) -> Result<f64> {
        let asked = self.asked.novelty[level];
        let level = if guide.has_set_point { level } else { 0 };
        let mine = |u: &&Unit| u.tries_strengths && u.entry.method == guide.name && u.level == level;
        let unit = self.units.iter().find(mine);
        let tried: Vec<Tried> = unit.map_or(Ok(Vec::new()), |u| self.whole(u))?;
        let off = |t: &Tried| t.mean.map_or(f64::INFINITY, |mean| (mean - asked).abs());
        let nearest = tried.iter().min_by(|a, b| off(a).total_cmp(&off(b)));
        Ok(nearest.map_or(guide.strength, |t| t.strength))
    }

    /// The samples that are computed for the wanted ones, tile by tile: these alone, or whole tiles where the device should
    /// see one shape.
    fn batches(&self, wanted: &[u64]) -> Vec<Vec<u64>> {
        let tiling = Tiling::new(self.asked.tile);
        let whole = self.engine.needs_whole_tiles();
        let batch = |(tile, wanted)| if whole { tiling.samples(tile).collect() } else { wanted };
        tiling.cover(wanted).into_iter().map(batch).collect()
    }

    /// One pass of an entry over the samples of a tile, with the milliseconds that it took. Pictures that only have to be
    /// looked at are not in them.
    fn steer(&self, entry: &Entry, pass: &Pass, cancel: &Cancel) -> Result<(Vec<Finished>, f64)> {
        let (target, engine, began) = (Some(pass.target), &self.engine, Instant::now());
        let Some(guide) = entry.guide else {
            let targets = vec![target; pass.samples.len()];
            let steered = engine.steer(entry.method, pass.samples, &targets, &pass.settings, cancel)?;
            let ms = 1e3 * began.elapsed().as_secs_f64();
            return Ok((engine.pictures(steered, 0, cancel)?, ms));
        };
        let asked = denoising(guide, pass.strength);
        let found = engine.guide(Some(guide), &asked, pass.samples, target, &pass.settings, cancel)?;
        Ok((found, 1e3 * began.elapsed().as_secs_f64()))
    }
}

/// What a pass is told.
struct Pass<'a> {
    samples: &'a [u64],
    target: Percentile,
    strength: f64,
    settings: Settings,
}

impl Work for Tiles<'_> {
    fn tiles(&self) -> u64 {
        self.units.len() as u64
    }

    fn wanted(&self, tile: u64) -> u64 {
        let unit = &self.units[tile as usize];
        let times = unit.entry.guide.filter(|_| unit.tries_strengths).map_or(1, |g| g.trial_strengths.len());
        (unit.wanted.len() * times) as u64
    }

    fn state(&self, tile: u64, _hash: bool) -> TileState {
        let unit = &self.units[tile as usize];
        let wanted = self.wanted(tile);
        let state = TileState { wanted, ..TileState::default() };
        let shown = |why: &str| {
            let path = self.place(unit).join(record_path(unit.tile));
            format!("{} {why}", path.strip_prefix(self.folder).unwrap_or(&path).display())
        };
        let is_not_finite = |r: &&TrialRow| r.sample.status == Status::NonFinite;
        let not_finite = match unit.tries_strengths {
            true => self.find::<Tried>(unit).map(|_| 0),
            false => match self.find::<TrialRow>(unit) {
                // It was made when nothing was to be evaluated, and is made again.
                Lookup::Whole(r) if self.asked.evaluate && r.samples.iter().any(TrialRow::lacks_picture) => {
                    Lookup::Nothing
                }
                found => found.map(|record| record.samples.iter().filter(is_not_finite).count() as u64),
            },
        };
        match not_finite {
            Lookup::Nothing => state,
            Lookup::Damaged(why) => TileState { damaged: Some(shown(&why)), ..state },
            Lookup::Foreign(why) => TileState { foreign: Some(shown(&why)), ..state },
            Lookup::Whole(non_finite) => TileState { done: wanted, non_finite, ..state },
        }
    }

    fn device_class(&self) -> &str {
        self.recipe.device
    }

    fn claim(&self) -> Result<()> {
        store::claim(self.folder, &self.text).map(|_| ())
    }

    fn check_claim(&self) -> Result<()> {
        store::claimed(self.folder, &self.text).map(|_| ())
    }

    fn maker<'b>(&'b self, _: (DeviceName, Device)) -> Box<dyn Maker + 'b> {
        Box::new(TileMaker { work: self, warm: false })
    }

    fn finish(&self) -> Result<()> {
        self.report().map(drop)
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self.units.iter().map(|u| self.place(u).join("records")).collect();
        folders.dedup();
        folders.push(self.folder.to_owned());
        folders
    }
}

struct TileMaker<'a> {
    work: &'a Tiles<'a>,
    /// Whether the device has seen a tile, so that seconds are those of the work alone.
    warm: bool,
}

impl Maker for TileMaker<'_> {
    fn make(
        &mut self,
        tile: u64,
        _force: bool,
        tell: &mut dyn FnMut(&SampleEnd) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let work = self.work;
        let unit = &work.units[tile as usize];
        work.engine.check_memory(work.asked.tile)?;
        if !self.warm {
            self.warm_up(unit, cancel)?;
        }
        match (unit.tries_strengths, unit.entry.guide) {
            (true, Some(guide)) => self.try_strengths(unit, guide, tell, cancel),
            _ => self.trial(unit, tell, cancel),
        }
    }
}

impl TileMaker<'_> {
    /// One step with one measurement: what a device does only once, it does here.
    fn warm_up(&mut self, unit: &Unit, cancel: &Cancel) -> Result<()> {
        let work = self.work;
        let settings = Settings { steps: 1, corrections: 0, ..work.closed.clone() };
        if let Some(samples) = work.batches(&unit.wanted).first() {
            let targets = vec![Some(Percentile::MEDIAN); samples.len()];
            work.engine.steer(BUDGET, samples, &targets, &settings, cancel)?;
        }
        self.warm = true;
        Ok(())
    }

    fn try_strengths(
        &self,
        unit: &Unit,
        guide: &'static GuideRow,
        tell: &mut dyn FnMut(&SampleEnd) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let work = self.work;
        let target = Percentile::clamped(work.asked.novelty[unit.level]);
        let settings = Settings { corrections: 0, ..work.closed.clone() };
        let mut tried = Vec::new();
        for strength in guide.trial_strengths {
            let mut reached = Vec::new();
            for samples in work.batches(&unit.wanted) {
                let pass = Pass { samples: &samples, target, strength: *strength, settings: settings.clone() };
                let (found, _) = work.steer(&unit.entry, &pass, cancel)?;
                for s in found.iter().map(|f| &f.steered).filter(|s| unit.wanted.contains(&s.sample)) {
                    let r = row(&work.engine, s, Some(target));
                    tell(&SampleEnd { job: Some(guide.name), seed: r.seed, status: r.status, ends_call: false })?;
                    reached.extend(r.novelty_reached);
                }
            }
            let mean = (!reached.is_empty()).then(|| reached.iter().sum::<f64>() / reached.len() as f64);
            tried.push(as_recorded(&Tried { strength: *strength, mean })?);
        }
        Record::new(&work.run_id, unit.tile, tried).write(&work.place(unit))
    }

    fn trial(&self, unit: &Unit, tell: &mut dyn FnMut(&SampleEnd) -> Result<()>, cancel: &Cancel) -> Result<()> {
        let work = self.work;
        let (entry, engine) = (&unit.entry, &work.engine);
        let target = Percentile::clamped(work.asked.novelty[unit.level]);
        let settings = match entry.runs {
            Loop::Closed => work.closed.clone(),
            Loop::Budget => Settings { steps: work.candidates()?, corrections: 0, ..work.closed.clone() },
            Loop::Open | Loop::Free => Settings { corrections: 0, ..work.closed.clone() },
        };
        let strength = entry.guide.map(|guide| work.strength(guide, unit.level)).transpose()?;
        let samples = work.batches(&unit.wanted).concat();
        let pass = Pass { samples: &samples, target, strength: strength.unwrap_or(0.0), settings };
        let (found, ms) = work.steer(entry, &pass, cancel)?;
        let ms = ms / found.len().max(1) as f64;
        let latents = found.iter().flat_map(|f| &f.steered.latent).copied().collect();
        let latents = Latents::new(latents, engine.generator.spec().latent_width);
        let states: Vec<f32> = found.iter().flat_map(Finished::state).copied().collect();
        let again = engine.held_out()?.novelty(&latents, Some(&states))?;
        let asked = entry.guide.map(|guide| denoising(guide, pass.strength));
        let how = (entry.method, asked.as_ref());
        let all = compared(engine, how, &found, Some(target), work.classifier.as_ref(), cancel)?;
        let mut rows = Vec::new();
        let spec = engine.generator.spec();
        let drawn = |f: &Finished| kept(&Picture::from_values(&f.picture, spec.sample_shape, spec.range)?);
        let found = found.iter().zip(all).zip(again);
        for ((f, Compared { row, looks }), again) in
            found.filter(|((f, ..), _)| unit.wanted.contains(&f.steered.sample))
        {
            let s = &f.steered;
            let picture = looks.filter(|_| work.asked.evaluate).map(|_| drawn(f)).transpose()?;
            let remeasured = again.filter(|_| s.status != Status::Unmeasured);
            let sample = SampleRow { novelty_remeasured: remeasured, ..row };
            let evaluations = engine.cost(s, entry.guide.is_some())? as u64;
            tell(&SampleEnd { job: Some(&entry.short()), seed: s.sample, status: sample.status, ends_call: false })?;
            rows.push(as_recorded(&TrialRow { sample, evaluations, ms, strength, looks, picture })?);
        }
        Record::new(&work.run_id, unit.tile, rows).write(&work.place(unit))
    }
}
