//! Each group of neighbouring values brought to mean 0 and variance 1, or to mean square 1.

use super::{Line, Made, OperatorKind};
use crate::error::{Error, Result};
use crate::nn::{Character, HostParameters, Layer, OneInput, Operator, ParameterSpec, Pass, Plain, Rows, Tangents};
use burn::tensor::Tensor;
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "normalise",
    inputs: Some(1),
    about: "(x − mean)/√(variance + eps) of each row of [outer, size]; keys: outer, size, eps, centred = true (else the \
        mean counts as 0); then scale·x + shift with a pair for each of mid runs of inner values, over and over: keys \
        mid, inner, scale = 1, shift = 0 (tensors [mid])",
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
    #[serde(default)]
    mid: Option<usize>,
    #[serde(default)]
    inner: Option<usize>,
    #[serde(default)]
    scale: Option<String>,
    #[serde(default)]
    shift: Option<String>,
}

fn yes() -> bool {
    true
}

struct Normalise {
    outer: usize,
    size: usize,
    eps: f64,
    centred: bool,
    /// What follows; its sizes have nothing to do with the groups.
    line: Line,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let Config { outer, size, eps, centred, mid, inner, scale, shift } = made.keys()?;
    if !(0.0..1e3).contains(&eps) {
        return Err(Error::key("eps", format!("expected a number from 0 to 1000, found {eps}")));
    }
    made.reads(0, "size", &[outer, size])?;
    made.same_size()?;
    let features = made.size(0);
    let [mid, inner] = match (mid, inner, scale.is_some() || shift.is_some()) {
        (Some(mid), Some(inner), true) => [mid, inner],
        (None, None, false) => [1, features],
        _ => return Err(Error::key("mid", "expected mid and inner where there is a scale or shift, and nowhere else")),
    };
    let run = mid.checked_mul(inner).filter(|run| *run > 0 && features.is_multiple_of(*run));
    let run = run.ok_or_else(|| Error::key("mid", format!("expected mid times inner to divide {features} values")))?;
    let line = Line { sizes: [features / run, mid, inner], scale, shift };
    Ok(OneInput::of(Box::new(Normalise { outer, size, eps, centred, line, shape: made.shape })))
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

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        self.line.parameters(into);
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        self.line.of(self.rows(self.parts(x).0), pass)
    }

    // ∂x̂ = (t − mean(t) − x̂ · mean(x̂ t))/std, without mean(t) where the mean counts as 0.
    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let (n, k) = (x.dims()[0], t.directions());
        let (normalised, inverse_std) = self.parts(x);
        let t = t.expanded(n).reshape([n, k, self.outer, self.size]);
        let hat = normalised.clone().reshape([n, 1, self.outer, self.size]);
        let along = (t.clone() * hat.clone()).mean_dim(3);
        let t = if self.centred { t.clone() - t.mean_dim(3) } else { t };
        let moved = (t - hat * along) * inverse_std.reshape([n, 1, self.outer, 1]);
        let moved = Tangents::per_sample(moved.reshape([n * k, self.outer * self.size]), k);
        (self.line.of(self.rows(normalised), pass), moved.map(|t| self.line.scaled(t, pass)))
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let ([scale, shift], area) = (self.line.pairs(parameters), self.line.sizes[2]);
        Some(Plain::Norm { scale, shift, eps: self.eps, group: self.size, area, centred: self.centred })
    }

    fn describe(&self) -> String {
        let what = if self.centred { "" } else { ", mean square only" };
        format!("normalise {} groups of {}{what}", self.outer, self.size)
    }
}
