//! Two-dimensional convolution with square kernels (strictly speaking a cross-correlation) and its transpose, as in
//! PyTorch's `conv2d` and `conv_transpose2d`: `[channels, height, width] → [out, height', width']`. Here
//! height' = (height + 2·padding − kernel)/stride + 1, rounded down; for the transpose
//! height' = (height − 1)·stride − 2·padding + kernel + output_padding.

use super::{flatten, planes, unflatten};
use crate::error::{Error, Result};
use crate::nn::{
    HostParameters, Init, Layer, LayerKind, ParameterSpec, Pass, Plain, PlainGather, Role, Rows, Tangents, Tap,
    check_range, parse_layer,
};
use burn::tensor::Tensor;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

pub const PLAIN: LayerKind = LayerKind {
    name: "conv2d",
    about: "convolution; keys: key, out, kernel, stride = 1, padding = 0, bias = true, zero = false (starts at zero)",
    build: plain,
};

pub const TRANSPOSED: LayerKind = LayerKind {
    name: "conv_transpose2d",
    about: "transposed convolution; keys: key, out, kernel, stride = 1, padding = 0, output_padding = 0, bias = true",
    build: transposed,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainConfig {
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

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TransposedConfig {
    key: String,
    out: usize,
    kernel: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default)]
    padding: usize,
    #[serde(default)]
    output_padding: usize,
    #[serde(default = "yes")]
    bias: bool,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// Where the two kinds differ.
enum Way {
    Plain { zero: bool },
    Transposed { output_padding: usize },
}

struct Convolution {
    way: Way,
    weight: String,
    bias: Option<String>,
    kernel: usize,
    stride: usize,
    padding: usize,
    input: [usize; 3],
    output: [usize; 3],
}

fn plain(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: PlainConfig = parse_layer(table)?;
    build(&c.key, c.bias, [c.out, c.kernel, c.stride, c.padding], Way::Plain { zero: c.zero }, input)
}

fn transposed(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: TransposedConfig = parse_layer(table)?;
    let way = Way::Transposed { output_padding: c.output_padding };
    build(&c.key, c.bias, [c.out, c.kernel, c.stride, c.padding], way, input)
}

fn build(
    key: &str,
    bias: bool,
    [out, kernel, stride, padding]: [usize; 4],
    way: Way,
    input: &[usize],
) -> Result<Box<dyn Layer>> {
    let input = planes(input)?;
    check_range("out", out, 1..=1 << 16)?;
    check_range("kernel", kernel, 1..=64)?;
    check_range("stride", stride, 1..=64)?;
    check_range("padding", padding, 0..=64)?;
    if let Way::Transposed { output_padding } = way {
        check_range("output_padding", output_padding, 0..=stride - 1)?;
    }
    let side = |n: usize| match way {
        Way::Plain { .. } => {
            let padded = n + 2 * padding;
            padded.checked_sub(kernel).map(|free| free / stride + 1).ok_or_else(|| {
                Error::key("kernel", format!("kernel {kernel} is larger than the padded input side {padded}"))
            })
        }
        Way::Transposed { output_padding } => (n.saturating_sub(1) * stride + kernel + output_padding)
            .checked_sub(2 * padding)
            .filter(|s| *s > 0)
            .ok_or_else(|| Error::key("padding", format!("padding {padding} leaves nothing of an input side of {n}"))),
    };
    let output = [out, side(input[1])?, side(input[2])?];
    let (weight, bias) = (format!("{key}.weight"), bias.then(|| format!("{key}.bias")));
    Ok(Box::new(Convolution { way, weight, bias, kernel, stride, padding, input, output }))
}

impl Convolution {
    /// Shape of the weight: `[out, in, k, k]`, or `[in, out, k, k]` for the transpose.
    fn weight_shape(&self) -> [usize; 4] {
        let [a, b] = match self.way {
            Way::Plain { .. } => [self.output[0], self.input[0]],
            Way::Transposed { .. } => [self.input[0], self.output[0]],
        };
        [a, b, self.kernel, self.kernel]
    }

    fn apply(&self, x: Rows, bias: Option<Tensor<1>>, pass: &Pass) -> Rows {
        let weight = pass.parameters.shaped(&self.weight, self.weight_shape());
        let (x, stride, padding) = (unflatten(x, self.input), [self.stride; 2], [self.padding; 2]);
        flatten(match self.way {
            Way::Plain { .. } => conv2d(x, weight, bias, ConvOptions::new(stride, padding, [1, 1], 1)),
            Way::Transposed { output_padding } => {
                let options = ConvTransposeOptions::new(stride, padding, [output_padding; 2], [1, 1], 1);
                conv_transpose2d(x, weight, bias, options)
            }
        })
    }

    /// Along one side, the place of the input that place `out` of the output reads through kernel place `a`:
    /// out·stride + a − padding; for the transpose, the i with i·stride + a − padding = out. `None` if there is none.
    fn reads(&self, out: usize, a: usize, side: usize) -> Option<usize> {
        let i = match self.way {
            Way::Plain { .. } => (out * self.stride + a).checked_sub(self.padding)?,
            Way::Transposed { .. } => {
                (out + self.padding).checked_sub(a).filter(|r| r.is_multiple_of(self.stride))? / self.stride
            }
        };
        Some(i).filter(|i| *i < side)
    }

    fn taps(&self, place: usize) -> Vec<Tap> {
        let (k, [_, height, width]) = (self.kernel, self.input);
        let (i, j) = (place / self.output[2], place % self.output[2]);
        let tap = |n: usize| {
            let (y, x) = (self.reads(i, n / k, height)?, self.reads(j, n % k, width)?);
            Some(Tap { place: y * width + x, matrix: n })
        };
        (0..k * k).filter_map(tap).collect()
    }
}

impl Layer for Convolution {
    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let shape = self.weight_shape().to_vec();
        let init = match self.way {
            Way::Plain { zero: true } => Init::Constant(0.0),
            // PyTorch uses the second dimension as the fan-in of a transposed convolution too.
            _ => Init::FanIn(shape[1] * self.kernel * self.kernel),
        };
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
            strides: match self.way {
                Way::Plain { .. } => [1, area, channels * area],
                Way::Transposed { .. } => [1, outputs * area, area],
            },
        }))
    }

    fn is_piecewise_linear(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        let name = match self.way {
            Way::Plain { .. } => PLAIN.name,
            Way::Transposed { .. } => TRANSPOSED.name,
        };
        let also = match self.way {
            Way::Transposed { output_padding } if output_padding > 0 => format!(", output padding {output_padding}"),
            _ => String::new(),
        };
        let bias = if self.bias.is_some() { "" } else { ", no bias" };
        format!(
            "{name} {} → {}, kernel {}, stride {}, padding {}{also}{bias}",
            self.input[0], self.output[0], self.kernel, self.stride, self.padding
        )
    }
}
