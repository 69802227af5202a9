//! The local geometry of a generator: Jacobian spectra and what follows from them.

pub mod descriptors;
pub mod estimators;
mod spectrum;

pub use descriptors::{DESCRIPTORS, Descriptor, LocalGeometry, Measured, Undefined};
pub use estimators::{ESTIMATORS, EstimatorRow, JacobianEstimator, estimator};
pub use spectrum::{Spectrum, model_rank, psi_k, tolerance};
