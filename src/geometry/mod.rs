//! The local geometry of a generator: Jacobian spectra and what follows from them.

pub mod descriptors;
pub mod estimators;
mod spectrum;

pub use descriptors::{DESCRIPTORS, Descriptor, LocalGeometry, Measured, Undefined};
pub use estimators::{ESTIMATORS, EstimatorRow, JacobianEstimator, estimator};
pub use spectrum::{Spectrum, model_rank, psi_k, tolerance};

use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::nn::Rows;
use burn::tensor::{Tensor, TensorData};

/// Host rows as a tensor `[rows, width]` on the generator's device.
pub fn to_rows(values: Vec<f32>, width: usize, generator: &dyn Generator) -> Rows {
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), generator.device())
}

/// The values of a tensor on the host, row-major.
///
/// # Errors
/// [`Error::Device`] when the device has failed.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|e| Error::Device { device: "run".into(), message: format!("a result could not be read: {e:?}; a smaller --tile or --device cpu may help") })
}
