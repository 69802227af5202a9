//! A description: many latents, their spectra and descriptors, made tile by tile in a run directory.

use super::block::{About, Described, FORMAT, open, pack, samples};
use super::invert::Inverter;
use super::source::{SEEDS, Source};
use crate::cancel::Cancel;
use crate::error::{Error, Result, shown};
use crate::generator::Generator;
use crate::geometry::{
    DESCRIPTORS, Descriptor, EstimatorSettings, JacobianEstimator, LocalGeometry, local_complexity, measure_all,
};
use crate::progress::Progress;
use crate::store::{self, run_id};
use crate::tile::Tiling;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What determines the tiles of a description, spelt out: `recipe.toml` of its run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribeRecipe {
    /// Version of this format.
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// Version of the noise scheme.
    pub noise_scheme: u32,
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// Where the latents come from.
    pub source: String,
    /// How pictures were turned into latents.
    pub inversion: String,
    /// Estimator of the spectra.
    pub estimator: String,
    /// P.
    pub directions: usize,
    /// c of the stencil.
    pub radius: f64,
    /// Key of the directions.
    pub frame_seed: u64,
    /// Whether local complexity is counted.
    pub complexity: bool,
    /// c of local complexity.
    pub complexity_radius: f64,
    /// P of local complexity.
    pub complexity_directions: usize,
    /// Samples per tile.
    pub tile: usize,
    /// cpu, wgpu or cuda.
    pub device: String,
}

impl DescribeRecipe {
    /// The text of `recipe.toml`.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Bug(format!("recipe: {e}")))
    }

    /// Name of the column of the samples' numbers: `seed`, or `row` of a file or list.
    pub fn column(&self) -> &'static str {
        if self.source == SEEDS { "seed" } else { "row" }
    }

    /// Whether the directions are those of the usual key, at the usual radius.
    pub fn is_usual(&self) -> bool {
        let usual = EstimatorSettings::default();
        self.frame_seed == usual.seed && self.radius == usual.radius
    }

    /// What a file of these samples says of itself.
    pub fn about(&self, run_id: &str, tile: Option<u64>, estimator: &str, samples: &[Described]) -> About {
        let spectrum = samples.iter().find_map(|s| s.spectrum.as_ref());
        let mut stderr: Vec<String> = samples.iter().flat_map(|s| s.stderr.keys().cloned()).collect();
        stderr.sort();
        stderr.dedup();
        About {
            format: FORMAT,
            sha256: String::new(),
            run_id: run_id.to_owned(),
            tile,
            model: self.model.clone(),
            model_sha256: self.model_sha256.clone(),
            column: self.column().to_owned(),
            estimator: estimator.to_owned(),
            n_directions: spectrum.map_or(0, |s| s.n_directions),
            frame_of: spectrum.map_or(0, |s| s.frame_of),
            sample_width: spectrum.map_or(0, |s| s.sample_width),
            stderr,
        }
    }
}

/// The files of a description's tiles by one estimator. Each is written whole and says itself whose it is, so that it is
/// its own record: `tiles/ESTIMATOR/tile-0000007.npz` below the run's folder.
pub struct TileFiles<'a> {
    folder: &'a Path,
    estimator: &'a str,
    run_id: &'a str,
}

/// What lies at the place of a tile's file.
pub enum TileFound {
    /// Nothing.
    Nothing,
    /// All samples that are wanted.
    Whole(Vec<Described>),
    /// Something that cannot be used, and why; it is made again.
    Damaged(String),
    /// The whole file of another run or version, which is not ours to replace.
    Foreign(String),
}

impl<'a> TileFiles<'a> {
    /// The files below the run directory `folder`.
    pub fn new(folder: &'a Path, estimator: &'a str, run_id: &'a str) -> Self {
        Self { folder, estimator, run_id }
    }

    /// Path of a tile's file below the run directory.
    pub fn path(&self, tile: u64) -> String {
        format!("{}/tile-{tile:07}.npz", Self::below(self.estimator))
    }

    /// Folder of an estimator's tiles below the run directory.
    pub fn below(estimator: &str) -> String {
        format!("tiles/{estimator}")
    }

    /// Looks at the place of a tile's file; gives the samples of `wanted`, ascending.
    pub fn find(&self, tile: u64, wanted: &[u64]) -> TileFound {
        let path = self.path(tile);
        let full = self.folder.join(&path);
        if full.symlink_metadata().is_err() {
            return TileFound::Nothing;
        }
        let damaged = |e: Error| match e {
            Error::Input { message, .. } => TileFound::Damaged(format!("{path} is not whole: {message}")),
            other => TileFound::Damaged(other.to_string()),
        };
        let (head, arrays) = match open(&full) {
            Ok(opened) => opened,
            Err(e) => return damaged(e),
        };
        if head.format > FORMAT {
            let found = head.format;
            return TileFound::Foreign(format!(
                "{path} has format {found}, expected {FORMAT}; a newer isoline wrote it"
            ));
        }
        if head.run_id != self.run_id {
            let found = head.run_id.escape_debug();
            return TileFound::Foreign(format!("{path} belongs to run {found}, expected {}", self.run_id));
        }
        let (about, mut samples) = match samples(&full, arrays) {
            Ok(found) => found,
            Err(e) => return damaged(e),
        };
        if about.tile != Some(tile) || about.estimator != self.estimator {
            return TileFound::Damaged(format!("{path} is another tile's"));
        }
        samples.retain(|s| wanted.contains(&s.sample));
        match samples.len() == wanted.len() {
            true => TileFound::Whole(samples),
            false => TileFound::Damaged(format!("{path} lacks samples")),
        }
    }
}

/// What to measure and how.
pub struct Measurer<'a> {
    /// The model.
    pub generator: &'a dyn Generator,
    /// Pictures to latents.
    pub inverter: &'a Inverter,
    /// Where latents come from.
    pub source: &'a Source,
    /// Way to the spectrum.
    pub estimator: &'a dyn JacobianEstimator,
    /// Settings of local complexity; `None` where it is not counted.
    pub complexity: Option<&'a EstimatorSettings>,
    /// The recipe of a run directory.
    pub recipe: &'a DescribeRecipe,
}

impl Measurer<'_> {
    /// The samples, in their order, finished tiles read from `folder` and others written there; all in
    /// memory without a folder.
    ///
    /// # Errors
    /// Of the device and the disk, or a stop; finished tiles stay.
    pub fn run(
        &self,
        samples: &[u64],
        folder: Option<&Path>,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<Vec<Described>> {
        let tiling = Tiling::new(self.recipe.tile);
        let bar = progress.start(format!("measuring ({})", self.estimator.name()), samples.len() as u64);
        let run_id = run_id(&self.recipe.text()?);
        let mut found: BTreeMap<u64, Described> = BTreeMap::new();
        for (tile, wanted) in tiling.cover(samples) {
            let complete = || match folder {
                Some(f) => format!("{} of {} samples are complete in {}", found.len(), samples.len(), shown(f)),
                None => "nothing was written".into(),
            };
            cancel.check(complete)?;
            let files = folder.map(|f| TileFiles::new(f, self.estimator.name(), &run_id));
            let whole = match files.as_ref().map(|f| f.find(tile, &wanted)) {
                Some(TileFound::Whole(kept)) => {
                    bar.skip(wanted.len() as u64);
                    kept
                }
                Some(TileFound::Foreign(why)) => {
                    let message = format!("{why}; move it away or choose another folder");
                    return Err(Error::config(shown(folder.unwrap_or(Path::new("."))), message));
                }
                _ => {
                    let made = match &files {
                        Some(files) => self.make(files, tile).map_err(|e| e.with_progress(complete))?,
                        None => self.tile(tile)?,
                    };
                    bar.advance(wanted.len() as u64);
                    made
                }
            };
            found.extend(whole.into_iter().filter(|s| wanted.contains(&s.sample)).map(|s| (s.sample, s)));
        }
        bar.finish();
        Ok(samples.iter().filter_map(|s| found.remove(s)).collect())
    }

    /// Makes a tile and writes its file, which is its record as well.
    ///
    /// # Errors
    /// Of the device and the disk.
    pub fn make(&self, files: &TileFiles, tile: u64) -> Result<Vec<Described>> {
        let made = self.tile(tile)?;
        let about = self.recipe.about(files.run_id, Some(tile), self.estimator.name(), &made);
        store::write_atomic(&files.folder.join(files.path(tile)), &pack(&about, &made)?)?;
        Ok(made)
    }

    /// All samples of a tile that the source has, by one call of the tile's shape.
    fn tile(&self, tile: u64) -> Result<Vec<Described>> {
        let samples: Vec<u64> = Tiling::new(self.recipe.tile).samples(tile).collect();
        let d = self.generator.spec().latent_width;
        let located = self.source.locate(&samples, d, self.inverter)?;
        let latents: Vec<f32> = located.iter().flat_map(|l| &l.latent).copied().collect();
        let spectra = self.estimator.spectra(self.generator, &latents)?;
        let complexity = match self.complexity {
            Some(settings) => local_complexity(self.generator, &latents, settings)?,
            None => vec![None; samples.len()],
        };
        let each = samples.iter().zip(located).zip(spectra.into_iter().zip(complexity));
        Ok(each
            .filter(|((s, _), _)| self.source.has(**s, d))
            .map(|((sample, located), (spectrum, complexity))| {
                // A Jacobian with a value that is not finite has no spectrum.
                let spectrum = spectrum.filter(|_| failpoint!("jacobian", *sample).is_none());
                let stderr = spectrum.as_ref().map(|s| replicated(&LocalGeometry::new(s, &located.latent, 0)));
                let spectrum = spectrum.map(|s| crate::geometry::Spectrum { replicates: Vec::new(), ..s });
                Described {
                    sample: *sample,
                    latent: located.latent,
                    residual: located.residual,
                    spectrum,
                    complexity,
                    stderr: stderr.unwrap_or_default(),
                }
            })
            .collect())
    }
}

/// Standard errors that only the replicates of a spectrum can give, by column.
fn replicated(g: &LocalGeometry) -> BTreeMap<String, f64> {
    if g.spectrum.replicates.is_empty() {
        return BTreeMap::new();
    }
    let wanted: Vec<&Descriptor> = DESCRIPTORS.iter().collect();
    let found = measure_all(g, &wanted).into_iter().filter_map(|(name, m)| Some((name, m.stderr()?)));
    found.filter(|(_, e)| *e > 0.0).collect()
}
