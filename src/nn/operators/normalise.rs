//! Each group of neighbouring values brought to mean 0 and variance 1, or to mean square 1.

use super::{Made, OperatorKind};
use crate::error::{Error, Result};
use crate::nn::{Character, HostParameters, Layer, OneInput, Operator, Pass, Plain, Rows, Tangents};
use burn::tensor::Tensor;
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "normalise",
    inputs: Some(1),
    about: "(x − mean)/√(variance + eps) of each row of [outer, size]; keys: outer, size, eps, centred = true (else the \
        mean counts as 0)",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    outer: usize,
    size: usize,
    eps: f64,
    #[serde(default = "yes")]
    centred: bool,
}

fn yes() -> bool {
    true
}

struct Normalise {
    outer: usize,
    size: usize,
    eps: f64,
    centred: bool,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let Config { outer, size, eps, centred } = made.keys()?;
    if !(0.0..1e3).contains(&eps) {
        return Err(Error::key("eps", format!("expected a number from 0 to 1000, found {eps}")));
    }
    made.reads(0, "size", &[outer, size])?;
    made.same_size()?;
    Ok(OneInput::of(Box::new(Normalise { outer, size, eps, centred, shape: made.shape })))
}

impl Normalise {
    /// The normalised values x̂, `[n, outer, size]`, and 1/std, `[n, outer, 1]`.
    fn parts(&self, x: Rows) -> (Tensor<3>, Tensor<3>) {
        let [n, _] = x.dims();
        let x = x.reshape([n, self.outer, self.size]);
        let x = if self.centred { x.clone() - x.mean_dim(2) } else { x };
        let inverse_std = ((x.clone() * x.clone()).mean_dim(2) + self.eps).sqrt().recip();
        (x * inverse_std.clone(), inverse_std)
    }

    fn rows(&self, x: Tensor<3>) -> Rows {
        let [n, outer, size] = x.dims();
        x.reshape([n, outer * size])
    }
}

impl Layer for Normalise {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        self.rows(self.parts(x).0)
    }

    // ∂y = (t − mean(t) − x̂ · mean(x̂ t))/std, without mean(t) where the mean counts as 0.
    fn tangent(&self, x: Rows, t: Tangents, _: &Pass) -> (Rows, Tangents) {
        let (n, k) = (x.dims()[0], t.directions());
        let (normalised, inverse_std) = self.parts(x);
        let t = t.expanded(n).reshape([n, k, self.outer, self.size]);
        let hat = normalised.clone().reshape([n, 1, self.outer, self.size]);
        let along = (t.clone() * hat.clone()).mean_dim(3);
        let t = if self.centred { t.clone() - t.mean_dim(3) } else { t };
        let moved = (t - hat * along) * inverse_std.reshape([n, 1, self.outer, 1]);
        (self.rows(normalised), Tangents::per_sample(moved.reshape([n * k, self.outer * self.size]), k))
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        let one = |v: f32| vec![v; self.outer];
        let (eps, centred) = (self.eps, self.centred);
        Some(Plain::Norm { scale: one(1.0), shift: one(0.0), eps, group: self.size, area: self.size, centred })
    }

    fn describe(&self) -> String {
        let what = if self.centred { "" } else { ", mean square only" };
        format!("normalise {} groups of {}{what}", self.outer, self.size)
    }
}
