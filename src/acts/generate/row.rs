//! A sample as a record and a table hold it, and where its picture lies.

use crate::geometry::{Descriptor, ShownIn, shown_in};
use crate::steer::Status;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::collections::BTreeMap;

/// One sample, as in a record and as a row of `samples.parquet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    /// Seed, the sample's index.
    pub seed: u64,
    /// Picture, relative to the run directory; absent where a value was not finite.
    pub file: Option<String>,
    /// SHA-256 of the picture's file.
    pub sha256: Option<String>,
    /// Percentile asked for; absent for plain sampling.
    pub novelty_asked: Option<f64>,
    /// Percentile by the reward's word.
    pub novelty_predicted: Option<f64>,
    /// ψ_k by the reward's word, which says more than its percentile beyond the ends of the table.
    pub psi_predicted: Option<f64>,
    /// Percentile measured.
    pub novelty_reached: Option<f64>,
    /// Standard deviations beyond the calibration table; 0 inside it.
    pub beyond: Option<f64>,
    /// ψ_k measured.
    pub psi_k: Option<f64>,
    /// What the reward predicts, measured, where that is another quantity than ψ_k of the map latent → picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
    /// The other descriptors of the map latent → picture that the table has for samples.
    #[serde(flatten)]
    pub descriptors: Shown,
    /// ‖z − z₀‖.
    pub distance: f64,
    /// Angle between z and z₀, degrees.
    pub angle: f64,
    /// Steering steps; denoiser calls where a denoiser was guided.
    pub steps: usize,
    /// The latent that the picture was made from, where the recipe keeps it and it is finite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latent: Vec<f32>,
    /// Effective size of the sample's particles at each weighing, where it had some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effective_sizes: Vec<f64>,
    /// How it ended.
    pub status: Status,
}

/// Values of the descriptors that a sample shows, in the order of their table, but ψ_k, which stands beside what it was
/// steered to.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown(Vec<Option<f64>>);

impl Shown {
    /// The descriptors.
    pub fn descriptors() -> impl Iterator<Item = &'static Descriptor> {
        shown_in(ShownIn::Sample).filter(|d| d.name != "psi_k")
    }

    /// What `measure` gives for each.
    pub fn of(measure: impl Fn(&Descriptor) -> Option<f64>) -> Self {
        Self(Self::descriptors().map(measure).collect())
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        Self::descriptors().zip(&self.0).find(|(d, _)| d.name == name).and_then(|(_, value)| *value)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(Self::descriptors().map(|d| d.name).zip(&self.0))
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // All that is no other field of the row.
        let mut found = BTreeMap::<String, Option<f64>>::deserialize(from)?;
        let values = Self::descriptors().map(|d| found.remove(d.name).flatten()).collect();
        match found.keys().next() {
            None => Ok(Self(values)),
            Some(key) => Err(D::Error::custom(format!("unknown field `{key}`"))),
        }
    }
}

/// Preview of a seed's picture at a step, below the run directory.
pub fn preview_path(seed: u64, step: usize) -> String {
    format!("previews/{seed:06}-{step:03}.png")
}

/// Picture of a seed below the run directory.
pub fn picture_path(seed: u64, subdirs: bool) -> String {
    match subdirs {
        true => format!("images/{:06}/{seed:06}.png", seed - seed % 1000),
        false => format!("images/{seed:06}.png"),
    }
}
