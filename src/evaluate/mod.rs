//! Evaluation: how far generated samples are from real ones, by the field's metrics on any features.
//!
//! ```text
//! samples ──→ Features ──┐
//!                        ├─ Sets ──METRICS──→ a value with its 95 % interval for each
//! samples ──→ Features ──┘
//! ```
//!
//! A metric is one file of `metrics/` and one row of its table. It knows rows of numbers, and nothing of pictures. Reference
//! values in tests come from the scripts of `experiments/evaluation/`, which comments name by folder and file.

pub mod calorimeter;
mod classes;
mod clusters;
mod dense;
#[cfg(test)]
mod fixture;
mod frechet;
#[cfg(test)]
mod golden;
mod inner;
mod intervals;
mod likelihood;
mod meehan;
mod metrics;
pub mod moments;
mod neighbourhoods;
pub mod neighbours;
pub mod principal;
mod resampling;
mod roc;
#[cfg(test)]
mod shared;

pub use classes::{OfClass, class_metrics, per_class};
pub use intervals::wilson;
pub use metrics::{DISTANCES, METRICS, NEIGHBOURHOODS, kd_full, realism_scores, vendi, vendi_per_class};
pub use roc::{Detection, frontier};

use crate::error::{Error, Result};
use neighbourhoods::Neighbourhoods;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of features: `[rows, width]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// The values, all finite (whoever makes one has checked it).
    pub values: Vec<f32>,
    /// Values of one row, at least 1.
    pub width: usize,
}

impl Features {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }
    /// Row i.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }
    /// The mean row, `[width]`.
    pub fn mean(&self) -> Vec<f64> {
        let mut sum = vec![0.0; self.width];
        for row in self.values.chunks_exact(self.width) {
            sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        sum.iter().map(|sum| sum / self.rows() as f64).collect()
    }
    /// Some of the rows, in the order of their numbers in `rows`.
    pub fn subset(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        Self { values: rows.into_iter().flat_map(|i| self.row(i)).copied().collect(), width: self.width }
    }
}

/// What is compared. Every set has the same width, and at least 2 rows.
pub struct Sets<'a> {
    /// What the generator was taught with (called the *real* or *train* set by the papers).
    pub real: &'a Features,
    /// What it made.
    pub generated: &'a Features,
    /// Real samples that it was not taught with.
    pub test: Option<&'a Features>,
    /// Class probabilities of the generated samples by a classifier, a row each.
    pub probabilities: Option<&'a Features>,
    /// Spatial features of real and generated samples.
    pub spatial: Option<[&'a Features; 2]>,
    /// What several metrics need of these sets, kept from the first one that asked.
    pub cache: Cache,
}

/// What has been computed of some [`Sets`], by k and seed. Empty by default.
#[derive(Default)]
pub struct Cache(Mutex<Vec<Kept>>);

/// k, the seed, and what was computed with them.
type Kept = ((usize, u64), Arc<Neighbourhoods>);

impl<'a> Sets<'a> {
    /// Real and generated features, and nothing else.
    pub fn new(real: &'a Features, generated: &'a Features) -> Self {
        Self { real, generated, test: None, probabilities: None, spatial: None, cache: Cache::default() }
    }

    /// The neighbourhoods of real and generated samples, computed by the first metric that asks for them. Metrics that
    /// ask at the same time may each compute them, with the same result.
    ///
    /// # Errors
    /// Those of [`Neighbourhoods::new`].
    pub fn neighbourhoods(&self, settings: &Settings) -> Result<Arc<Neighbourhoods>> {
        let key = (settings.nearest, settings.seed);
        // The lock is not held during the work: a thread that waits for its part of the work may be given another
        // metric meanwhile, and would lock again.
        let kept = || self.cache.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = kept().iter().find(|(k, _)| *k == key) {
            return Ok(found.clone());
        }
        let made = Arc::new(Neighbourhoods::new(self, settings)?);
        kept().push((key, made.clone()));
        Ok(made)
    }

    /// The held-out samples, after [`check`](Self::check).
    ///
    /// # Errors
    /// Those of `check`, and [`Error::Key`] where there are none.
    pub fn held_out(&self) -> Result<&'a Features> {
        self.check()?;
        self.test.ok_or_else(|| Error::key("test", "expected held-out real samples, found none"))
    }

    /// Checks that all sets of features have one width.
    ///
    /// # Errors
    /// [`Error::Key`] naming the set that differs from the real one.
    pub fn check(&self) -> Result<()> {
        let others = [("generated", Some(self.generated)), ("test", self.test)];
        for (key, set) in others.into_iter().filter_map(|(key, set)| Some((key, set?))) {
            if set.width != self.real.width {
                let [expected, found] = [self.real.width, set.width];
                let message = format!(
                    "expected rows of {expected} values as in real, found {found}; \
                     compute the features of both in the same way"
                );
                return Err(Error::key(key, message));
            }
        }
        Ok(())
    }
}

/// What every metric is told.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Key of everything that is drawn (`noise::generator(seed, …, Stream::Bootstrap, …)`): the same seed, the same
    /// bits.
    pub seed: u64,
    /// k of the nearest neighbours; 5.
    pub nearest: usize,
    /// Resamples of a bootstrap; 200 where one is cheap. A metric that is dear takes fewer or splits, and says so.
    pub resamples: usize,
    /// Rows of one block of an N×M table.
    pub block: usize,
}

/// Where in the noise of [`Stream::Bootstrap`](crate::noise::Stream) each thing is drawn, as the address's step.
pub mod steps {
    /// The division of real and generated rows into parts.
    pub const PARTS: [u32; 2] = [100, 101];
    /// Resampled rows of the two sets that are compared.
    pub const ROWS: [u32; 2] = [102, 103];
    /// The first centres of cells; the sample is the attempt.
    pub const CENTRES: u32 = 104;
    /// The directions from which principal axes are found.
    pub const AXES: u32 = 105;
    /// The halves of a test set.
    pub const HALVES: u32 = 106;
}

/// What a metric found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// Ends of the 95 % interval.
    pub interval: [f64; 2],
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// The nearer to this value the better.
    Near(f64),
}

/// What a metric needs beside real and generated features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Real samples that were held out.
    Test,
    /// Class probabilities.
    Probabilities,
    /// Spatial features.
    Spatial,
}

/// One row of the table of metrics. Each file of metrics/ has one (or more) as a `pub const`.
pub struct MetricRow {
    /// As typed and printed: `fd`, `precision`, …
    pub name: &'static str,
    /// One line: what it says, in plain words.
    pub about: &'static str,
    /// Who published it: "Heusel et al. 2017, arXiv 1706.08500".
    pub reference: &'static str,
    /// The values that it can take: "0 and up", "0 to 1".
    pub range: &'static str,
    /// Which way is better.
    pub better: Better,
    /// How the interval is made: "bootstrap of both sets", "10 splits", …
    pub interval: &'static str,
    /// Below this number of samples it is biased at this width, with reason in `about` of the docs.
    pub biased_below: fn(width: usize) -> usize,
    /// What else it needs.
    pub needs: Option<Need>,
    /// Measures it. Fails as [`crate::error::Error::Key`] naming what is too few or unfit.
    pub measure: fn(&Sets, &Settings) -> Result<Measured>,
}
