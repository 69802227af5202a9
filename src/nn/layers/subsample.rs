//! Every second (or n-th) value of height and width, and more channels: the added ones are 0, and as many of them stand
//! before the others as after. It has no weights: the shortcut of option A in residual networks (He et al. 2016, arXiv
//! 1512.03385, section 4.2), where a block halves the picture and doubles the channels.

use super::planes;
use crate::error::{Error, Result};
use crate::nn::{Build, Character, Layer, LayerKind, Pass, Rows, Tangents, check_range, parse_layer};
use crate::nn::{HostParameters, Plain};
use burn::tensor::{Int, Tensor, TensorData};

pub const KIND: LayerKind = LayerKind {
    name: "subsample",
    about: "every n-th value of height and width, with channels of 0 on both sides; keys: stride = 2, out (channels)",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "two")]
    stride: usize,
    #[serde(default)]
    out: Option<usize>,
}

fn two() -> usize {
    2
}

struct Subsample {
    stride: usize,
    input: [usize; 3],
    output: [usize; 3],
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    check_range("stride", c.stride, 1..=64)?;
    let [channels, h, w] = planes(input)?;
    let out = c.out.unwrap_or(channels);
    if out < channels || !(out - channels).is_multiple_of(2) {
        let message = format!("expected {channels} channels as in the input, or an even number more, found {out}");
        return Err(Error::key("out", message));
    }
    let output = [out, h.div_ceil(c.stride), w.div_ceil(c.stride)];
    Ok(Box::new(Subsample { stride: c.stride, input: [channels, h, w], output }))
}

impl Subsample {
    /// For each feature of the kept channels, that of the input.
    fn picked(&self) -> impl Iterator<Item = usize> + '_ {
        let ([channels, h, w], [_, height, width]) = (self.input, self.output);
        let place = move |c: usize, p: usize| (c * h + p / width * self.stride) * w + p % width * self.stride;
        (0..channels).flat_map(move |c| (0..height * width).map(move |p| place(c, p)))
    }

    /// Features of the channels of 0 on one side.
    fn side(&self) -> usize {
        (self.output[0] - self.input[0]) / 2 * self.output[1] * self.output[2]
    }

    fn apply(&self, x: Rows) -> Rows {
        let [n, _] = x.dims();
        let index: Vec<i32> = self.picked().map(|i| i as i32).collect();
        let (count, side) = (index.len(), self.side());
        let index: Tensor<1, Int> = Tensor::from_data(TensorData::new(index, [count]), &x.device());
        let kept = x.select(1, index);
        if side == 0 {
            return kept;
        }
        let zeros = kept.clone().narrow(1, 0, 1).zeros_like().repeat_dim(1, side).reshape([n, side]);
        Tensor::cat(vec![zeros.clone(), kept, zeros], 1)
    }
}

impl Layer for Subsample {
    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        self.apply(x)
    }

    fn tangent(&self, x: Rows, t: Tangents, _: &Pass) -> (Rows, Tangents) {
        (self.apply(x), t.map(|t| self.apply(t)))
    }

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        let side = || std::iter::repeat_n(u32::MAX, self.side());
        let from = side().chain(self.picked().map(|i| i as u32)).chain(side()).collect();
        Some(Plain::Rearrange { from, fill: 0.0 })
    }

    fn character(&self) -> Character {
        Character::Rearranges
    }

    fn describe(&self) -> String {
        let [channels, out] = [self.input[0], self.output[0]];
        format!("subsample 1/{}, {channels} → {out} channels", self.stride)
    }
}
