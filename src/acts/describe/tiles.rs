//! Descriptors of many latents: a table of local geometry, made tile by tile.

use super::block::Described;
use super::keys::{DescribeKeys, Describing};
use super::measure::{DescribeRecipe, TileFiles, TileFound};
use super::results::Results;
use super::values::Description;
use crate::acts::{ActRow, keys};
use crate::cancel::Cancel;
use crate::device::{self, Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::limits;
use crate::run::{Made, Maker, TileState, Work, parse_seeds};
use crate::steer::Status;
use crate::store;
use crate::tile::Tiling;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Its row in the table of acts.
pub const ROW: ActRow = ActRow {
    name: "describe",
    about: "descriptors of latents, as a table, as isoline describe makes it",
    open: |plan, folder| Ok(Box::new(Descriptions::open(keys(plan)?, folder)?)),
};

/// The plan's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribePlan {
    /// Rows of the file of latents, or pictures; absent for seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Of the reward whose calibration tells novelty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_sha256: Option<String>,
    /// As asked for.
    pub asked: DescribeKeys,
    /// What its tiles depend on.
    pub recipe: DescribeRecipe,
}

impl DescribePlan {
    /// The plan of what was asked for and loaded.
    pub fn new(asked: DescribeKeys, loaded: &Describing) -> Self {
        let rows = (loaded.recipe.column() == "row").then(|| loaded.samples().len() as u64);
        let reward_sha256 = loaded.subject.reward.as_ref().map(|r| r.sha256.clone());
        Self { rows, reward_sha256, asked, recipe: loaded.recipe.clone() }
    }

    fn samples(&self) -> Result<Vec<u64>> {
        match self.rows {
            None => parse_seeds(self.asked.seeds()).map_err(|m| Error::key("work.asked.seeds", m)),
            Some(rows) if (1..=limits::SAMPLES as u64).contains(&rows) => Ok((0..rows).collect()),
            Some(rows) => Err(Error::key("work.rows", format!("expected 1 to {}, found {rows}", limits::SAMPLES))),
        }
    }
}

/// The tiles of a description.
pub struct Descriptions {
    plan: DescribePlan,
    folder: PathBuf,
    recipe: String,
    run_id: String,
    samples: Vec<u64>,
    /// Each tile with the samples wanted of it, and those of them that are measured exactly too.
    tiles: Vec<(u64, Vec<u64>, Vec<u64>)>,
    loaded: OnceCell<Describing>,
    results: OnceCell<Results>,
}

impl Descriptions {
    /// The tiles of a plan in `folder`.
    ///
    /// # Errors
    /// [`Error::Key`] naming the key.
    pub fn open(plan: DescribePlan, folder: &Path) -> Result<Self> {
        let tile = plan.recipe.tile;
        if !(1..=limits::TILE).contains(&tile) || Some(tile) != plan.asked.tile {
            return Err(Error::key("work.recipe.tile", format!("expected 1 to {}, found {tile}", limits::TILE)));
        }
        let (estimator, _) = crate::geometry::estimator_row(&plan.recipe.estimator)?;
        let is_exact = (estimator.make)(&plan.asked.settings()?).is_exact();
        let Some(calibrate_on) = plan.asked.calibrate_on else {
            return Err(Error::key("work.asked.calibrate_on", "expected a number, found none"));
        };
        let samples = plan.samples()?;
        let tiling = Tiling::new(tile);
        let calibrated = &samples[..if is_exact { 0 } else { samples.len().min(calibrate_on) }];
        let mut calibrated = tiling.cover(calibrated);
        let tiles = tiling.cover(&samples).into_iter();
        let recipe = plan.recipe.text()?;
        Ok(Self {
            run_id: store::run_id(&recipe),
            recipe,
            folder: folder.to_owned(),
            tiles: tiles.map(|(tile, wanted)| (tile, wanted, calibrated.remove(&tile).unwrap_or_default())).collect(),
            samples,
            plan,
            loaded: OnceCell::new(),
            results: OnceCell::new(),
        })
    }

    /// The same with what is loaded already.
    #[must_use]
    pub fn with(self, loaded: Describing) -> Self {
        let _ = self.loaded.set(loaded);
        self
    }

    /// What is loaded; loads it on its first use.
    ///
    /// # Errors
    /// Those of [`Describing::load`]; [`Error::Input`] where model, latents or pictures are not those that were planned.
    pub fn loaded(&self, device: &(DeviceName, Device)) -> Result<&Describing> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let found = Describing::load(&self.plan.asked, device.0, &device.1)?;
        // Tables are put together on the processor, whatever the tiles were made on.
        let recipe = DescribeRecipe { device: self.plan.recipe.device.clone(), ..found.recipe.clone() };
        if recipe != self.plan.recipe {
            let message = format!(
                "what the run was planned with is another now: {}; plan it again into another folder",
                store::differences(&self.recipe, &recipe.text()?)
            );
            return Err(Error::input(&self.folder, message));
        }
        let reward = found.subject.reward.as_ref().map(|r| r.sha256.clone());
        if reward != self.plan.reward_sha256 {
            let message = "is not the reward that the run was planned with; plan the run again, which keeps its tiles";
            return Err(Error::input(found.model().join("reward"), message));
        }
        Ok(self.loaded.get_or_init(|| found))
    }

    /// Whether the table with its spectra fits into the memory that is free when tiles are put together.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn check_table_memory(&self) -> Result<()> {
        let (n, d) = (self.samples.len() as u64, self.plan.recipe.directions as u64);
        // The latent in f32, three lists of the spectrum in f64, twice where they are packed; the row and its columns.
        let packed = if self.plan.asked.npz { 2 } else { 1 };
        let what = format!("the table of {n} samples in {}", shown(&self.folder));
        let remedy = "describe fewer samples in one run, or put it together on a machine with more";
        crate::memory::require(&what, n * (packed * (4 + 24) * d + 2048), remedy)
    }

    /// What [`Work::finish`] has put together.
    ///
    /// # Errors
    /// Its own, where it was not called yet.
    pub fn results(&self) -> Result<&Results> {
        if self.results.get().is_none() {
            let found = self.collect()?;
            let _ = self.results.set(found);
        }
        self.results.get().ok_or_else(|| Error::Bug("results that were set are not there".into()))
    }

    /// The two estimators with what is wanted by each of a tile, exact samples first: the others' file is then the last.
    fn parts<'a>(&'a self, tile: u64) -> impl Iterator<Item = (TileFiles<'a>, bool, &'a [u64])> {
        let (_, wanted, exact) = &self.tiles[tile as usize];
        let files = |name| TileFiles::new(&self.folder, name, &self.run_id);
        let all =
            [(files("exact"), true, exact.as_slice()), (files(&self.plan.recipe.estimator), false, wanted.as_slice())];
        all.into_iter().filter(|part| !part.2.is_empty())
    }

    /// Reads all tiles.
    fn collect(&self) -> Result<Results> {
        self.check_table_memory()?;
        let (mut found, mut exact) = (BTreeMap::new(), BTreeMap::new());
        for tile in 0..self.tiles() {
            for (files, is_exact, wanted) in self.parts(tile) {
                let number = self.tiles[tile as usize].0;
                let TileFound::Whole(samples) = files.find(number, wanted) else {
                    let message = format!("{} is not finished here; run isoline resume", files.path(number));
                    return Err(Error::input(&self.folder, message));
                };
                let to = if is_exact { &mut exact } else { &mut found };
                to.extend(samples.into_iter().map(|s| (s.sample, s)));
            }
        }
        let loaded = self.loaded(&device::open("cpu")?)?;
        let typed = |from: &mut BTreeMap<u64, Described>| -> Vec<Described> {
            self.samples.iter().filter_map(|s| from.remove(s)).collect()
        };
        let (found, exact) = (typed(&mut found), typed(&mut exact));
        let scales = self.plan.asked.scales.clone();
        let rank = loaded.subject.model_rank;
        Ok(Results {
            description: Description::new(found, &exact, rank, &scales, self.plan.recipe.column()),
            usual: self.plan.recipe.is_usual(),
            files: loaded.files(&self.samples),
            run_id: self.run_id.clone(),
            scales,
            settings: toml::to_string(&self.plan).map_err(|e| Error::Bug(format!("settings: {e}")))?,
        })
    }
}

impl Work for Descriptions {
    fn tiles(&self) -> u64 {
        self.tiles.len() as u64
    }

    fn wanted(&self, tile: u64) -> u64 {
        self.tiles[tile as usize].1.len() as u64
    }

    fn state(&self, tile: u64, _hash: bool) -> TileState {
        let number = self.tiles[tile as usize].0;
        let mut state = TileState { wanted: self.wanted(tile), ..TileState::default() };
        let mut not_finite = 0;
        for (files, is_exact, wanted) in self.parts(tile) {
            match files.find(number, wanted) {
                TileFound::Nothing => return state,
                TileFound::Damaged(why) => return TileState { damaged: Some(why), ..state },
                TileFound::Foreign(why) => return TileState { foreign: Some(why), ..state },
                TileFound::Whole(found) => {
                    let path = files.path(number);
                    state.files.extend(store::sha256_file(&self.folder.join(&path)).ok().map(|hash| (hash, path)));
                    not_finite = found.iter().filter(|s| !is_exact && s.spectrum.is_none()).count() as u64;
                }
            }
        }
        TileState { done: state.wanted, non_finite: not_finite, ..state }
    }

    fn device_class(&self) -> &str {
        &self.plan.recipe.device
    }

    fn claim(&self) -> Result<()> {
        store::claim(&self.folder, &self.recipe).map(|_| ())
    }

    fn check_claim(&self) -> Result<()> {
        store::claimed(&self.folder, &self.recipe).map(|_| ())
    }

    fn maker<'a>(&'a self, device: (DeviceName, Device)) -> Box<dyn Maker + 'a> {
        Box::new(DescriptionMaker { work: self, device })
    }

    fn finish(&self) -> Result<()> {
        let results = self.results()?;
        let loaded = self.loaded(&device::open("cpu")?)?;
        let asked = &self.plan.asked;
        let spectra = asked.npz.then_some(&self.plan.recipe);
        let subject = &loaded.subject;
        results.write(&self.folder, &*subject.generator, subject.reward.as_ref(), asked.csv, spectra)
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut names = vec!["exact", &self.plan.recipe.estimator];
        names.dedup();
        let tiles = names.into_iter().map(|name| self.folder.join(TileFiles::below(name)));
        tiles.chain([self.folder.clone(), self.folder.join("shards")]).collect()
    }
}

struct DescriptionMaker<'a> {
    work: &'a Descriptions,
    device: (DeviceName, Device),
}

impl Maker for DescriptionMaker<'_> {
    fn make(
        &mut self,
        tile: u64,
        force: bool,
        tell: &mut dyn FnMut(&Made) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let (class, planned) = (self.device.0.class(), self.work.device_class());
        if class != planned {
            return Err(Error::key("device", format!("the run was planned for {planned}, found {class}")));
        }
        let loaded = self.work.loaded(&self.device)?;
        let number = self.work.tiles[tile as usize].0;
        for (files, is_exact, wanted) in self.work.parts(tile) {
            if !force && matches!(files.find(number, wanted), TileFound::Whole(_)) {
                continue;
            }
            cancel.check(|| "finished tiles are kept".into())?;
            loaded.check_memory(is_exact)?;
            let measurer = if is_exact { loaded.exact() } else { loaded.measurer() };
            let made = measurer.make(&files, number)?;
            for sample in made.iter().filter(|s| !is_exact && wanted.contains(&s.sample)) {
                let status = if sample.spectrum.is_some() { Status::Ok } else { Status::NonFinite };
                tell(&Made { job: None, seed: sample.sample, status })?;
            }
        }
        Ok(())
    }
}
