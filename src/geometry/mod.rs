//! The local geometry of a generator: Jacobian spectra and what follows from them.

mod complexity;
pub mod descriptors;
pub mod estimators;
mod frame;
mod gradient;
pub mod gram;
mod pushforward;
mod sketch;
mod spectrum;
mod uncertainty;

pub use complexity::{COMPLEXITY_RADIUS, Complexity, local_complexity};
pub use descriptors::{DESCRIPTORS, Descriptor, LocalGeometry, Measured, ShownIn, Undefined, measure_all, shown_in};
pub use estimators::{
    ESTIMATORS, EstimatorRow, EstimatorSettings, JacobianEstimator, Varies, estimator, estimator_row, estimator_with,
};
pub use frame::{Use, frame};
pub use gradient::{PsiGradient, psi_gradient, stencil_gradient};
pub use spectrum::{Replicate, Spectrum, model_rank, psi_k, spectral_dimension, tolerance};
pub use uncertainty::{jackknife, projected_log_det, student_factor};
