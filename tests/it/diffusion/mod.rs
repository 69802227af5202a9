//! Diffusion models, compared with closed forms and a pretrained reference.

mod denoising;
mod digits;
mod dimension;
mod distill;
mod empirical;
mod golden;
mod guidance;
mod guided;
mod knowing;
mod memorisation;
mod mixture;
mod models;
mod pretrained;
mod quantities;
mod sampling;
mod schedulers;
mod stages;

use burn::tensor::{DType, TensorData};
use isoline::device::{self, Device};
use isoline::nn::Rows;
use isoline::noise::{Stream, uniforms};

pub use empirical::Empirical;
pub use mixture::{Component, Mixture};
pub use models::rewarded;

/// The processor as a device.
pub fn cpu() -> Device {
    device::open("cpu").unwrap().1
}

/// Values `[n, width]`, row-major, as a tensor in f64, so that solvers can be checked below the rounding of f32.
pub fn rows64(values: Vec<f64>, width: usize) -> Rows {
    let n = values.len() / width;
    Rows::from_data(TensorData::new(values, [n, width]), (&cpu(), DType::F64))
}

/// The values of a tensor on the host, row-major.
pub fn host64(x: Rows) -> Vec<f64> {
    x.try_into_vec_as::<f64>().unwrap()
}

/// Three Gaussians in the plane, one of them turned by 30°.
pub fn three() -> Mixture {
    let (c, s) = (0.75f64.sqrt(), 0.5);
    Mixture::new(vec![
        Component { weight: 0.5, mean: vec![1.0, 0.5], variances: vec![0.3, 0.1], axes: None },
        Component { weight: 0.3, mean: vec![-1.0, 0.3], variances: vec![0.5, 0.05], axes: Some(vec![c, -s, s, c]) },
        Component { weight: 0.2, mean: vec![0.0, -1.2], variances: vec![0.2, 0.2], axes: None },
    ])
}

/// A Gaussian in ten coordinates, turned by a fixed rotation, with variances from 1e-4 to 2. Returns it with its
/// variances and its axes (`[10, 10]`, row-major).
pub fn ten() -> (Mixture, Vec<f64>, Vec<f64>) {
    let variances: Vec<f64> = (0..10).map(|i| 1e-4 * 2e4f64.powf(f64::from(i) / 9.0)).collect();
    let drawn = isoline::noise::normals(3, 0, isoline::noise::Stream::Frame, 0, 100);
    let axes = isoline::linalg::orthonormal_columns(&drawn.into_iter().map(f64::from).collect::<Vec<_>>(), 10, 10);
    let component =
        Component { weight: 1.0, mean: vec![0.0; 10], variances: variances.clone(), axes: Some(axes.clone()) };
    (Mixture::new(vec![component]), variances, axes)
}

/// `n` angles of the von Mises density with κ = 2, by rejection from the even one.
pub fn von_mises(n: usize, seed: u64) -> Vec<f64> {
    let draw = |i: u64| {
        let u = uniforms(seed, i, Stream::Training, 0, 2);
        let angle = std::f64::consts::TAU * (f64::from(u[0]) - 0.5);
        (f64::from(u[1]) < (2.0 * (angle.cos() - 1.0)).exp()).then_some(angle)
    };
    (0..).filter_map(draw).take(n).collect()
}
