//! The tiles of a run of pictures: jobs of seeds, each job with its own recipe, folder and records.

use super::likeness::Likeness;
use super::look::{Shot, shot};
use super::make::make;
use super::planned::{GeneratePlan, PlannedJob};
use super::row::{SampleRow, picture_path, preview_path};
use super::sheet::{self, SheetJob};
use super::subject::Subject;
use super::subjects::{Subjects, subject};
use super::sweep;
use super::table::samples_table;
use super::vary::{centre, starts};
use crate::acts::{ActRow, columns, keys};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result, shown};
use crate::generator::{Classifier, find_model};
use crate::render::{Picture, png};
use crate::run::{Lookup, Maker, Record, SampleEnd, Seeds, TileState, Work};
use crate::steer::Status;
use crate::store;
use crate::table::{write_csv, write_parquet};
use crate::tile::Tiling;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Its row in the table of acts.
pub const ROW: ActRow = ActRow {
    name: "generate",
    about: "pictures of seeds, as isoline generate makes them",
    open: |plan, folder| Ok(Box::new(Pictures::open(keys(plan)?, folder)?)),
};

/// Classifiers in memory, by the name that a job gives.
pub type Classifiers = BTreeMap<String, Classifier>;

/// A job with its tiles.
struct Job {
    planned: PlannedJob,
    folder: PathBuf,
    recipe: String,
    run_id: String,
    tiling: Tiling,
    /// Each tile's number within the job, with the wanted seeds in it.
    tiles: Vec<(u64, Vec<u64>)>,
    /// The seeds that a forced pass makes again; `None` for all.
    again: Option<BTreeSet<u64>>,
}

/// The tiles of all jobs, numbered one job after the other.
pub struct Pictures {
    folder: PathBuf,
    csv: bool,
    jobs: Vec<Job>,
}

impl Pictures {
    /// The tiles of a plan in `folder`.
    ///
    /// # Errors
    /// [`Error::Key`] naming the key.
    pub fn open(plan: GeneratePlan, folder: &Path) -> Result<Self> {
        if !(1..=64).contains(&plan.jobs.len()) {
            return Err(Error::key("work.jobs", format!("expected 1 to 64 jobs, found {}", plan.jobs.len())));
        }
        let mut jobs = Vec::with_capacity(plan.jobs.len());
        for (i, planned) in plan.jobs.into_iter().enumerate() {
            let bad = |key: &str, message: String| Error::key(format!("work.jobs[{i}].{key}"), message);
            store::check_id(&planned.name).map_err(|m| bad("name", m))?;
            if planned.folder != "." {
                store::check_id(&planned.folder).map_err(|m| bad("folder", m))?;
            }
            if planned.recipe.format != 1 || !planned.recipe.is_bounded() {
                return Err(bad("recipe", "a number is beyond what isoline writes".into()));
            }
            let recipe = planned.recipe.text()?;
            let tiling = Tiling::new(planned.recipe.tile);
            jobs.push(Job {
                folder: if planned.folder == "." { folder.to_owned() } else { folder.join(&planned.folder) },
                run_id: store::run_id(&recipe),
                recipe,
                tiles: tiling.cover(planned.seeds.list()).into_iter().collect(),
                tiling,
                again: None,
                planned,
            });
        }
        Ok(Self { folder: folder.to_owned(), csv: plan.csv, jobs })
    }

    /// From now on a forced pass makes only these seeds of the jobs of these names again.
    pub fn force_only(&mut self, asked: &[(String, Seeds)]) {
        for job in &mut self.jobs {
            let seeds = asked.iter().filter(|a| a.0 == job.planned.name).flat_map(|a| a.1.list());
            job.again = Some(seeds.copied().collect());
        }
    }

    /// Whether the table made at the end fits into free memory.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn check_table_memory(&self) -> Result<()> {
        // A row with its two texts, held both as a row and as columns; a latent as f32 and as columns.
        let row = |j: &Job| 1024 + 28 * j.planned.recipe.latents.unwrap_or(0) as u64;
        let samples: u64 = self.jobs.iter().map(|j| j.planned.seeds.list().len() as u64).sum();
        let bytes = self.jobs.iter().map(|j| row(j) * j.planned.seeds.list().len() as u64).sum();
        let what = format!("the table of {samples} samples in {}", shown(&self.folder));
        crate::memory::require(&what, bytes, "ask for fewer seeds in one run")
    }

    /// The job that a tile belongs to, and the tile's entry in that job.
    fn place(&self, tile: u64) -> (&Job, &(u64, Vec<u64>)) {
        let mut left = tile as usize;
        for job in &self.jobs {
            match job.tiles.get(left) {
                Some(found) => return (job, found),
                None => left -= job.tiles.len(),
            }
        }
        unreachable!("tile {tile} of {}", self.tiles())
    }

    /// A maker of tiles that starts with the models already in memory.
    pub fn maker_with(
        &self,
        device: (DeviceName, Device),
        subjects: Subjects,
        classifiers: Classifiers,
    ) -> PictureMaker<'_> {
        PictureMaker { pictures: self, device, subjects, classifiers, centres: BTreeMap::new() }
    }

    /// The ids of a tile's pictures that are recorded, each with its row and its file.
    pub fn recorded(&self, tile: u64) -> Lookup<Vec<(String, SampleRow, Option<PathBuf>)>> {
        let (job, (number, wanted)) = self.place(tile);
        let one = |row: SampleRow| {
            let file = row.file.as_ref().map(|f| job.folder.join(f));
            (format!("{}-{}", job.run_id, row.seed), row, file)
        };
        let found = Record::<SampleRow>::find(&job.folder, *number, &job.run_id);
        found.map(|record| record.samples.into_iter().filter(|s| wanted.contains(&s.seed)).map(one).collect())
    }

    /// The file of a tile's record.
    pub fn record_file(&self, tile: u64) -> PathBuf {
        let (job, (number, _)) = self.place(tile);
        job.folder.join(crate::run::record_path(*number))
    }

    /// The model of a tile.
    pub fn model(&self, tile: u64) -> &str {
        &self.place(tile).0.planned.model
    }

    /// The rows of every job, as (name, folder, rows), in the order its seeds were typed.
    ///
    /// # Errors
    /// [`Error::Input`] if a sample is not finished.
    pub fn rows(&self) -> Result<Vec<(String, PathBuf, Vec<SampleRow>)>> {
        self.jobs.iter().map(|job| Ok((job.planned.name.clone(), job.folder.clone(), job.rows()?))).collect()
    }
}

impl Job {
    fn rows(&self) -> Result<Vec<SampleRow>> {
        let mut rows: BTreeMap<u64, SampleRow> = BTreeMap::new();
        for (tile, _) in &self.tiles {
            if let Lookup::Whole(record) = Record::<SampleRow>::find(&self.folder, *tile, &self.run_id) {
                rows.extend(record.samples.into_iter().map(|s| (s.seed, s)));
            }
        }
        let row = |seed: &u64| {
            rows.remove(seed).ok_or_else(|| {
                Error::input(&self.folder, format!("seed {seed} is not finished here; run isoline resume"))
            })
        };
        self.planned.seeds.list().iter().map(row).collect()
    }

    fn state(&self, tile: u64, wanted: &[u64], hash: bool) -> TileState {
        let mut state = TileState { wanted: wanted.len() as u64, ..TileState::default() };
        let record = match Record::<SampleRow>::find(&self.folder, tile, &self.run_id) {
            Lookup::Nothing => return state,
            Lookup::Damaged(why) => return TileState { damaged: Some(self.names(tile, &why)), ..state },
            Lookup::Foreign(why) => return TileState { foreign: Some(self.names(tile, &why)), ..state },
            Lookup::Whole(record) => record,
        };
        for row in record.samples.iter().filter(|s| wanted.contains(&s.seed)) {
            match self.fault(row, hash) {
                Some(why) => state.damaged = state.damaged.or(Some(why)),
                None => {
                    state.done += 1;
                    state.non_finite += u64::from(row.status == Status::NonFinite);
                    if let (Some(file), Some(sha256)) = (&row.file, &row.sha256) {
                        state.files.push((sha256.clone(), self.below(file)));
                    }
                }
            }
        }
        let path = self.folder.join(crate::run::record_path(tile));
        if let Ok(sha256) = store::sha256_file(&path) {
            state.files.push((sha256, self.below(&crate::run::record_path(tile))));
        }
        state
    }

    fn names(&self, tile: u64, why: &str) -> String {
        format!("{} {why}", self.below(&crate::run::record_path(tile)))
    }

    /// Path of a picture below the job's folder.
    fn picture(&self, seed: u64) -> String {
        picture_path(seed, self.planned.subdirs)
    }

    /// The same path seen from the run directory instead of the job's folder.
    fn below(&self, path: &str) -> String {
        if self.planned.folder == "." { path.to_owned() } else { format!("{}/{path}", self.planned.folder) }
    }

    /// What is wrong with a finished sample, if anything; with `hash` its file is hashed too.
    fn fault(&self, row: &SampleRow, hash: bool) -> Option<String> {
        let at = |why: &str| Some(format!("{} {why}", self.below(&self.picture(row.seed))));
        match (&row.file, &row.sha256) {
            (Some(file), Some(_)) if *file != self.picture(row.seed) => at("is recorded under another name"),
            (Some(file), Some(sha256)) => {
                let path = self.folder.join(file);
                match path.symlink_metadata() {
                    Ok(meta) if !meta.is_file() => at("is no plain file"),
                    Err(_) => at("is missing"),
                    Ok(_) if !hash => None,
                    Ok(_) if store::sha256_file(&path).is_ok_and(|found| found == *sha256) => None,
                    Ok(_) => at("has another hash than its record says"),
                }
            }
            (None, None) if row.status == Status::NonFinite => None,
            _ => at("is recorded without a picture, a hash or a reason"),
        }
    }
}

impl Work for Pictures {
    fn tiles(&self) -> u64 {
        self.jobs.iter().map(|j| j.tiles.len() as u64).sum()
    }

    fn wanted(&self, tile: u64) -> u64 {
        self.place(tile).1.1.len() as u64
    }

    fn state(&self, tile: u64, hash: bool) -> TileState {
        let (job, (number, wanted)) = self.place(tile);
        job.state(*number, wanted, hash)
    }

    fn forced(&self, tile: u64) -> u64 {
        let (job, (_, wanted)) = self.place(tile);
        job.forced(wanted).len() as u64
    }

    fn device_class(&self) -> &str {
        self.jobs.first().map_or("cpu", |j| &j.planned.recipe.device)
    }

    fn claim(&self) -> Result<()> {
        self.jobs.iter().try_for_each(|j| store::claim(&j.folder, &j.recipe).map(|_| ()))
    }

    fn check_claim(&self) -> Result<()> {
        self.jobs.iter().try_for_each(|j| store::claimed(&j.folder, &j.recipe).map(|_| ()))
    }

    fn maker<'a>(&'a self, device: (DeviceName, Device)) -> Box<dyn Maker + 'a> {
        Box::new(self.maker_with(device, BTreeMap::new(), BTreeMap::new()))
    }

    fn finish(&self) -> Result<()> {
        self.check_table_memory()?;
        let jobs = self.rows()?;
        let views: Vec<SheetJob> = self
            .jobs
            .iter()
            .zip(&jobs)
            .map(|(job, (_, folder, rows))| SheetJob { planned: &job.planned, folder, rows })
            .collect();
        sheet::write(&self.folder, &views)?;
        sweep::write(&self.folder, &views)?;
        let rows: Vec<(&str, &SampleRow)> =
            jobs.iter().flat_map(|(name, _, rows)| rows.iter().map(move |r| (name.as_str(), r))).collect();
        let table = samples_table(&rows)?;
        let version = ("isoline".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let metadata = [version, columns::metadata("samples", &table)];
        store::write_atomic(&self.folder.join("samples.parquet"), &write_parquet(&table, &metadata)?)?;
        if self.csv {
            store::write_atomic(&self.folder.join("samples.csv"), write_csv(&table).as_bytes())?;
        }
        Ok(())
    }

    fn folders(&self) -> Vec<PathBuf> {
        let each = self.jobs.iter().flat_map(|j| {
            [j.folder.clone(), j.folder.join("images"), j.folder.join("records"), j.folder.join("previews")]
        });
        let of = |j: &Job, seed: &u64| j.folder.join(j.picture(*seed)).parent().map(Path::to_owned);
        let thousands: BTreeSet<PathBuf> = self
            .jobs
            .iter()
            .filter(|j| j.planned.subdirs)
            .flat_map(|j| j.planned.seeds.list().iter().filter_map(move |seed| of(j, seed)))
            .collect();
        each.chain(thousands).chain([self.folder.clone(), self.folder.join("shards")]).collect()
    }
}

/// Makes the tiles of a run of pictures. The models that it has loaded are taken along and can be had back.
pub struct PictureMaker<'a> {
    pictures: &'a Pictures,
    device: (DeviceName, Device),
    subjects: Subjects,
    classifiers: Classifiers,
    /// The latents around which the jobs that vary one lie, by run id.
    centres: BTreeMap<String, Vec<f32>>,
}

impl PictureMaker<'_> {
    /// The models in memory.
    pub fn into_subjects(self) -> Subjects {
        self.subjects
    }
}

impl Maker for PictureMaker<'_> {
    fn make(
        &mut self,
        tile: u64,
        force: bool,
        tell: &mut dyn FnMut(&SampleEnd) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let (job, (number, wanted)) = self.pictures.place(tile);
        let recipe = &job.planned.recipe;
        let class = self.device.0.class();
        if class != recipe.device {
            let message = format!("the run was planned for {}, found {class}", recipe.device);
            return Err(Error::key("device", message));
        }
        let name = &job.planned.model;
        let loaded = subject(&mut self.subjects, name, recipe, &self.device.1)?;
        loaded.check_memory(job.tiling.size())?;
        let width = loaded.generator().spec().latent_width;
        if let (Some(vary), false) = (&recipe.vary, self.centres.contains_key(&job.run_id)) {
            let z = centre(vary, name, &mut self.subjects, &self.device, width, cancel)?;
            self.centres.insert(job.run_id.clone(), z);
        }
        let loaded = subject(&mut self.subjects, name, recipe, &self.device.1)?;
        let centre = self.centres.get(&job.run_id).map(Vec::as_slice);
        let classifier = match &job.planned.classifier {
            None => None,
            Some(name) => Some(match self.classifiers.entry(name.clone()) {
                Entry::Occupied(found) => &*found.into_mut(),
                Entry::Vacant(empty) => &*empty.insert(Classifier::load(&find_model(name)?, &self.device.1)?),
            }),
        };
        job.check_classifier(classifier)?;
        job.make((*number, wanted), force, (loaded, classifier), centre, tell, cancel)
    }
}

impl Job {
    /// Whether this is the classifier that the recipe was written for.
    fn check_classifier(&self, classifier: Option<&Classifier>) -> Result<()> {
        let wanted = self.planned.recipe.identity.as_ref().and_then(|i| i.classifier_sha256.as_deref());
        let found = classifier.map(Classifier::sha256);
        if wanted == found {
            return Ok(());
        }
        let [wanted, found] =
            [wanted, found].map(|h| h.map_or("no classifier".to_owned(), |h| format!("SHA-256 {h:.12}")));
        let place = self.planned.classifier.clone().unwrap_or_default();
        Err(Error::input(place, format!("the run was planned with another classifier ({wanted}), here {found}")))
    }

    fn make(
        &self,
        (tile, wanted): (u64, &[u64]),
        force: bool,
        (subject, classifier): (&Subject, Option<&Classifier>),
        centre: Option<&[f32]>,
        tell: &mut dyn FnMut(&SampleEnd) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let recipe = &self.planned.recipe;
        let spec = subject.generator().spec();
        let mut done = self.kept(tile, &if force { self.forced(wanted) } else { Vec::new() });
        let needed = |seed: &u64| subject.needs_whole_tiles() || (wanted.contains(seed) && !done.contains_key(seed));
        let samples: Vec<u64> = self.tiling.samples(tile).filter(needed).collect();
        let starts = starts(recipe, centre, &samples, spec.latent_width);
        let finished = if samples.is_empty() { Vec::new() } else { make(subject, recipe, &starts, cancel)? };
        let likenesses = match (&recipe.identity, subject.engine()) {
            (Some(_), Some(engine)) => {
                let how = (recipe.method.as_str(), recipe.denoising.as_ref());
                Likeness::of_each(engine, how, &finished, classifier, cancel)?
            }
            _ => vec![None; finished.len()],
        };
        let made = finished.iter().zip(likenesses);
        for (one, likeness) in made.filter(|(f, _)| wanted.contains(&f.steered.sample)) {
            let s = &one.steered;
            if done.contains_key(&s.sample) {
                continue;
            }
            let Shot { mut row, png } = shot(subject, recipe, one, likeness)?;
            if let Some(bytes) = png {
                let file = self.picture(s.sample);
                store::write_atomic(&self.folder.join(&file), &bytes)?;
                row.file = Some(file);
            }
            // Previews are not part of the record: the same recipe makes them again.
            for (step, values) in one.previews.iter().filter(|p| p.1.iter().all(|v| v.is_finite())) {
                let preview = Picture::from_values(values, spec.sample_shape, spec.range)?;
                let bytes = png::encode(&preview, &png::PngText::default())?;
                store::write_atomic(&self.folder.join(preview_path(s.sample, *step)), &bytes)?;
            }
            tell(&SampleEnd { job: Some(&self.planned.name), seed: s.sample, status: row.status, ends_call: false })?;
            done.insert(s.sample, row);
        }
        Record::new(&self.run_id, tile, done.into_values().collect()).write(&self.folder)
    }

    /// Those of `wanted` that a forced pass makes again.
    fn forced(&self, wanted: &[u64]) -> Vec<u64> {
        let again = |s: &u64| self.again.as_ref().is_none_or(|again| again.contains(s));
        wanted.iter().copied().filter(again).collect()
    }

    /// The rows of a tile that are recorded and intact, except those of the seeds `again`.
    fn kept(&self, tile: u64, again: &[u64]) -> BTreeMap<u64, SampleRow> {
        let Lookup::Whole(record) = Record::<SampleRow>::find(&self.folder, tile, &self.run_id) else {
            return BTreeMap::new();
        };
        let keep = |s: &SampleRow| !again.contains(&s.seed) && self.fault(s, true).is_none();
        record.samples.into_iter().filter(keep).map(|s| (s.seed, s)).collect()
    }
}
