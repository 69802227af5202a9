//! The mean of each square window of height and width, as in PyTorch's `avg_pool2d` with windows that do not overlap:
//! `[channels, height, width] → [channels, height/k, width/k]`. With a kernel as large as the picture it is the mean of each
//! channel.

use super::planes;
use crate::error::{Error, Result};
use crate::nn::{Build, Character, Layer, LayerKind, Pass, Rows, Tangents, check_range, parse_layer};
use crate::nn::{HostParameters, Plain, PlainGather, Tap};
use burn::tensor::Tensor;

pub const KIND: LayerKind = LayerKind {
    name: "avg_pool2d",
    about: "mean of each window; keys: kernel = 2 (also the stride)",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "two")]
    kernel: usize,
}

fn two() -> usize {
    2
}

struct AvgPool {
    kernel: usize,
    output: [usize; 3],
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    check_range("kernel", c.kernel, 1..=crate::limits::IMAGE_SIDE_OUT)?;
    let [channels, h, w] = planes(input)?;
    if h % c.kernel != 0 || w % c.kernel != 0 {
        let message = format!("expected a kernel that divides both sides of the input {h}×{w}, found {}", c.kernel);
        return Err(Error::key("kernel", message));
    }
    Ok(Box::new(AvgPool { kernel: c.kernel, output: [channels, h / c.kernel, w / c.kernel] }))
}

impl AvgPool {
    /// `[n, c·h·w] → [n, c·h/k·w/k]`: first along the width, then along the height.
    fn apply(&self, x: Rows) -> Rows {
        let [n, _] = x.dims();
        let ([channels, h, w], k) = (self.output, self.kernel);
        let rows: Tensor<2> = x.reshape([n * channels * h * k * w, k]).sum_dim(1).reshape([n * channels * h, k * w]);
        let sums = rows.reshape([n * channels * h, k, w]).sum_dim(1);
        sums.reshape([n, channels * h * w]) / (k * k) as f64
    }
}

impl Layer for AvgPool {
    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        self.apply(x)
    }

    fn tangent(&self, x: Rows, t: Tangents, _: &Pass) -> (Rows, Tangents) {
        (self.apply(x), t.map(|t| self.apply(t)))
    }

    // A channel is a group of its own, whose places are added with one weight.
    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        let ([channels, h, w], k) = (self.output, self.kernel);
        let window = |p: usize| {
            let place = move |i: usize| (p / w * k + i / k) * w * k + p % w * k + i % k;
            (0..k * k).map(|i| Tap { place: place(i), matrix: 0 }).collect()
        };
        let group = || PlainGather {
            channels: 1,
            area: h * w * k * k,
            outputs: 1,
            taps: (0..h * w).map(window).collect(),
            bias: None,
            weight: vec![1.0 / (k * k) as f32],
            strides: [0, 0, 0],
            grid: None,
        };
        Some(Plain::Groups((0..channels).map(|_| group()).collect()))
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    fn describe(&self) -> String {
        format!("avg_pool2d {0}×{0}", self.kernel)
    }
}
