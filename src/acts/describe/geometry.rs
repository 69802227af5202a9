//! How geometry is measured: keys that are flags of `isoline describe` and `isoline study`.

use super::DescribeKeys;
use crate::error::Result;
use crate::geometry::{COMPLEXITY_RADIUS, EstimatorSettings};

/// How geometry is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Geometry {
    /// Way to the spectrum; see isoline list estimators [default: exact; for a diffusion model its reward's, else input-subspace]
    #[arg(long, value_name = "NAME", help_heading = "Geometry")]
    pub estimator: Option<String>,
    /// Directions P of an estimator that is not exact, as in --estimator NAME:P too [default: the estimator's own]
    #[arg(long, value_name = "P", help_heading = "Geometry")]
    pub directions: Option<usize>,
    /// Radius c of the stencil, in units of ‖z‖/√d
    #[arg(long, value_name = "C", default_value_t = 0.01, help_heading = "Geometry", allow_negative_numbers = true)]
    pub radius: f64,
    /// Radius c of local complexity, in units of ‖z‖/√d
    #[arg(long, value_name = "C", default_value_t = COMPLEXITY_RADIUS, help_heading = "Geometry", allow_negative_numbers = true)]
    pub complexity_radius: f64,
    /// Directions of local complexity [default: 16, at most d]
    #[arg(long, value_name = "P", help_heading = "Geometry")]
    pub complexity_directions: Option<usize>,
    /// Key of the directions
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Geometry")]
    pub frame_seed: u64,
    /// Memory of one pass through the network, roughly
    #[arg(long, value_name = "MIB", default_value_t = 192, help_heading = "Geometry")]
    pub memory: usize,
    /// Scales of the intrinsic dimension
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.1", help_heading = "Geometry")]
    pub scales: Vec<f64>,
    /// Model rank k of psi_k [default: the reward's, else from the spectra]
    #[arg(long, value_name = "K", help_heading = "Geometry")]
    pub model_rank: Option<usize>,
}

impl Geometry {
    /// The same as keys of a description, the others at their defaults.
    pub fn keys(&self) -> DescribeKeys {
        DescribeKeys {
            estimator: self.estimator.clone(),
            directions: self.directions,
            radius: self.radius,
            frame_seed: self.frame_seed,
            complexity_radius: self.complexity_radius,
            complexity_directions: self.complexity_directions,
            memory: self.memory,
            scales: self.scales.clone(),
            model_rank: self.model_rank,
            ..DescribeKeys::default()
        }
    }

    /// Settings of the estimator.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] naming the flag.
    pub fn settings(&self) -> Result<EstimatorSettings> {
        self.keys().settings()
    }

    /// Settings of local complexity.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] naming the flag.
    pub fn complexity(&self, d: usize) -> Result<EstimatorSettings> {
        self.keys().complexity(d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        geometry: Geometry,
    }

    #[test]
    fn flags_that_are_not_given_are_the_keys_that_are_not_given() {
        assert_eq!(Only::parse_from(["isoline"]).geometry.keys(), DescribeKeys::default());
    }
}
