//! The tiles of a description and what is made of them: a table of local geometry.

use super::block::Sample;
use super::files::TileFiles;
use super::keys::Keys;
use super::measurer::Measurer;
use super::recipe::Recipe;
use super::report::Report;
use super::values::Description;
use crate::acts::{ActRow, keys};
use crate::cancel::Cancel;
use crate::device::{self, Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::limits;
use crate::run::{Lookup, Maker, SampleEnd, TileState, Work, parse_seeds};
use crate::steer::Status;
use crate::store;
use crate::tile::Tiling;
use serde::{Deserialize, Serialize};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Its row in the table of acts.
pub const ROW: ActRow = ActRow {
    name: "describe",
    about: "descriptors of latents, as a table, as isoline describe makes it",
    open: |plan, folder| Ok(Box::new(Tiles::open(keys(plan)?, Some(folder))?)),
};

/// The keys of the plan that belong to this act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribePlan {
    /// Number of rows of the file of latents, or of pictures; absent for seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// SHA-256 of the reward whose calibration gives novelty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_sha256: Option<String>,
    /// The keys, resolved.
    pub asked: Keys,
    /// What its tiles depend on.
    pub recipe: Recipe,
}

impl DescribePlan {
    /// The plan of what was asked for, once it is loaded.
    pub fn new(asked: Keys, measurer: &Measurer) -> Self {
        let rows = (measurer.recipe.column() == "row").then(|| measurer.source.samples().len() as u64);
        let reward_sha256 = measurer.subject.reward.as_ref().map(|r| r.sha256.clone());
        Self { rows, reward_sha256, asked: asked.resolved(&measurer.subject), recipe: measurer.recipe.clone() }
    }

    fn samples(&self) -> Result<Vec<u64>> {
        match self.rows {
            None => parse_seeds(self.asked.seeds()).map_err(|m| Error::key("work.asked.seeds", m)),
            Some(rows) if (1..=limits::SAMPLES as u64).contains(&rows) => Ok((0..rows).collect()),
            Some(rows) => Err(Error::key("work.rows", format!("expected 1 to {}, found {rows}", limits::SAMPLES))),
        }
    }
}

/// One tile.
struct Tile {
    number: u64,
    wanted: Vec<u64>,
    /// Those of the wanted samples that are also measured exactly.
    exact: Vec<u64>,
}

/// The samples of a tile that one estimator measures.
struct Part<'a> {
    tile: u64,
    estimator: &'a str,
    exact: bool,
    wanted: &'a [u64],
}

/// The tiles of a description, in a folder or in memory.
pub struct Tiles {
    plan: DescribePlan,
    folder: Option<PathBuf>,
    /// Finished parts by their path, if there is no folder.
    memory: RefCell<BTreeMap<String, Vec<Sample>>>,
    recipe: String,
    run_id: String,
    samples: Vec<u64>,
    tiles: Vec<Tile>,
    measurer: OnceCell<Measurer>,
    report: OnceCell<Report>,
}

impl Tiles {
    /// The tiles of a plan, kept in `folder`, or in memory if there is none.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn open(plan: DescribePlan, folder: Option<&Path>) -> Result<Self> {
        let size = plan.recipe.tile;
        if !(1..=limits::TILE).contains(&size) || Some(size) != plan.asked.tile {
            return Err(Error::key("work.recipe.tile", format!("expected 1 to {}, found {size}", limits::TILE)));
        }
        let (estimator, _) = crate::geometry::estimator_row(&plan.recipe.estimator)?;
        let is_exact = (estimator.make)(&plan.asked.geometry.settings()?).is_exact();
        let Some(calibrate_on) = plan.asked.calibrate_on else {
            return Err(Error::key("work.asked.calibrate_on", "expected a number, found none"));
        };
        let samples = plan.samples()?;
        let tiling = Tiling::new(size);
        let calibrated = &samples[..if is_exact { 0 } else { samples.len().min(calibrate_on) }];
        let mut calibrated = tiling.cover(calibrated);
        let tiles = tiling.cover(&samples).into_iter();
        let tile = |(number, wanted)| Tile { number, wanted, exact: calibrated.remove(&number).unwrap_or_default() };
        let recipe = plan.recipe.text()?;
        Ok(Self {
            run_id: store::run_id(&recipe),
            recipe,
            folder: folder.map(Path::to_owned),
            memory: RefCell::default(),
            tiles: tiles.map(tile).collect(),
            samples,
            plan,
            measurer: OnceCell::new(),
            report: OnceCell::new(),
        })
    }

    /// The same tiles, with a measurer that is loaded already.
    #[must_use]
    pub fn with(self, measurer: Measurer) -> Self {
        let _ = self.measurer.set(measurer);
        self
    }

    /// The measurer; loaded on first use.
    ///
    /// # Errors
    /// Those of [`Measurer::load`]; [`Error::Input`] if model, reward, latents or pictures are not those of the plan.
    pub fn measurer(&self, device: &(DeviceName, Device)) -> Result<&Measurer> {
        if let Some(loaded) = self.measurer.get() {
            return Ok(loaded);
        }
        let found = Measurer::load(&self.plan.asked, device)?;
        // The tables are put together on the CPU, whatever device the tiles were made on.
        let recipe = Recipe { device: self.plan.recipe.device.clone(), ..found.recipe.clone() };
        if recipe != self.plan.recipe {
            let message = format!(
                "what the run was planned with is another now: {}; plan it again into another folder",
                store::differences(&self.recipe, &recipe.text()?)
            );
            return Err(Error::input(self.folder(), message));
        }
        let reward = found.subject.reward.as_ref().map(|r| r.sha256.clone());
        if reward != self.plan.reward_sha256 {
            let message = "is not the reward that the run was planned with; plan the run again, which keeps its tiles";
            return Err(Error::input(found.subject.folder.join("reward"), message));
        }
        Ok(self.measurer.get_or_init(|| found))
    }

    fn folder(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new("."))
    }

    /// Whether the table and its spectra fit into free memory when the tiles are put together.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn check_table_memory(&self) -> Result<()> {
        let (n, d) = (self.samples.len() as u64, self.plan.recipe.directions as u64);
        // The latents in f32 and three lists of the spectrum in f64, twice if they are packed; the row and its columns.
        let packed = if self.plan.asked.npz { 2 } else { 1 };
        let what = format!("the table of {n} samples in {}", shown(self.folder()));
        let remedy = "describe fewer samples in one run, or put it together on a machine with more";
        crate::memory::require(&what, n * (packed * (4 + 24) * d + 2048), remedy)
    }

    /// The parts of a tile: what each of the two estimators measures. The exact part comes first, so the file of the
    /// other is written last.
    fn parts(&self, tile: u64) -> impl Iterator<Item = Part<'_>> {
        let Tile { number, wanted, exact } = &self.tiles[tile as usize];
        let part = |estimator, exact, wanted| Part { tile: *number, estimator, exact, wanted };
        let all = [part("exact", true, exact.as_slice()), part(&self.plan.recipe.estimator, false, wanted.as_slice())];
        all.into_iter().filter(|part| !part.wanted.is_empty())
    }

    fn files<'a>(&'a self, part: &Part<'a>) -> TileFiles<'a> {
        TileFiles::new(self.folder(), part.estimator, &self.run_id)
    }

    fn find(&self, part: &Part) -> Lookup<Vec<Sample>> {
        let files = self.files(part);
        if self.folder.is_some() {
            return files.find(part.tile, part.wanted);
        }
        let wanted = |of: &Vec<Sample>| of.iter().filter(|s| part.wanted.contains(&s.number)).cloned().collect();
        self.memory.borrow().get(&files.path(part.tile)).map_or(Lookup::Nothing, |of| Lookup::Whole(wanted(of)))
    }

    /// Every sample as measured by the estimator asked for, and the samples measured exactly, both in the order typed.
    fn collect(&self) -> Result<[Vec<Sample>; 2]> {
        let mut found = [BTreeMap::new(), BTreeMap::new()];
        for part in (0..self.tiles()).flat_map(|tile| self.parts(tile)) {
            let Lookup::Whole(samples) = self.find(&part) else {
                let path = self.files(&part).path(part.tile);
                let message = format!("{path} is not finished here; run isoline resume");
                return Err(Error::input(self.folder(), message));
            };
            found[usize::from(part.exact)].extend(samples.into_iter().map(|s| (s.number, s)));
        }
        Ok(found.map(|mut of| self.samples.iter().filter_map(|s| of.remove(s)).collect()))
    }

    /// The finished samples with their descriptors.
    ///
    /// # Errors
    /// [`Error::Input`] if a tile is not finished.
    pub fn description(&self) -> Result<Description> {
        let [samples, exact] = self.collect()?;
        let rank = self.measurer(&device::open("cpu")?)?.subject.model_rank;
        let geometry = &self.plan.asked.geometry;
        Ok(Description::new(samples, &exact, rank, &geometry.scales, self.plan.recipe.column()))
    }

    /// What the tables and the page say; put together on first use.
    ///
    /// # Errors
    /// Those of [`Tiles::description`].
    pub fn report(&self) -> Result<&Report> {
        if let Some(found) = self.report.get() {
            return Ok(found);
        }
        let description = self.description()?;
        let source = &self.measurer(&device::open("cpu")?)?.source;
        let report = Report {
            description,
            usual: self.plan.recipe.is_usual(),
            files: self.samples.iter().map(|s| source.file(*s)).collect(),
            run_id: self.run_id.clone(),
            scales: self.plan.asked.geometry.scales.clone(),
            settings: toml::to_string(&self.plan).map_err(|e| Error::Bug(format!("settings: {e}")))?,
        };
        Ok(self.report.get_or_init(|| report))
    }
}

impl Work for Tiles {
    fn tiles(&self) -> u64 {
        self.tiles.len() as u64
    }

    fn wanted(&self, tile: u64) -> u64 {
        self.tiles[tile as usize].wanted.len() as u64
    }

    fn state(&self, tile: u64, _hash: bool) -> TileState {
        let mut state = TileState { wanted: self.wanted(tile), ..TileState::default() };
        let mut not_finite = 0;
        for part in self.parts(tile) {
            match self.find(&part) {
                Lookup::Nothing => return state,
                Lookup::Damaged(why) => return TileState { damaged: Some(why), ..state },
                Lookup::Foreign(why) => return TileState { foreign: Some(why), ..state },
                Lookup::Whole(found) => {
                    let path = self.files(&part).path(part.tile);
                    let hash = self.folder.as_ref().and_then(|f| store::sha256_file(&f.join(&path)).ok());
                    state.files.extend(hash.map(|hash| (hash, path)));
                    not_finite = found.iter().filter(|s| !part.exact && s.spectrum.is_none()).count() as u64;
                }
            }
        }
        TileState { done: state.wanted, non_finite: not_finite, ..state }
    }

    fn device_class(&self) -> &str {
        &self.plan.recipe.device
    }

    fn claim(&self) -> Result<()> {
        self.folder.as_ref().map_or(Ok(()), |folder| store::claim(folder, &self.recipe).map(|_| ()))
    }

    fn check_claim(&self) -> Result<()> {
        self.folder.as_ref().map_or(Ok(()), |folder| store::claimed(folder, &self.recipe).map(|_| ()))
    }

    fn maker<'a>(&'a self, device: (DeviceName, Device)) -> Box<dyn Maker + 'a> {
        Box::new(TileMaker { work: self, device })
    }

    fn finish(&self) -> Result<()> {
        self.check_table_memory()?;
        let report = self.report()?;
        let Measurer { subject, .. } = self.measurer(&device::open("cpu")?)?;
        let asked = &self.plan.asked;
        let spectra = asked.npz.then_some(&self.plan.recipe);
        report.write(self.folder(), subject, asked.csv, spectra)
    }

    fn folders(&self) -> Vec<PathBuf> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let mut names = vec!["exact", &self.plan.recipe.estimator];
        names.dedup();
        let tiles = names.into_iter().map(|name| folder.join(TileFiles::below(name)));
        tiles.chain([folder.clone(), folder.join("shards")]).collect()
    }
}

struct TileMaker<'a> {
    work: &'a Tiles,
    device: (DeviceName, Device),
}

impl Maker for TileMaker<'_> {
    fn make(
        &mut self,
        tile: u64,
        force: bool,
        tell: &mut dyn FnMut(&SampleEnd) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let (class, planned) = (self.device.0.class(), self.work.device_class());
        if class != planned {
            return Err(Error::key("device", format!("the run was planned for {planned}, found {class}")));
        }
        let measurer = self.work.measurer(&self.device)?;
        for part in self.work.parts(tile) {
            if !force && matches!(self.work.find(&part), Lookup::Whole(_)) {
                continue;
            }
            cancel.check(|| "finished tiles are kept".into())?;
            measurer.check_memory(part.exact)?;
            let samples = measurer.measure(part.tile, part.exact)?;
            let files = self.work.files(&part);
            if self.work.folder.is_some() {
                files.write(part.tile, &self.work.plan.recipe, &samples)?;
            }
            for sample in samples.iter().filter(|s| !part.exact && part.wanted.contains(&s.number)) {
                let status = if sample.spectrum.is_some() { Status::Ok } else { Status::NonFinite };
                tell(&SampleEnd { job: None, seed: sample.number, status, ends_call: false })?;
            }
            if self.work.folder.is_none() {
                self.work.memory.borrow_mut().insert(files.path(part.tile), samples);
            }
        }
        Ok(())
    }
}
