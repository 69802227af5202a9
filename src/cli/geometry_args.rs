//! Flags that say how geometry is measured, shared by `describe` and `study`.

use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::geometry::{COMPLEXITY_RADIUS, EstimatorSettings, estimator_row};

/// How geometry is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct GeometryArgs {
    /// Way to the spectrum; see isoline list estimators [default: exact; input-subspace for a diffusion model]
    #[arg(long, value_name = "NAME", help_heading = "Geometry")]
    pub estimator: Option<String>,
    /// Directions P of an estimator that is not exact [default: the estimator's own]
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

impl GeometryArgs {
    /// The estimator asked for, or what suits the model: a sampler's latent is as wide as its picture and every
    /// tangent goes through every step, so not all of them unless it is asked for.
    pub fn estimator_for(&self, generator: &dyn Generator) -> &str {
        let usual = if generator.as_sampler().is_some() { "input-subspace" } else { "exact" };
        self.estimator.as_deref().unwrap_or(usual)
    }

    /// Settings of the estimator.
    ///
    /// # Errors
    /// [`Error::Config`] naming the flag.
    pub fn settings(&self) -> Result<EstimatorSettings> {
        if let Some(s) = self.scales.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            return Err(Error::config("--scales", format!("expected positive numbers, found {s}")));
        }
        if let Some(name) = &self.estimator {
            estimator_row(name)?;
        }
        if self.model_rank == Some(0) {
            return Err(Error::config("--model-rank", "expected at least 1, found 0"));
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

    /// Settings of local complexity.
    ///
    /// # Errors
    /// [`Error::Config`] naming the flag.
    pub fn complexity(&self, d: usize) -> Result<EstimatorSettings> {
        let c = self.complexity_radius;
        if !(c > 0.0 && c <= 10.0) {
            return Err(Error::config("--complexity-radius", format!("expected a radius from 0 to 10, found {c}")));
        }
        if let Some(p) = self.complexity_directions.filter(|p| !(1..=d).contains(p)) {
            let message = format!("expected 1 to {d}, the latent's width, found {p}");
            return Err(Error::config("--complexity-directions", message));
        }
        Ok(EstimatorSettings { directions: self.complexity_directions, radius: c, ..self.settings()? })
    }
}
