//! One job: the tiles its seeds touch, made or found finished.

use super::engine::Engine;
use super::recipe::{PictureRecipe, Recipe};
use super::record::{Record, SampleRow, picture_path};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::progress::Progress;
use crate::render::{Picture, png};
use crate::steering::Status;
use crate::store;
use crate::tile::Tiling;
use std::collections::BTreeMap;
use std::path::Path;

/// What to make where.
pub struct Job<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Run directory.
    pub folder: &'a Path,
    /// Seeds wanted.
    pub seeds: &'a [u64],
    /// Make verified samples again.
    pub force: bool,
    /// Name for the progress bar.
    pub label: &'a str,
}

/// Makes what is missing and returns the rows of all wanted seeds, in their order.
///
/// # Errors
/// [`Error::Busy`] when another process works in the folder, [`Error::Config`] when it holds another
/// recipe, and those of the device and the disk; finished tiles stay.
pub fn run(job: &Job, engine: &Engine, progress: &Progress, cancel: &Cancel) -> Result<Vec<SampleRow>> {
    store::create_dir(job.folder)?;
    let lock = lock(job.folder)?;
    let run_id = claim(job)?;
    let tiling = Tiling::new(job.recipe.tile);
    let bar = progress.start(job.label.to_owned(), job.seeds.len() as u64);
    let mut rows = BTreeMap::new();
    for (tile, wanted) in tiling.cover(job.seeds) {
        cancel.check(|| {
            format!("{} of {} samples are complete in {}", rows.len(), job.seeds.len(), job.folder.display())
        })?;
        let mut kept = Record::verified(job.folder, tile, &run_id);
        kept.retain(|k| !(job.force && wanted.contains(&k.seed)));
        let missing = wanted.iter().any(|s| kept.iter().all(|k| k.seed != *s));
        let samples = if missing { make(job, engine, &run_id, tiling, tile, &wanted, kept, cancel)? } else { kept };
        rows.extend(samples.into_iter().map(|s| (s.seed, s)));
        if missing { bar.advance(wanted.len() as u64) } else { bar.skip(wanted.len() as u64) }
    }
    bar.finish();
    drop(lock);
    Ok(job.seeds.iter().filter_map(|s| rows.get(s).cloned()).collect())
}

fn lock(folder: &Path) -> Result<std::fs::File> {
    let path = folder.join("run.lock");
    let open = std::fs::OpenOptions::new().create(true).truncate(false).write(true).read(true).open(&path);
    let file = open.map_err(|e| Error::io(&path, "open", e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Error::Busy { path: folder.to_owned(), holder: format!("it holds {}", path.display()) })
        }
        Err(std::fs::TryLockError::Error(e)) => Err(Error::io(&path, "lock", e)),
    }
}

/// Writes the recipe, or checks that the folder was made with the same one.
fn claim(job: &Job) -> Result<String> {
    let path = job.folder.join("recipe.toml");
    let text = job.recipe.text()?;
    if path.exists() {
        let found = store::read_bounded(&path, crate::limits::CONFIG_BYTES)?;
        if found != text.as_bytes() {
            let found = String::from_utf8_lossy(&found).into_owned();
            let differs = text.lines().find(|l| !found.lines().any(|f| f == *l)).unwrap_or("an absent key").to_owned();
            let message = format!(
                "this folder was made with another recipe (now: {differs}); choose another --outdir or remove the folder"
            );
            return Err(Error::config(crate::error::shown(&path), message));
        }
    } else {
        store::write_atomic(&path, text.as_bytes())?;
    }
    job.recipe.run_id()
}

#[allow(clippy::too_many_arguments)]
fn make(
    job: &Job,
    engine: &Engine,
    run_id: &str,
    tiling: Tiling,
    tile: u64,
    wanted: &[u64],
    kept: Vec<SampleRow>,
    cancel: &Cancel,
) -> Result<Vec<SampleRow>> {
    let samples: Vec<u64> = tiling.samples(tile).collect();
    let novelty = vec![job.recipe.novelty; samples.len()];
    let steered = engine.steer(&job.recipe.method, &samples, &novelty, &job.recipe.settings, cancel)?;
    let pictures = engine.pictures(&steered)?;
    let spec = engine.generator.spec();
    let mut done: BTreeMap<u64, SampleRow> = kept.into_iter().map(|s| (s.seed, s)).collect();
    for (s, values) in steered.iter().zip(&pictures).filter(|(s, _)| wanted.contains(&s.sample)) {
        let mut row = engine.row(s, job.recipe.novelty);
        if values.iter().any(|v| !v.is_finite()) {
            row.status = Status::NonFinite;
        }
        if row.status != Status::NonFinite {
            let picture = Picture::from_values(values, spec.sample_shape, spec.range)?;
            let bytes = png::encode(&picture, &text(job.recipe, s.sample)?)?;
            let file = picture_path(s.sample);
            store::write_atomic(&job.folder.join(&file), &bytes)?;
            row.sha256 = Some(store::sha256_hex(&bytes));
            row.file = Some(file);
        }
        done.insert(s.sample, row);
    }
    let record = Record { run_id: run_id.to_owned(), tile, samples: done.into_values().collect() };
    record.write(job.folder)?;
    Ok(record.samples)
}

fn text(recipe: &Recipe, seed: u64) -> Result<png::PngText> {
    if !recipe.metadata {
        return Ok(png::PngText::default());
    }
    let own = PictureRecipe { schema: 1, seed, recipe: recipe.clone() };
    let json = serde_json::to_string(&own).map_err(|e| Error::Bug(e.to_string()))?;
    Ok(png::PngText { parameters: Some(own.parameters()), isoline: Some(json) })
}
