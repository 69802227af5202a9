//! What is usual, learnt from pictures of the distribution alone.

use super::measure::{Measures, Pair};
use crate::error::{Error, Result};
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Least number of pictures: with fewer, none can be called unusual at a level of 5 %.
pub const LEAST: usize = 40;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl Pair {
    /// What is said of a picture with the numbers `of`, where these here are the least that are usual.
    pub fn beside(self, of: Self) -> Verdict {
        match () {
            () if !of.is_finite() => Verdict::Unknown,
            () if of.log_likelihood < self.log_likelihood => Verdict::OffManifold,
            () if of.dimension < self.dimension => Verdict::DenseWithoutMass,
            () => Verdict::In,
        }
    }
}

/// Where a fit lies unless it is said otherwise.
pub fn usual_place(model: &str) -> PathBuf {
    format!("runs/ood-{model}/ood.toml").into()
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

    /// The least likelihood and the least dimension of a picture that is [in](Verdict::In) at level `alpha`; `None` where so few
    /// pictures cannot tell at this level.
    pub fn least(&self, alpha: f64) -> Option<Pair> {
        let n = self.pairs.len() as f64 + 1.0;
        let outside = (1..=self.pairs.len()).take_while(|m| *m as f64 / n <= 0.5 * alpha).count().checked_sub(1)?;
        let sorted = |of: fn(&Pair) -> f64| {
            let mut values: Vec<f64> = self.pairs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        Some(Pair {
            log_likelihood: sorted(|p| p.log_likelihood)[outside],
            dimension: sorted(|p| p.dimension)[outside],
        })
    }

    /// Reads a file that is for the model with this SHA-256.
    ///
    /// # Errors
    /// [`Error::Input`] for no file, or one of another model or version; [`Error::Io`].
    pub fn of_model(path: &Path, model_sha256: &str) -> Result<Self> {
        if !path.exists() {
            return Err(Error::input(path, "is not there; isoline ood fit makes it"));
        }
        let fit = Self::read(path)?;
        if fit.model_sha256 != model_sha256 {
            let message = format!("was fitted on another model, {}; fit it on this one", fit.model.escape_debug());
            return Err(Error::input(path, message));
        }
        Ok(fit)
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
        file.measures.check().map_err(|e| Error::input(path, format!("{e}; fit it again")))?;
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

    /// The limits say of every picture what its place says.
    #[test]
    fn limits_and_places_agree() {
        let mut file = file();
        for count in [40, 77, 99] {
            file.pairs.truncate(99);
            file.pairs.rotate_left(count / 3);
            file.pairs.truncate(count);
            for alpha in [0.05, 0.1, 0.3, 0.5] {
                let least = file.least(alpha).unwrap();
                for l in [-1.0, 1.0, 1.5, 2.0, 5.5, 11.0, 30.0, 99.0, 200.0] {
                    for d in [0.0, 1.0, 2.0, 3.5, 13.0, 40.0, 98.0, 99.5] {
                        let pair = Pair { log_likelihood: l, dimension: d };
                        assert_eq!(least.beside(pair), file.place(pair).verdict(alpha), "{count} {alpha} {pair:?}");
                    }
                }
            }
            assert_eq!(file.least(0.01), None);
        }
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
