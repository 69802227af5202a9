//! The greatest value of each square window of height and width, as in PyTorch's `max_pool2d` with windows that do not
//! overlap: `[channels, height, width] → [channels, height/k, width/k]`. Where several values of a window are equally
//! great, the slope is that of the first.

use super::planes;
use crate::error::{Error, Result};
use crate::nn::{Build, Character, Layer, LayerKind, Pass, Rows, Tangents, check_range, parse_layer};
use burn::tensor::Tensor;

pub const KIND: LayerKind = LayerKind {
    name: "max_pool2d",
    about: "greatest value of each window; keys: kernel = 2 (also the stride)",
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

struct MaxPool {
    kernel: usize,
    output: [usize; 3],
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    check_range("kernel", c.kernel, 1..=64)?;
    let [channels, h, w] = planes(input)?;
    if h % c.kernel != 0 || w % c.kernel != 0 {
        let message = format!("expected a kernel that divides both sides of the input {h}×{w}, found {}", c.kernel);
        return Err(Error::key("kernel", message));
    }
    Ok(Box::new(MaxPool { kernel: c.kernel, output: [channels, h / c.kernel, w / c.kernel] }))
}

impl MaxPool {
    fn width(&self) -> usize {
        self.output.iter().product()
    }

    /// The values of each window side by side: `[n, c·h·w] → [n, c·h/k·w/k, k²]`.
    fn windows(&self, x: Rows) -> Tensor<3> {
        let [n, _] = x.dims();
        let ([channels, h, w], k) = (self.output, self.kernel);
        x.reshape([n * channels * h, k, w, k]).swap_dims(1, 2).reshape([n, self.width(), k * k])
    }
}

impl Layer for MaxPool {
    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        let [n, _] = x.dims();
        self.windows(x).max_dim(2).reshape([n, self.width()])
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let [n, features] = x.dims();
        let first = self.windows(x.clone()).argmax(2);
        let cube = t.expanded(n);
        let k = cube.dims()[1];
        let places = first.reshape([n, 1, self.width(), 1]).repeat_dim(1, k).reshape([n * k, self.width(), 1]);
        let moved = self.windows(cube.reshape([n * k, features])).gather(2, places);
        (self.forward(x, pass), Tangents::from_cube(moved.reshape([n, k, self.width()])))
    }

    fn character(&self) -> Character {
        Character::PiecewiseLinear
    }

    fn describe(&self) -> String {
        format!("max_pool2d {0}×{0}", self.kernel)
    }
}
