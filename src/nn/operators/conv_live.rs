//! A convolution whose weight depends on the latent, as in StyleGAN2.

use super::{Made, OperatorKind};
use crate::error::{Error, Result};
use crate::nn::{Character, HostParameters, Operator, Pass, Plain, Rows, Tangents, Window, check_range};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "conv_live",
    inputs: Some(2),
    about: "convolution of the first input with the second as its weight; keys: kernel ([out, in/groups, kh, kw]), input ([c, \
        h, w]), output ([out, h', w']), stride, pads ([top, left, bottom, right]), dilation, groups",
    build,
};

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    kernel: [usize; 4],
    input: [usize; 3],
    output: [usize; 3],
    stride: [usize; 2],
    pads: [usize; 4],
    dilation: [usize; 2],
    groups: usize,
}

struct ConvLive {
    sizes: Sizes,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let sizes: Sizes = made.keys()?;
    let Sizes { kernel, input, output, stride, pads, dilation, groups } = sizes;
    made.reads(0, "input", &input)?;
    made.reads(1, "kernel", &kernel)?;
    made.makes(output.iter().try_fold(1usize, |a, b| a.checked_mul(*b)).unwrap_or(0))?;
    check_range("groups", groups, 1..=1 << 16)?;
    if kernel[0] != output[0] || !kernel[0].is_multiple_of(groups) || kernel[1].checked_mul(groups) != Some(input[0]) {
        let message = format!("expected [{}, {} / groups, _, _], found {kernel:?}", output[0], input[0]);
        return Err(Error::key("kernel", message));
    }
    Window { stride, pads, dilation }.check([kernel[2], kernel[3]], input, Some(output))?;
    Ok(Arc::new(ConvLive { sizes, shape: made.shape }))
}

impl Sizes {
    /// A convolution of `samples` in groups of their own: x is `[batch, samples·c, h, w]`, the weight `[samples·out, …]`.
    fn apply(&self, x: Tensor<4>, weight: Tensor<4>, samples: usize) -> Tensor<4> {
        let [top, left, bottom, right] = self.pads;
        let (x, pads) = match top == bottom && left == right {
            true => (x, [top, left]),
            false => (x.pad((left, right, top, bottom), PadMode::Constant(0.0)), [0, 0]),
        };
        conv2d(x, weight, None, ConvOptions::new(self.stride, pads, self.dilation, samples * self.groups))
    }

    /// For each place of a column under the kernel, and each place of the output, the feature of the input that lies there:
    /// `[groups, in/groups · kh · kw, places]`, with [`u32::MAX`] beyond the border.
    fn columns(&self) -> Vec<u32> {
        let ([_, height, width], [_, depth, kh, kw], [_, h, w]) = (self.input, self.kernel, self.output);
        let along = |axis: usize, out: usize, a: usize, side: usize| {
            let at = (out * self.stride[axis] + a * self.dilation[axis]).checked_sub(self.pads[axis])?;
            Some(at).filter(|at| *at < side)
        };
        let mut list = Vec::with_capacity(self.groups * depth * kh * kw * h * w);
        for channel in 0..self.groups * depth {
            for place in 0..kh * kw {
                for out in 0..h * w {
                    let (y, x) = (along(0, out / w, place / kw, height), along(1, out % w, place % kw, width));
                    list.push(match (y, x) {
                        (Some(y), Some(x)) => ((channel * height + y) * width + x) as u32,
                        _ => u32::MAX,
                    });
                }
            }
        }
        list
    }
}

impl Operator for ConvLive {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Vec<Rows>, _: &Pass) -> Rows {
        let (n, Sizes { kernel: [out, depth, kh, kw], input: [c, h, w], .. }) = (x[0].dims()[0], self.sizes);
        let (values, weight) = (x[0].clone().reshape([1, n * c, h, w]), x[1].clone().reshape([n * out, depth, kh, kw]));
        self.sizes.apply(values, weight, n).reshape([n, self.shape.iter().product()])
    }

    // ∂y = conv(∂x, w) + conv(x, ∂w). For the first, directions are the batch; for the second, further output channels.
    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, pass: &Pass) -> (Rows, Option<Tangents>) {
        let Sizes { kernel: [out, depth, kh, kw], input: [c, h, w], output: [_, height, width], groups, .. } =
            self.sizes;
        let (n, area) = (x[0].dims()[0], height * width);
        let mut t = t.into_iter();
        let by_values = t.next().flatten().map(|t| {
            let k = t.directions();
            let moved = t.expanded(n).swap_dims(0, 1).reshape([k, n * c, h, w]);
            let y = self.sizes.apply(moved, x[1].clone().reshape([n * out, depth, kh, kw]), n);
            Tangents::from_cube(y.reshape([k, n, out * area]).swap_dims(0, 1))
        });
        let by_weight = t.next().flatten().map(|t| {
            let (k, own) = (t.directions(), out / groups);
            let moved = t.expanded(n).reshape([n, k, groups, own * depth * kh * kw]).swap_dims(1, 2);
            let moved = moved.reshape([n * groups * k * own, depth, kh, kw]);
            let y = self.sizes.apply(x[0].clone().reshape([1, n * c, h, w]), moved, n);
            let y = y.reshape([n, groups, k, own * area]).swap_dims(1, 2);
            Tangents::from_cube(y.reshape([n, k, out * area]))
        });
        let moved = by_values.into_iter().chain(by_weight).reduce(Tangents::plus);
        (self.forward(x, pass), moved)
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn plain(&self, _: &HostParameters) -> Option<Vec<Plain>> {
        let Sizes { kernel: [out, depth, kh, kw], output: [_, h, w], groups, .. } = self.sizes;
        Some(vec![Plain::ConvLive {
            columns: self.sizes.columns(),
            sizes: [groups, out / groups, depth * kh * kw, h * w],
        }])
    }

    fn describe(&self) -> String {
        let Sizes { kernel: [out, _, kh, kw], input: [c, ..], .. } = self.sizes;
        format!("conv_live {c} → {out}, kernel {kh}×{kw}")
    }
}
