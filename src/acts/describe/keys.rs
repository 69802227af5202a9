//! What can be asked of a description. Each key is declared once, as a flag of `isoline describe`, as a key of
//! `[describe]`, and with its default.

use super::invert::Inverter;
use super::measurer::Subject;
use super::source::Source;
use crate::error::{Error, Result};
use crate::generator::anchored_model;
use crate::geometry::descriptors::SCALE;
use crate::geometry::{COMPLEXITY_RADIUS, EstimatorSettings, estimator_row};
use crate::run::parse_seeds;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Keys of a description. Where none of seeds, latents and images is given, seeds are 0-15.
// Serde warns of unknown keys beside a flattened struct; of one that is flattened alone it keeps its word, as a test shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Seeds, as in 0-63,99 [default: 0-15]
    #[arg(long, value_name = "LIST", group = "source")]
    pub seeds: Option<String>,
    /// Latents of an .npz, .safetensors or .parquet file, [n, d]
    #[arg(long, value_name = "FILE", group = "source")]
    pub latents: Option<PathBuf>,
    /// Pictures of a folder, by the model's encoder, else by gradient descent on ‖G(z) − x‖²
    #[arg(long, value_name = "DIR", group = "source")]
    pub images: Option<PathBuf>,
    /// Spectra that --npz has written: their descriptors again, without the network
    #[arg(long, value_name = "FILE", group = "source")]
    pub spectra: Option<PathBuf>,
    /// Array or tensor of --latents, or prefix of its columns KEY_0, KEY_1, …
    #[arg(long, value_name = "KEY", requires = "latents")]
    pub key: Option<String>,
    /// Steps of descent for --images [default: 0 after an encoder, else 300]
    #[arg(long, value_name = "N", requires = "images")]
    pub invert_steps: Option<usize>,
    /// How geometry is measured.
    #[serde(flatten)]
    #[command(flatten)]
    pub geometry: Geometry,
    /// Leave out local complexity
    // The key says what is counted, the flag what is not.
    #[arg(long = "no-complexity", action = clap::ArgAction::SetFalse, help_heading = "Geometry")]
    pub complexity: Option<bool>,
    /// Samples whose exact spectrum is measured too, to tell the bias of an estimator that is not exact [default: 64;
    /// 8 for a diffusion model]
    #[arg(long, value_name = "N", help_heading = "Geometry")]
    pub calibrate_on: Option<usize>,
    /// Samples per tile; what suits the model where absent. No flag.
    #[arg(skip)]
    pub tile: Option<usize>,
    /// Write descriptors.csv too
    #[arg(long, requires = "outdir")]
    pub csv: bool,
    /// Write spectra.npz too: whole spectra, latents, counts
    #[arg(long, requires = "outdir")]
    pub npz: bool,
}

/// How geometry is measured: keys of `[describe]`, flags of `isoline describe` and `isoline study`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub struct Geometry {
    /// How the spectrum is found; see isoline list estimators [default: exact; for a diffusion model its reward's, else input-subspace]
    #[arg(long, value_name = "NAME", help_heading = "Geometry")]
    pub estimator: Option<String>,
    /// Number of directions P of an estimator that is not exact; --estimator NAME:P does the same [default: the
    /// estimator's own]
    #[arg(long, value_name = "P", help_heading = "Geometry")]
    pub directions: Option<usize>,
    /// Radius c of the stencil, in units of ‖z‖/√d
    #[arg(long, value_name = "C", default_value_t = Self::default().radius, help_heading = "Geometry", allow_negative_numbers = true)]
    pub radius: f64,
    /// Radius c of local complexity, in units of ‖z‖/√d
    #[arg(long, value_name = "C", default_value_t = COMPLEXITY_RADIUS, help_heading = "Geometry", allow_negative_numbers = true)]
    pub complexity_radius: f64,
    /// Directions of local complexity [default: 16, at most d]
    #[arg(long, value_name = "P", help_heading = "Geometry")]
    pub complexity_directions: Option<usize>,
    /// Seed of the random directions
    #[arg(long, value_name = "N", default_value_t = Self::default().frame_seed, help_heading = "Geometry")]
    pub frame_seed: u64,
    /// Memory of one pass through the network, roughly
    #[arg(long, value_name = "MIB", default_value_t = Self::default().memory, help_heading = "Geometry")]
    pub memory: usize,
    /// Scales of the intrinsic dimension
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [SCALE], help_heading = "Geometry")]
    pub scales: Vec<f64>,
    /// Model rank k of psi_k [default: the reward's, else from the spectra]
    #[arg(long, value_name = "K", help_heading = "Geometry")]
    pub model_rank: Option<usize>,
}

impl Default for Geometry {
    fn default() -> Self {
        let usual = EstimatorSettings::default();
        Self {
            estimator: None,
            directions: None,
            radius: usual.radius,
            complexity_radius: COMPLEXITY_RADIUS,
            complexity_directions: None,
            frame_seed: usual.seed,
            memory: usual.memory >> 20,
            scales: vec![SCALE],
            model_rank: None,
        }
    }
}

impl Geometry {
    /// The estimator asked for. By default it is the exact one. For a diffusion model, whose latent is as wide as its
    /// picture and whose tangents go through every sampling step, the default is the estimator of its reward's labels,
    /// or an input subspace.
    pub fn estimator_on(&self, subject: &Subject) -> String {
        if let Some(asked) = &self.estimator {
            return asked.clone();
        }
        let usual = subject.generator.spec().usual;
        let labels = subject.reward.as_ref().filter(|r| r.map_rank().is_some() && self.directions.is_none());
        let labels = labels.filter(|_| usual.estimator_of_reward);
        labels.map_or_else(|| usual.estimator.into(), |r| r.card.estimator.clone())
    }

    /// The settings of the estimator.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn settings(&self) -> Result<EstimatorSettings> {
        if let Some(s) = self.scales.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            return Err(Error::key("scales", format!("expected positive numbers, found {s}")));
        }
        if let Some(name) = &self.estimator {
            estimator_row(name)?;
        }
        if self.model_rank == Some(0) {
            return Err(Error::key("model_rank", "expected at least 1, found 0"));
        }
        let settings = EstimatorSettings {
            directions: self.directions,
            radius: self.radius,
            seed: self.frame_seed,
            memory: self.memory.saturating_mul(1 << 20),
            ..EstimatorSettings::default()
        };
        settings.check()?;
        Ok(settings)
    }

    /// The settings of local complexity for latents of width `d`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn complexity(&self, d: usize) -> Result<EstimatorSettings> {
        let c = self.complexity_radius;
        if !(c > 0.0 && c <= 10.0) {
            return Err(Error::key("complexity_radius", format!("expected a radius from 0 to 10, found {c}")));
        }
        if let Some(p) = self.complexity_directions.filter(|p| !(1..=d).contains(p)) {
            let message = format!("expected 1 to {d}, the latent's width, found {p}");
            return Err(Error::key("complexity_directions", message));
        }
        Ok(EstimatorSettings { directions: self.complexity_directions, radius: c, ..self.settings()? })
    }
}

impl Keys {
    /// The names of all keys.
    pub fn names() -> Vec<String> {
        let flags = <Self as clap::Args>::augment_args(clap::Command::new("describe"));
        flags.get_arguments().map(|a| a.get_id().to_string()).chain(["tile".to_owned()]).collect()
    }

    /// The same keys with absolute paths, valid wherever a worker is started.
    ///
    /// # Errors
    /// [`Error::Key`] for a path that is not UTF-8 and so cannot stand in a plan.
    pub fn anchored(mut self) -> Result<Self> {
        self.model = anchored_model(&self.model)?;
        for (key, path) in [("latents", &mut self.latents), ("images", &mut self.images)] {
            let Some(typed) = path else { continue };
            if typed.to_str().is_none() {
                return Err(Error::key_found(key, &typed.to_string_lossy(), "expected a name in UTF-8"));
            }
            *typed = std::path::absolute(&*typed).map_err(|e| Error::io(&*typed, "find", e))?;
        }
        Ok(self)
    }

    /// The same keys, with whatever was left open filled in to suit the model.
    pub fn resolved(mut self, subject: &Subject) -> Self {
        let usual = subject.generator.spec().usual;
        self.geometry.estimator = Some(self.geometry.estimator_on(subject));
        self.complexity.get_or_insert(true);
        self.calibrate_on.get_or_insert(usual.calibrate_on);
        self.tile.get_or_insert(usual.describe_tile);
        self
    }

    /// The seeds as typed; used when no other source of latents is given.
    pub fn seeds(&self) -> &str {
        self.seeds.as_deref().unwrap_or("0-15")
    }

    /// Where the latents of a model come from.
    ///
    /// # Errors
    /// [`Error::Key`] for keys that exclude each other; errors of the files and pictures.
    pub fn source(&self, subject: &Subject) -> Result<Source> {
        let given = [self.seeds.is_some(), self.latents.is_some(), self.images.is_some()];
        if given.iter().filter(|g| **g).count() > 1 {
            return Err(Error::key("seeds", "seeds, latents and images exclude each other; give one of them"));
        }
        for (key, needs, given, there) in [
            ("key", "latents", self.key.is_some(), self.latents.is_some()),
            ("invert_steps", "images", self.invert_steps.is_some(), self.images.is_some()),
        ] {
            if given && !there {
                return Err(Error::key(key, format!("only {needs} take it; give {needs} or leave it out")));
            }
        }
        let spec = subject.generator.spec();
        if let Some(path) = &self.latents {
            return Source::from_file(path, self.key.as_deref(), spec.latent_width);
        }
        if let Some(folder) = &self.images {
            let inverter = Inverter::new(Arc::clone(&subject.generator), &subject.folder, self.invert_steps)?;
            return Source::from_images(folder, inverter);
        }
        Ok(Source::Seeds(parse_seeds(self.seeds()).map_err(|m| Error::key("seeds", m))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        keys: Keys,
        #[arg(long)]
        outdir: Option<String>,
    }

    fn keys(text: &str) -> Result<Keys, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn flags_are_keys() {
        let flags = |more: &[&str]| Flags::parse_from([&["isoline", "m"], more].concat());
        let found = flags(&[]);
        assert!(found.outdir.is_none());
        let mut left_out = keys("model = 'm'").unwrap_or_default();
        left_out.complexity = Some(true);
        assert_eq!(found.keys, left_out);
        let typed = keys("model = 'm'\ncomplexity = false\nscales = [0.1, 3.0]\nradius = 2\nframe_seed = 7");
        let typed = typed.unwrap_or_default();
        assert_eq!(flags(&["--no-complexity", "--scales", "0.1,3", "--radius", "2", "--frame-seed", "7"]).keys, typed);
    }

    #[test]
    fn every_key_is_known_and_no_other() {
        let names = Keys::names();
        assert_eq!(names.len(), 21);
        for name in names {
            // A name that is not known is refused whatever its value.
            let unknown =
                |value: &str| keys(&format!("{name} = {value}")).is_err_and(|e| e.message().contains("unknown"));
            assert!(!unknown("1") && !unknown("'x'"), "{name}");
        }
        let refused = |text: &str| keys(text).is_err_and(|e| e.message().contains("unknown field"));
        assert!(refused("tiel = 4") && refused("geometry = 1") && refused("outdir = 'x'"));
    }
}
