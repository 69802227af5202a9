//! Transposed two-dimensional convolution with square kernels, as PyTorch's `conv_transpose2d`:
//! `[channels, height, width] → [out, height', width']` with
//! height' = (height − 1)·stride − 2·padding + kernel + output_padding.

use super::{flatten, planes, unflatten};
use crate::error::{Error, Result};
use crate::nn::{HostParameters, Plain, PlainGather, Tap};
use crate::nn::{Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, check_range, parse_layer};
use burn::tensor::{Tensor, module::conv_transpose2d, ops::ConvTransposeOptions};

pub const KIND: LayerKind = LayerKind {
    name: "conv_transpose2d",
    about: "transposed convolution; keys: key, out, kernel, stride = 1, padding = 0, output_padding = 0, bias = true",
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

struct ConvTranspose2d {
    weight: String,
    bias: Option<String>,
    kernel: usize,
    stride: usize,
    padding: usize,
    output_padding: usize,
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
    check_range("output_padding", c.output_padding, 0..=c.stride - 1)?;
    let side = |n: usize| {
        ((n.saturating_sub(1)) * c.stride + c.kernel + c.output_padding)
            .checked_sub(2 * c.padding)
            .filter(|s| *s > 0)
            .ok_or_else(|| {
                Error::key("padding", format!("padding {} leaves nothing of an input side of {n}", c.padding))
            })
    };
    let output = [c.out, side(input[1])?, side(input[2])?];
    Ok(Box::new(ConvTranspose2d {
        weight: format!("{}.weight", c.key),
        bias: c.bias.then(|| format!("{}.bias", c.key)),
        kernel: c.kernel,
        stride: c.stride,
        padding: c.padding,
        output_padding: c.output_padding,
        input,
        output,
    }))
}

impl ConvTranspose2d {
    fn apply(&self, x: Rows, bias: Option<Tensor<1>>, pass: &Pass) -> Rows {
        let weight = pass.parameters.shaped(&self.weight, [self.input[0], self.output[0], self.kernel, self.kernel]);
        let options =
            ConvTransposeOptions::new([self.stride; 2], [self.padding; 2], [self.output_padding; 2], [1, 1], 1);
        flatten(conv_transpose2d(unflatten(x, self.input), weight, bias, options))
    }

    /// The places of the input that one place of the output gathers from. Along each axis input i goes to output
    /// i·stride + a − padding through place a of the kernel; here that is solved for i.
    fn taps(&self, place: usize) -> Vec<Tap> {
        let (k, [_, height, width]) = (self.kernel, self.input);
        let at = |out: usize, a: usize, side: usize| {
            let raised = (out + self.padding).checked_sub(a).filter(|r| r % self.stride == 0)?;
            Some(raised / self.stride).filter(|i| *i < side)
        };
        let (i, j) = (place / self.output[2], place % self.output[2]);
        let tap = |n: usize| {
            let (y, x) = (at(i, n / k, height)?, at(j, n % k, width)?);
            Some(Tap { place: y * width + x, matrix: n })
        };
        (0..k * k).filter_map(tap).collect()
    }
}

impl Layer for ConvTranspose2d {
    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        // PyTorch takes the second dimension of the weight as the fan-in, which here is the number of outputs.
        let init = Init::FanIn(self.output[0] * self.kernel * self.kernel);
        let shape = vec![self.input[0], self.output[0], self.kernel, self.kernel];
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
            strides: [1, outputs * area, area],
        }))
    }

    fn is_piecewise_linear(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!(
            "conv_transpose2d {} → {}, kernel {}, stride {}, padding {}",
            self.input[0], self.output[0], self.kernel, self.stride, self.padding
        )
    }
}
