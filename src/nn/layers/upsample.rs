//! Nearest-neighbour enlargement of height and width by a whole factor: each value is repeated factor² times.

use super::planes;
use crate::error::Result;
use crate::nn::{Build, Character, Layer, LayerKind, Pass, Rows, Tangents, check_range, parse_layer};
use crate::nn::{HostParameters, Plain};

pub const KIND: LayerKind = LayerKind {
    name: "upsample",
    about: "nearest-neighbour enlargement; keys: factor = 2",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "two")]
    factor: usize,
}

fn two() -> usize {
    2
}

struct Upsample {
    factor: usize,
    input: [usize; 3],
    output: [usize; 3],
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    check_range("factor", c.factor, 1..=16)?;
    let [channels, h, w] = planes(input)?;
    Ok(Box::new(Upsample { factor: c.factor, input: [channels, h, w], output: [channels, h * c.factor, w * c.factor] }))
}

impl Upsample {
    /// `[n, c·h·w] → [n, c·h·f·w·f]`, first along the width, then along the height.
    fn apply(&self, x: Rows) -> Rows {
        let [n, _] = x.dims();
        let [c, h, w] = self.input;
        let f = self.factor;
        let wide = x.reshape([n * c * h, w, 1]).repeat_dim(2, f);
        let tall = wide.reshape([n * c * h, 1, w * f]).repeat_dim(1, f);
        tall.reshape([n, c * h * f * w * f])
    }
}

impl Layer for Upsample {
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
        let ([_, h, w], [channels, height, width], f) = (self.input, self.output, self.factor);
        let plane = |c: usize| (0..height * width).map(move |p| (c * h + p / width / f) * w + p % width / f);
        Some(Plain::Rearrange { from: (0..channels).flat_map(plane).map(|i| i as u32).collect(), fill: 0.0 })
    }

    fn character(&self) -> Character {
        Character::Rearranges
    }

    fn describe(&self) -> String {
        format!("upsample nearest ×{}", self.factor)
    }
}
