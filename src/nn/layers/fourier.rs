//! Fourier features of the first value x of a row: sin(f·x) and cos(f·x) at several frequencies f, followed by the
//! other values of the row, unchanged. They turn the noise level or time at the start of an embedding into something
//! that a linear layer can tell apart.

use crate::error::{Error, Result};
use crate::nn::{
    Build, Character, Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, check_range, parse_layer,
};
use burn::tensor::{Tensor, TensorData};

pub const KIND: LayerKind = LayerKind {
    name: "fourier",
    about: "[sin(f·x), cos(f·x) − offset] of the first value, the rest behind; keys: count, low = 1, high = 1000 (frequencies \
        between them, geometric) or key (a tensor of frequencies), offset = 0",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    count: usize,
    #[serde(default)]
    key: Option<String>,
    #[serde(default = "one")]
    low: f64,
    #[serde(default = "thousand")]
    high: f64,
    #[serde(default)]
    offset: f64,
}

fn one() -> f64 {
    1.0
}

fn thousand() -> f64 {
    1000.0
}

struct Fourier {
    config: Config,
    rest: usize,
    shape: [usize; 1],
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    check_range("count", c.count, 1..=1 << 12)?;
    if !(c.low > 0.0 && c.low <= c.high && c.high < 1e9) {
        return Err(Error::key("low", format!("expected 0 < low ≤ high < 1e9, found {} and {}", c.low, c.high)));
    }
    if !(-1.0..=1.0).contains(&c.offset) {
        return Err(Error::key("offset", format!("expected -1 to 1, found {}", c.offset)));
    }
    let [width] = input[..] else {
        return Err(Error::key("", format!("expected a row of values, found shape {input:?}")));
    };
    Ok(Box::new(Fourier { shape: [2 * c.count + width - 1], rest: width - 1, config: c }))
}

impl Fourier {
    /// The frequencies, `[1, count]`, with the number type and device of `like`.
    fn frequencies(&self, like: &Rows, pass: &Pass) -> Rows {
        let n = self.config.count;
        if let Some(key) = &self.config.key {
            return pass.parameters.shaped(key, [1, n]);
        }
        let step = |i: usize| if n > 1 { i as f64 / (n - 1) as f64 } else { 0.0 };
        let (low, high) = (self.config.low.ln(), self.config.high.ln());
        let values: Vec<f64> = (0..n).map(|i| (low + step(i) * (high - low)).exp()).collect();
        Tensor::from_data(TensorData::new(values, [1, n]), (&like.device(), like.dtype()))
    }

    /// f·x for every row and frequency, `[n, count]`.
    fn phases(&self, x: &Rows, pass: &Pass) -> Rows {
        x.clone().narrow(1, 0, 1) * self.frequencies(x, pass)
    }

    fn join(&self, sin: Rows, cos: Rows, x: Rows) -> Rows {
        let mut parts = vec![sin, cos];
        if self.rest > 0 {
            parts.push(x.narrow(1, 1, self.rest));
        }
        Tensor::cat(parts, 1)
    }
}

impl Layer for Fourier {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        if let Some(key) = &self.config.key {
            let shape = vec![self.config.count];
            into.push(ParameterSpec { key: key.clone(), shape, init: Init::Constant(1.0), role: Role::Statistic });
        }
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let phases = self.phases(&x, pass);
        self.join(phases.clone().sin(), phases.cos() - self.config.offset, x)
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let [n, width] = x.dims();
        let phases = self.phases(&x, pass);
        let (sin, cos) = (phases.clone().sin(), phases.cos());
        let cube = t.expanded(n);
        let k = cube.dims()[1];
        let f = self.frequencies(&x, pass).reshape([1, 1, self.config.count]);
        let along = cube.clone().narrow(2, 0, 1) * f;
        let wave = |slope: Rows| along.clone() * slope.reshape([n, 1, self.config.count]);
        let mut parts = vec![wave(cos.clone()), wave(sin.clone().neg())];
        if self.rest > 0 {
            parts.push(cube.narrow(2, 1, width - 1));
        }
        let moved = Tensor::cat(parts, 2).reshape([n * k, self.shape[0]]);
        (self.join(sin, cos - self.config.offset, x), Tangents::per_sample(moved, k))
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn describe(&self) -> String {
        format!("fourier {} frequencies", self.config.count)
    }
}
