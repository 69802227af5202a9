//! Batch normalisation over the channels of `[channels, height, width]`, or over `[features]`. With frozen statistics,
//! as everywhere except in training, it is a fixed scale and shift per channel and so piecewise linear. A training pass
//! normalises by the batch itself (with the biased variance) and reports mean and unbiased variance for the running
//! ones.

use crate::error::{Error, Result};
use crate::nn::{Build, Character, Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, parse_layer};
use crate::nn::{HostParameters, Plain};
use burn::tensor::Tensor;

pub const KIND: LayerKind = LayerKind {
    name: "batch_norm",
    about: "(x − mean)/√(var + eps)·weight + bias per channel, running statistics unless training; keys: key, eps = 1e-5",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: String,
    #[serde(default = "eps")]
    eps: f64,
}

fn eps() -> f64 {
    1e-5
}

struct BatchNorm {
    key: String,
    eps: f64,
    shape: Vec<usize>,
    channels: usize,
    area: usize,
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    if !(c.eps > 0.0 && c.eps < 1.0) {
        return Err(Error::key("eps", format!("expected a number between 0 and 1, found {}", c.eps)));
    }
    let Some((&channels, rest)) = input.split_first() else {
        return Err(Error::key("", "expected an input with channels"));
    };
    Ok(Box::new(BatchNorm { key: c.key, eps: c.eps, shape: input.to_vec(), channels, area: rest.iter().product() }))
}

impl BatchNorm {
    /// A tensor of the layer, `[1, channels, 1]`.
    fn channelwise(&self, name: &str, pass: &Pass) -> Tensor<3> {
        pass.parameters.shaped(&format!("{}.{name}", self.key), [1, self.channels, 1])
    }

    /// weight / √(running variance + eps), as `[1, channels, 1]`.
    fn frozen_scale(&self, pass: &Pass) -> Tensor<3> {
        self.channelwise("weight", pass) / (self.channelwise("running_var", pass) + self.eps).sqrt()
    }

    fn cube(&self, x: Rows) -> Tensor<3> {
        let [n, _] = x.dims();
        x.reshape([n, self.channels, self.area])
    }

    fn rows(&self, x: Tensor<3>) -> Rows {
        let [n, c, a] = x.dims();
        x.reshape([n, c * a])
    }

    /// A training pass over `[n, channels, area]`. It adds the batch's mean and unbiased variance to `statistics`.
    fn train(&self, x: Tensor<3>, pass: &Pass, statistics: &std::cell::RefCell<Vec<(String, Tensor<1>)>>) -> Tensor<3> {
        let [n, _, area] = x.dims();
        let mean = x.clone().mean_dims(&[0, 2]);
        let centred = x - mean.clone();
        let var = (centred.clone() * centred.clone()).mean_dims(&[0, 2]);
        let count = (n * area) as f64;
        let unbiased = var.clone().inner() * (count / (count - 1.0).max(1.0));
        statistics.borrow_mut().extend([
            (format!("{}.running_mean", self.key), mean.inner().reshape([self.channels])),
            (format!("{}.running_var", self.key), unbiased.reshape([self.channels])),
        ]);
        centred / (var + self.eps).sqrt() * self.channelwise("weight", pass) + self.channelwise("bias", pass)
    }
}

impl Layer for BatchNorm {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let all = [
            ("weight", 1.0, Role::Vector),
            ("bias", 0.0, Role::Vector),
            ("running_mean", 0.0, Role::Statistic),
            ("running_var", 1.0, Role::Statistic),
        ];
        into.extend(all.map(|(name, value, role)| ParameterSpec {
            key: format!("{}.{name}", self.key),
            shape: vec![self.channels],
            init: Init::Constant(value),
            role,
        }));
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let x = self.cube(x);
        if let Some(statistics) = pass.batch_statistics {
            return self.rows(self.train(x, pass, statistics));
        }
        let centred = x - self.channelwise("running_mean", pass);
        self.rows(centred * self.frozen_scale(pass) + self.channelwise("bias", pass))
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let frozen = Pass::frozen(pass.parameters);
        (self.forward(x, &frozen), t.map(|t| self.rows(self.cube(t) * self.frozen_scale(pass))))
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| parameters.get(&format!("{}.{name}", self.key)));
        let scale: Vec<f32> = weight.iter().zip(variance).map(|(w, v)| w / (v + self.eps as f32).sqrt()).collect();
        let shift = bias.iter().zip(mean.iter().zip(&scale)).map(|(b, (m, s))| b - m * s).collect();
        Some(Plain::Affine { scale, shift, area: self.area })
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    fn describe(&self) -> String {
        format!("batch_norm {} channels (frozen)", self.channels)
    }
}
