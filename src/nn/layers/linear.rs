//! y = x·Wᵀ + b on the flattened sample, with W `[out, in]` and b `[out]`.

use crate::error::Result;
use crate::nn::{
    Build, Character, Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, check_range, parse_layer,
    product,
};
use crate::nn::{HostParameters, Plain, PlainGather, Tap};
use burn::tensor::Tensor;

pub const KIND: LayerKind =
    LayerKind { name: "linear", about: "x Wᵀ + b; keys: key, out, bias = true", build: Build::Layer(build) };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: String,
    out: usize,
    #[serde(default = "yes")]
    bias: bool,
}

fn yes() -> bool {
    true
}

struct Linear {
    weight: String,
    bias: Option<String>,
    fan_in: usize,
    output: [usize; 1],
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    check_range("out", c.out, 1..=1 << 24)?;
    Ok(Box::new(Linear {
        weight: format!("{}.weight", c.key),
        bias: c.bias.then(|| format!("{}.bias", c.key)),
        fan_in: input.iter().product(),
        output: [c.out],
    }))
}

impl Linear {
    /// Wᵀ, `[in, out]`.
    fn weight(&self, pass: &Pass) -> Tensor<2> {
        pass.parameters.shaped(&self.weight, [self.output[0], self.fan_in]).transpose()
    }
}

impl Layer for Linear {
    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let init = Init::FanIn(self.fan_in);
        into.push(ParameterSpec {
            key: self.weight.clone(),
            shape: vec![self.output[0], self.fan_in],
            init,
            role: Role::Weight,
        });
        if let Some(bias) = &self.bias {
            into.push(ParameterSpec { key: bias.clone(), shape: self.output.to_vec(), init, role: Role::Vector });
        }
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let y = product(x, self.weight(pass));
        match &self.bias {
            Some(b) => y + pass.parameters.shaped(b, [1, self.output[0]]),
            None => y,
        }
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        (self.forward(x, pass), t.map(|t| product(t, self.weight(pass))))
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        Some(Plain::Gather(PlainGather {
            channels: self.fan_in,
            area: 1,
            outputs: self.output[0],
            taps: vec![vec![Tap { place: 0, matrix: 0 }]],
            bias: self.bias.as_ref().map(|b| parameters.get(b).to_vec()),
            weight: parameters.get(&self.weight).to_vec(),
            strides: [0, 1, self.fan_in],
            grid: None,
        }))
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    fn describe(&self) -> String {
        let bias = if self.bias.is_some() { "" } else { ", no bias" };
        format!("linear {} → {}{bias}", self.fan_in, self.output[0])
    }
}
