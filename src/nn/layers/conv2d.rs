//! Two-dimensional convolution with square kernels, in fact a cross-correlation, as PyTorch's `conv2d`:
//! `[channels, height, width] → [out, height', width']` with height' = (height + 2·padding − kernel)/stride + 1,
//! rounded down.

use super::{flatten, planes, unflatten};
use crate::error::{Error, Result};
use crate::nn::{HostParameters, Plain, PlainGather, Tap};
use crate::nn::{Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, check_range, parse_layer};
use burn::tensor::{Tensor, module::conv2d, ops::ConvOptions};

pub const KIND: LayerKind = LayerKind {
    name: "conv2d",
    about: "convolution; keys: key, out, kernel, stride = 1, padding = 0, bias = true, zero = false (starts at zero)",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: String,
    out: usize,
    kernel: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default)]
    padding: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default)]
    zero: bool,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

struct Conv2d {
    weight: String,
    bias: Option<String>,
    kernel: usize,
    stride: usize,
    padding: usize,
    zero: bool,
    input: [usize; 3],
    output: [usize; 3],
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    let input = planes(input)?;
    check_range("out", c.out, 1..=1 << 16)?;
    check_range("kernel", c.kernel, 1..=64)?;
    check_range("stride", c.stride, 1..=64)?;
    check_range("padding", c.padding, 0..=64)?;
    let side = |n: usize| {
        (n + 2 * c.padding).checked_sub(c.kernel).map(|free| free / c.stride + 1).ok_or_else(|| {
            Error::key(
                "kernel",
                format!("kernel {} is larger than the padded input side {}", c.kernel, n + 2 * c.padding),
            )
        })
    };
    let output = [c.out, side(input[1])?, side(input[2])?];
    Ok(Box::new(Conv2d {
        weight: format!("{}.weight", c.key),
        bias: c.bias.then(|| format!("{}.bias", c.key)),
        kernel: c.kernel,
        stride: c.stride,
        padding: c.padding,
        zero: c.zero,
        input,
        output,
    }))
}

impl Conv2d {
    fn apply(&self, x: Rows, bias: Option<Tensor<1>>, pass: &Pass) -> Rows {
        let weight = pass.parameters.shaped(&self.weight, [self.output[0], self.input[0], self.kernel, self.kernel]);
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        flatten(conv2d(unflatten(x, self.input), weight, bias, options))
    }

    /// The places of the input that one place of the output reads: place (i, j) reads (i·stride + a − padding,
    /// j·stride + b − padding) through place (a, b) of the kernel, where that lies in the picture.
    fn taps(&self, place: usize) -> Vec<Tap> {
        let (k, [_, height, width]) = (self.kernel, self.input);
        let at = |out: usize, a: usize| (out * self.stride + a).checked_sub(self.padding);
        let (i, j) = (place / self.output[2], place % self.output[2]);
        let tap = |n: usize| {
            let y = at(i, n / k).filter(|y| *y < height)?;
            let x = at(j, n % k).filter(|x| *x < width)?;
            Some(Tap { place: y * width + x, matrix: n })
        };
        (0..k * k).filter_map(tap).collect()
    }
}

impl Layer for Conv2d {
    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let fan_in = self.input[0] * self.kernel * self.kernel;
        let init = if self.zero { Init::Constant(0.0) } else { Init::FanIn(fan_in) };
        let shape = vec![self.output[0], self.input[0], self.kernel, self.kernel];
        into.push(ParameterSpec { key: self.weight.clone(), shape, init, role: Role::Weight });
        if let Some(bias) = &self.bias {
            into.push(ParameterSpec { key: bias.clone(), shape: vec![self.output[0]], init, role: Role::Vector });
        }
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        self.apply(x, self.bias.as_ref().map(|b| pass.parameters.get(b)), pass)
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        (self.forward(x, pass), t.map(|t| self.apply(t, None, pass)))
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let ([channels, height, width], [outputs, h, w]) = (self.input, self.output);
        let area = self.kernel * self.kernel;
        Some(Plain::Gather(PlainGather {
            channels,
            area: height * width,
            outputs,
            taps: (0..h * w).map(|p| self.taps(p)).collect(),
            bias: self.bias.as_ref().map(|b| parameters.get(b).to_vec()),
            weight: parameters.get(&self.weight).to_vec(),
            strides: [1, area, channels * area],
        }))
    }

    fn is_piecewise_linear(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!(
            "conv2d {} → {}, kernel {}, stride {}, padding {}",
            self.input[0], self.output[0], self.kernel, self.stride, self.padding
        )
    }
}
