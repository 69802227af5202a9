//! Values between host and device.

use crate::device::Device;
use crate::error::{Error, Result};
use burn::tensor::{Tensor, TensorData};

/// Host rows as a tensor `[rows, width]`.
pub fn rows(values: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), device)
}

/// The values of a tensor on the host, row-major.
///
/// # Errors
/// [`Error::Device`] when the device has failed.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|e| Error::Device {
        device: "in use".into(),
        message: format!("a result could not be read: {e:?}; a smaller --tile or --device cpu may help"),
    })
}
