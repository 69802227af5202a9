//! The kinds of layers, one file each, and their table. A file holds the kind's keys in a card, its forward and tangent
//! rules, and its plain terms. To add one, write its file and put its row into [`KINDS`].

mod attention;
mod avg_pool2d;
mod batch_norm;
mod clamp_tanh;
mod concat;
mod convolution;
mod fourier;
mod gelu;
mod group_norm;
mod layer_norm;
mod leaky_relu;
mod linear;
mod max_pool2d;
mod modulate;
mod relu;
mod reshape;
mod residual;
mod sigmoid;
mod silu;
mod subsample;
mod tanh;
mod unet;
mod upsample;

use super::{LayerKind, Rows};
use crate::error::{Error, Result};
use burn::tensor::Tensor;

/// Every kind of layer that a card may name, in the order of `isoline list layers`.
pub static KINDS: &[LayerKind] = &[
    linear::KIND,
    convolution::PLAIN,
    convolution::TRANSPOSED,
    batch_norm::KIND,
    group_norm::KIND,
    relu::KIND,
    leaky_relu::KIND,
    silu::KIND,
    gelu::KIND,
    tanh::KIND,
    sigmoid::KIND,
    clamp_tanh::KIND,
    upsample::KIND,
    max_pool2d::KIND,
    avg_pool2d::KIND,
    subsample::KIND,
    reshape::KIND,
    residual::KIND,
    concat::KIND,
    layer_norm::KIND,
    attention::KIND,
    fourier::KIND,
    modulate::KIND,
    unet::KIND,
];

/// A per-sample shape as `[channels, height, width]`.
///
/// # Errors
/// [`Error::Key`] for a shape with another number of axes.
fn planes(input: &[usize]) -> Result<[usize; 3]> {
    <[usize; 3]>::try_from(input).map_err(|_| {
        Error::key(
            "",
            format!("expected input of shape [channels, height, width], found {input:?}; put a reshape before it"),
        )
    })
}

/// Rows as a stack of pictures: `[n, c·h·w] → [n, c, h, w]`.
pub(super) fn unflatten(x: Rows, [c, h, w]: [usize; 3]) -> Tensor<4> {
    let [n, _] = x.dims();
    x.reshape([n, c, h, w])
}

/// A stack of pictures as rows: `[n, c, h, w] → [n, c·h·w]`.
pub(super) fn flatten(x: Tensor<4>) -> Rows {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c * h * w])
}
