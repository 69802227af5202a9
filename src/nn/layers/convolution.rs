//! Two-dimensional convolution with square kernels (strictly speaking a cross-correlation) and its transpose, as in
//! PyTorch's `conv2d` and `conv_transpose2d`: `[channels, height, width] → [out, height', width']`. Here
//! height' = (height + 2·padding − kernel)/stride + 1, rounded down; for the transpose
//! height' = (height − 1)·stride − 2·padding + kernel + output_padding.

use super::planes;
use crate::error::{Error, Result};
use crate::nn::{Build, Convolution, Layer, LayerKind, check_range, parse_layer};

pub const PLAIN: LayerKind = LayerKind {
    name: "conv2d",
    about: "convolution; keys: key, out, kernel, stride = 1, padding = 0, bias = true, zero = false (starts at zero)",
    build: Build::Layer(plain),
};

pub const TRANSPOSED: LayerKind = LayerKind {
    name: "conv_transpose2d",
    about: "transposed convolution; keys: key, out, kernel, stride = 1, padding = 0, output_padding = 0, bias = true",
    build: Build::Layer(transposed),
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

fn plain(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: PlainConfig = parse_layer(table)?;
    build(&c.key, c.bias, [c.out, c.kernel, c.stride, c.padding], Way::Plain { zero: c.zero }, input)
}

fn transposed(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: TransposedConfig = parse_layer(table)?;
    let way = Way::Transposed { output_padding: c.output_padding };
    build(&c.key, c.bias, [c.out, c.kernel, c.stride, c.padding], way, input)
}

/// Where the two kinds differ.
enum Way {
    Plain { zero: bool },
    Transposed { output_padding: usize },
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
    Ok(Box::new(Convolution {
        name: if matches!(way, Way::Transposed { .. }) { TRANSPOSED.name } else { PLAIN.name },
        transposed: matches!(way, Way::Transposed { .. }),
        zero: matches!(way, Way::Plain { zero: true }),
        weight: format!("{key}.weight"),
        bias: bias.then(|| format!("{key}.bias")),
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [padding; 4],
        dilation: [1; 2],
        groups: 1,
        input,
        output: [out, side(input[1])?, side(input[2])?],
    }))
}
