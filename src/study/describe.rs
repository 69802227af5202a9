//! A description: many latents, their spectra and descriptors, made tile by tile in a run directory.

use super::block::{About, Described, pack, unpack};
use super::invert::Inverter;
use super::source::Source;
use crate::cancel::Cancel;
use crate::error::{Error, Result, shown};
use crate::generator::Generator;
use crate::geometry::{
    DESCRIPTORS, Descriptor, EstimatorSettings, JacobianEstimator, LocalGeometry, estimator_with, local_complexity,
    measure_all,
};
use crate::progress::Progress;
use crate::run::run_id;
use crate::store;
use crate::tile::Tiling;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Samples per tile: 16; 4 of a diffusion model, each of which takes a whole sampling of tangents.
pub fn tile(generator: &dyn Generator) -> usize {
    if generator.as_sampler().is_some() { 4 } else { 16 }
}

/// What determines the tiles of a description, spelt out: `recipe.toml` of its run directory.
#[derive(Clone, Debug, Serialize)]
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
}

/// What to measure and how.
pub struct Measurer<'a> {
    /// The model.
    pub generator: &'a dyn Generator,
    /// Pictures to latents.
    pub inverter: &'a Inverter<'a>,
    /// Where latents come from.
    pub source: &'a Source,
    /// Way to the spectrum.
    pub estimator: Box<dyn JacobianEstimator>,
    /// Settings of local complexity; `None` where it is not counted.
    pub complexity: Option<EstimatorSettings>,
    /// The recipe of a run directory.
    pub recipe: &'a DescribeRecipe,
}

impl Measurer<'_> {
    /// The same with the exact estimator and without local complexity: what a calibration compares with.
    ///
    /// # Errors
    /// Of the settings.
    pub fn exact(&self, settings: &EstimatorSettings) -> Result<Measurer<'_>> {
        let settings = EstimatorSettings { directions: None, ..settings.clone() };
        Ok(Measurer { estimator: estimator_with("exact", &settings)?, complexity: None, ..*self })
    }

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
            let path = folder.map(|f| f.join(format!("{}/tile-{tile:07}.npz", self.estimator.name())));
            let kept = path.as_ref().and_then(|p| self.verified(p, &run_id, tile, &wanted));
            let whole = match kept {
                Some(kept) => {
                    bar.skip(wanted.len() as u64);
                    kept
                }
                None => {
                    let made = self.tile(&tiling.samples(tile).collect::<Vec<_>>(), &wanted)?;
                    if let Some(path) = &path {
                        let bytes = pack(&self.about(&run_id, Some(tile), &made), &made)?;
                        store::write_atomic(path, &bytes).map_err(|e| e.with_progress(complete))?;
                    }
                    bar.advance(wanted.len() as u64);
                    made
                }
            };
            found.extend(whole.into_iter().map(|s| (s.sample, s)));
        }
        bar.finish();
        Ok(samples.iter().filter_map(|s| found.remove(s)).collect())
    }

    /// The wanted samples of a tile from its file, or `None` where it is absent, damaged, of another run
    /// or lacks one: it is then made again.
    fn verified(&self, path: &Path, run_id: &str, tile: u64, wanted: &[u64]) -> Option<Vec<Described>> {
        let (about, mut samples) = unpack(path).ok()?;
        let ours = about.run_id == run_id && about.tile == Some(tile) && about.estimator == self.estimator.name();
        let whole = wanted.iter().all(|w| samples.iter().any(|s| s.sample == *w));
        samples.retain(|s| wanted.contains(&s.sample));
        (ours && whole).then_some(samples)
    }

    /// What files of these samples say of themselves.
    pub fn about(&self, run_id: &str, tile: Option<u64>, samples: &[Described]) -> About {
        let spectrum = samples.iter().find_map(|s| s.spectrum.as_ref());
        let mut stderr: Vec<String> = samples.iter().flat_map(|s| s.stderr.keys().cloned()).collect();
        stderr.sort();
        stderr.dedup();
        About {
            format: 1,
            run_id: run_id.to_owned(),
            tile,
            model: self.recipe.model.clone(),
            model_sha256: self.recipe.model_sha256.clone(),
            column: self.source.column().to_owned(),
            estimator: self.estimator.name().to_owned(),
            n_directions: spectrum.map_or(0, |s| s.n_directions),
            frame_of: spectrum.map_or(0, |s| s.frame_of),
            sample_width: spectrum.map_or(0, |s| s.sample_width),
            stderr,
        }
    }

    /// One call of the tile's shape; gives the wanted samples.
    fn tile(&self, samples: &[u64], wanted: &[u64]) -> Result<Vec<Described>> {
        let d = self.generator.spec().latent_width;
        let located = self.source.locate(samples, d, self.inverter)?;
        let latents: Vec<f32> = located.iter().flat_map(|l| &l.latent).copied().collect();
        let spectra = self.estimator.spectra(self.generator, &latents)?;
        let complexity = match &self.complexity {
            Some(settings) => local_complexity(self.generator, &latents, settings)?,
            None => vec![None; samples.len()],
        };
        let each = samples.iter().zip(located).zip(spectra.into_iter().zip(complexity));
        Ok(each
            .filter(|((s, _), _)| wanted.contains(s))
            .map(|((sample, located), (spectrum, complexity))| {
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
