//! What is usual, learnt from pictures of the distribution alone.

use super::measure::{Measures, Pair};
use crate::acts::study::dimension::{Pictures, data_set, diffusion};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::progress::Progress;
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A fit that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Fit {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Pictures of the distribution, best some that the model was not trained on: an IDX file, or a folder or .zip of pictures
    #[arg(long, value_name = "PATH")]
    pub train: PathBuf,
    /// Places in the set
    #[arg(long, value_name = "LIST", default_value = "0-199")]
    pub seeds: String,
    /// How the numbers are measured.
    #[command(flatten)]
    pub measures: Measures,
}

/// Least number of pictures: with fewer, none can be called unusual at a level of 5 %.
const LEAST: usize = 40;

/// What was learnt, as it is kept in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitFile {
    /// Version of the file.
    pub format: u32,
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// SHA-256 of the set that the pictures are from.
    pub data_sha256: String,
    /// How the numbers were measured.
    pub measures: Measures,
    /// The numbers of each picture.
    pub pairs: Vec<Pair>,
}

/// What is said of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Both numbers are usual.
    In,
    /// The likelihood is unusually low.
    OffManifold,
    /// The likelihood is not unusually low, the dimension is.
    DenseWithoutMass,
    /// A number is not finite.
    Unknown,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::OffManifold => "off the manifold",
            Self::DenseWithoutMass => "dense but without mass",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a picture stands among those of the fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// The share of the fit's pictures, the picture itself counted as one more, whose likelihood is not higher.
    pub likelihood: f64,
    /// The same of the dimension.
    pub dimension: f64,
}

impl Place {
    /// The lower of both: the calibrated score, low for what is unusual.
    pub fn score(self) -> f64 {
        self.likelihood.min(self.dimension)
    }

    /// The verdict at level `alpha`: of pictures of the distribution at most this share is said to be outside, since each number
    /// gets one half of it.
    pub fn verdict(self, alpha: f64) -> Verdict {
        match () {
            () if !(self.likelihood.is_finite() && self.dimension.is_finite()) => Verdict::Unknown,
            () if self.likelihood <= 0.5 * alpha => Verdict::OffManifold,
            () if self.dimension <= 0.5 * alpha => Verdict::DenseWithoutMass,
            () => Verdict::In,
        }
    }
}

impl FitFile {
    /// Version of the file.
    pub const FORMAT: u32 = 1;

    /// The place of a picture; not numbers where its numbers are not.
    pub fn place(&self, pair: Pair) -> Place {
        let n = self.pairs.len() as f64 + 1.0;
        let share = |value: f64, of: fn(&Pair) -> f64| match value.is_finite() {
            true => (1 + self.pairs.iter().filter(|p| of(p) <= value).count()) as f64 / n,
            false => f64::NAN,
        };
        Place {
            likelihood: share(pair.log_likelihood, |p| p.log_likelihood),
            dimension: share(pair.dimension, |p| p.dimension),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`], [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let (file, _) = store::read_toml::<Self>(path)?;
        if file.format != Self::FORMAT {
            let message = format!("expected format {}, found {}; fit it again", Self::FORMAT, file.format);
            return Err(Error::input(path, message));
        }
        if file.pairs.len() < LEAST || !file.pairs.iter().all(|p| p.is_finite()) {
            let message = format!("expected the numbers of at least {LEAST} pictures, all finite; fit it again");
            return Err(Error::input(path, message));
        }
        file.measures.check()?;
        Ok(file)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|e| Error::Bug(e.to_string()))?;
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            store::create_dir(folder)?;
        }
        store::write_atomic(path, text.as_bytes())
    }
}

impl Fit {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        self.measures.check()?;
        let count = self.pictures().seeds()?.len();
        match count < LEAST {
            true => {
                Err(Error::key("seeds", format!("{count} pictures, expected at least {LEAST} to learn what is usual")))
            }
            false => Ok(()),
        }
    }

    fn pictures(&self) -> Pictures {
        Pictures { seeds: self.seeds.clone(), pictures: Some(self.train.clone()), probes: self.measures.probes }
    }

    /// Measures the pictures.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model, the pictures and the device; [`Error::SamplesNotFinite`]; a stop.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<FitFile> {
        self.check()?;
        let sampler = diffusion(&self.model, device)?;
        let spec = sampler.spec();
        let data_sha256 = data_set(&self.train, spec.sample_shape)?.sha256();
        let (_, pairs) = self.measures.over(&sampler, &self.pictures(), "what is usual", progress, cancel)?;
        let count = pairs.iter().filter(|p| !p.is_finite()).count();
        if count > 0 {
            return Err(Error::SamplesNotFinite { count, total: pairs.len() });
        }
        Ok(FitFile {
            format: FitFile::FORMAT,
            model: spec.id.clone(),
            model_sha256: sampler.model_sha256().to_owned(),
            data_sha256,
            measures: self.measures.clone(),
            pairs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> FitFile {
        let pair = |i: usize| Pair { log_likelihood: i as f64, dimension: 100.0 - i as f64 };
        FitFile {
            format: FitFile::FORMAT,
            model: "m".into(),
            model_sha256: "0".into(),
            data_sha256: "1".into(),
            measures: Measures { sigma: 0.1, steps: 16, probes: 8 },
            pairs: (1..100).map(pair).collect(),
        }
    }

    #[test]
    fn a_place_is_a_share_and_each_number_gets_half_the_level() {
        let file = file();
        let place = |l: f64, d: f64| file.place(Pair { log_likelihood: l, dimension: d });
        let middle = place(50.0, 50.0);
        assert_eq!((middle.likelihood, middle.dimension, middle.score()), (0.51, 0.51, 0.51));
        assert_eq!(middle.verdict(0.05), Verdict::In);
        assert_eq!(place(-5.0, 1e4).verdict(0.05), Verdict::OffManifold);
        assert_eq!(place(500.0, 0.0).verdict(0.05), Verdict::DenseWithoutMass);
        assert_eq!(place(f64::NAN, 0.0).verdict(0.05), Verdict::Unknown);
        // Of the fit's own pictures, 2 and 2 of 99 lie at or below 2.5 %.
        let out = file.pairs.iter().filter(|p| file.place(**p).verdict(0.05) != Verdict::In).count();
        assert_eq!(out, 2);
    }

    #[test]
    fn a_file_comes_back_and_a_foreign_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/ood.toml");
        file().write(&path).unwrap();
        assert_eq!(FitFile::read(&path).unwrap(), file());
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, message) in [
            ("format = 1", "format = 9", "expected format 1, found 9"),
            ("format = 1", "format = 1\nmore = 2", "more"),
            ("sigma = 0.1", "sigma = -1.0", "sigma"),
            ("log_likelihood = 7.0", "log_likelihood = nan", "all finite"),
        ] {
            assert!(text.contains(from), "{text}");
            store::write_atomic(&path, text.replacen(from, to, 1).as_bytes()).unwrap();
            let error = FitFile::read(&path).unwrap_err().to_string();
            assert!(error.contains(message) && !error.contains('\n'), "{error}");
        }
    }
}
