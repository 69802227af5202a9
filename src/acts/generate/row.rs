//! A sample as a record and a table hold it, and where its picture lies.

use crate::steer::Status;
use serde::{Deserialize, Serialize};

/// One sample, as in a record and as a row of `samples.parquet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// ψ measured.
    pub psi: Option<f64>,
    /// Local rank.
    pub nu: Option<f64>,
    /// Numerical rank r.
    pub rank: Option<f64>,
    /// Log-likelihood at the model rank.
    pub log_likelihood: Option<f64>,
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
