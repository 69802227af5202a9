//! The local geometry of a generator: how it stretches space around one latent.
//!
//!   latent z ──[`estimators`]──→ [`Spectrum`] (σ and Vᵀz of ∂G/∂z) ──[`descriptors`]──→ numbers (ψ, ν, …)
//!
//! Everything is per latent: the result for one never depends on the others it is computed with. Singular values are
//! f64 and never NaN. Where something is undefined, a value is `None`, or [`Measured::Undefined`] with the reason.

mod complexity;
pub mod descriptors;
pub mod estimators;
mod frame;
pub(crate) mod pushforward;
mod sketch;
mod spectrum;
mod uncertainty;

pub use complexity::{COMPLEXITY_RADIUS, Complexity, local_complexity};
pub use descriptors::{DESCRIPTORS, Descriptor, LocalGeometry, Measured, ShownIn, Undefined, measure_all, shown_in};
pub use estimators::{
    ESTIMATORS, EstimatorRow, EstimatorSettings, JacobianEstimator, Varies, estimator, estimator_row, estimator_with,
};
pub use frame::{Use, frame};
pub use spectrum::{Replicate, Spectrum, model_rank, psi_k, spectral_dimension, tolerance};
pub use uncertainty::{jackknife, projected_log_det, student_factor};
