//! Modulation: the layer through which the condition of a pass (an embedded noise level, a class) enters a network. It
//! shifts each channel, or scales and shifts it, y = x·(1 + a) + b. Tangents treat the condition as constant, so the
//! layer is affine in x.

use crate::error::{Error, Result};
use crate::nn::{
    Build, Character, Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, check_range, parse_layer,
    product,
};
use crate::nn::{HostParameters, Plain};
use burn::tensor::Tensor;
use serde::Deserialize;

pub const KIND: LayerKind = LayerKind {
    name: "modulate",
    about: "y = x·(1 + a) + b with a, b per channel from the pass's condition; keys: width (of the condition), key (a linear \
        map of it; without one the condition itself is b), scale = false",
    build: Build::Layer(build),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    width: usize,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    scale: bool,
}

struct Modulate {
    width: usize,
    key: Option<String>,
    scale: bool,
    channels: usize,
    shape: Vec<usize>,
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    check_range("width", c.width, 1..=1 << 16)?;
    let channels = input.first().copied().unwrap_or(0);
    let needed = channels * (1 + usize::from(c.scale));
    if c.key.is_none() && c.width != needed {
        let message = format!("expected {needed}, the channels of the input, found {}; or give a key", c.width);
        return Err(Error::key("width", message));
    }
    Ok(Box::new(Modulate { width: c.width, key: c.key, scale: c.scale, channels, shape: input.to_vec() }))
}

impl Modulate {
    /// Number of coefficients per sample: one or two for each channel.
    fn outputs(&self) -> usize {
        self.channels * (1 + usize::from(self.scale))
    }

    /// b and, with `scale`, 1 + a, each `[n, channels, 1]`. The condition gives them in this order.
    fn coefficients(&self, pass: &Pass) -> (Tensor<3>, Option<Tensor<3>>) {
        let condition = pass.condition();
        let [n, _] = condition.dims();
        let all = match &self.key {
            None => condition,
            Some(key) => {
                let weight: Rows = pass.parameters.shaped(&format!("{key}.weight"), [self.outputs(), self.width]);
                let bias: Rows = pass.parameters.shaped(&format!("{key}.bias"), [1, self.outputs()]);
                product(condition, weight.transpose()) + bias
            }
        };
        let c = self.channels;
        let part = |i: usize| all.clone().narrow(1, i * c, c).reshape([n, c, 1]);
        (part(0), self.scale.then(|| part(1) + 1.0))
    }

    fn by_channel(&self, x: Rows) -> Tensor<3> {
        let [n, features] = x.dims();
        x.reshape([n, self.channels, features / self.channels])
    }

    fn apply(&self, x: Rows, shift: Tensor<3>, scale: Option<&Tensor<3>>) -> Rows {
        let [n, features] = x.dims();
        let x = self.by_channel(x);
        let scaled = match scale {
            Some(s) => x * s.clone(),
            None => x,
        };
        (scaled + shift).reshape([n, features])
    }
}

impl Layer for Modulate {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let Some(key) = &self.key else { return };
        let init = Init::FanIn(self.width);
        let shape = vec![self.outputs(), self.width];
        into.push(ParameterSpec { key: format!("{key}.weight"), shape, init, role: Role::Weight });
        let shape = vec![self.outputs()];
        into.push(ParameterSpec { key: format!("{key}.bias"), shape, init, role: Role::Vector });
    }

    fn condition_width(&self) -> Option<usize> {
        Some(self.width)
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let (shift, scale) = self.coefficients(pass);
        self.apply(x, shift, scale.as_ref())
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let (shift, scale) = self.coefficients(pass);
        let y = self.apply(x, shift, scale.as_ref());
        let [n, features] = y.dims();
        let t = match scale {
            None => t,
            Some(s) => {
                let slope = s.repeat_dim(2, features / self.channels).reshape([n, features]);
                t.scale(slope)
            }
        };
        (y, t)
    }

    // Under a fixed condition this is a fixed scale and shift per channel.
    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let condition = parameters.condition().filter(|c| c.len() == self.width)?;
        let all: Vec<f32> = match &self.key {
            None => condition.to_vec(),
            Some(key) => {
                let (weight, bias) = (parameters.get(&format!("{key}.weight")), parameters.get(&format!("{key}.bias")));
                let sum =
                    |row: &[f32]| row.iter().zip(condition).map(|(w, c)| f64::from(*w) * f64::from(*c)).sum::<f64>();
                weight.chunks_exact(self.width).zip(bias).map(|(row, b)| (sum(row) + f64::from(*b)) as f32).collect()
            }
        };
        let (shift, scale) = all.split_at(self.channels);
        let scale = if self.scale { scale.iter().map(|s| 1.0 + s).collect() } else { vec![1.0; self.channels] };
        let area = self.shape.iter().skip(1).product();
        Some(Plain::Affine { scale, shift: shift.to_vec(), area })
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    fn describe(&self) -> String {
        let what = if self.scale { "scale and shift" } else { "shift" };
        format!("modulate: {what} of {} channels by {} values", self.channels, self.width)
    }
}
