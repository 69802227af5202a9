//! Copies of values between host memory and a device.

use crate::device::Device;
use crate::error::{Error, Result};
use burn::tensor::{Tensor, TensorData};

/// Row-major host values as a tensor `[n, width]` on `device`, n = `values.len() / width`. `width` must be at least 1
/// and divide the number of values.
pub fn rows(values: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), device)
}

/// The values of a tensor as f32 on the host, row-major. Waits until the device has computed them, so this is where the
/// device's errors come to light.
///
/// # Errors
/// [`Error::Device`] if the device has failed, usually for lack of memory.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|e| Error::Device {
        device: "in use".into(),
        message: format!("a result could not be read: {e:?}; a smaller tile, or the device cpu, may help"),
    })
}
