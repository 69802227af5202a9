//! The normal-bundle method (Stanczuk et al. 2022). At noised copies of a point the scores point across the manifold,
//! so the number of their large singular values is the number of normal directions. The dimension is what remains.

use super::neighbours::Local;
use crate::diffusion::{Denoiser, State, to_f64};
use crate::error::Result;
use crate::noise::{Stream, normals};
use burn::tensor::{Tensor, TensorData};
use nalgebra::DMatrix;

/// The dimension at each point of `x` (`[n, width]` row-major), n whole numbers or why there is none, from the scores at 4·width copies
/// noised at level σ. The singular values before the largest gap between two consecutive ones count as normal
/// directions. `like` is the device of the denoiser.
///
/// # Errors
/// Those of the denoiser.
pub fn normal_bundle(
    denoiser: &dyn Denoiser,
    x: &[f64],
    sigma: f64,
    seed: u64,
    like: &crate::device::Device,
) -> Result<Vec<Local<f64>>> {
    let width = denoiser.width();
    let copies = 4 * width;
    x.chunks_exact(width)
        .enumerate()
        .map(|(i, point)| {
            let noise = normals(seed, i as u64, Stream::Probe, 1, copies * width);
            let values: Vec<f32> =
                noise.iter().enumerate().map(|(j, e)| (point[j % width] + sigma * f64::from(*e)) as f32).collect();
            let noised: crate::nn::Rows = Tensor::from_data(TensorData::new(values, [copies, width]), like);
            let denoised = denoiser.denoise(&State::plain(noised.clone()), sigma, None)?.value;
            let scores = DMatrix::from_row_slice(copies, width, &to_f64(denoised - noised)?);
            let mut values: Vec<f64> =
                (scores.transpose() * &scores).symmetric_eigenvalues().iter().map(|v| v.max(0.0).sqrt()).collect();
            values.sort_by(|a, b| b.total_cmp(a));
            let gap = values.windows(2).map(|w| w[0] - w[1]).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
            Ok(match gap {
                Some((i, drop)) if drop > 0.0 => Ok((width - i - 1) as f64),
                _ => Err("the singular values of the scores have no gap".into()),
            })
        })
        .collect()
}
