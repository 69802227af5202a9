//! Softmax along one axis, and its logarithm.

use super::{Made, OperatorKind, join, split};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Layer, OneInput, Operator, Pass, Plain, Rows, Tangents};
use burn::tensor::activation;
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "softmax",
    inputs: Some(1),
    about: "softmax along the middle axis of [outer, size, inner]; keys: outer, size, inner, log = false (its logarithm)",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    outer: usize,
    size: usize,
    inner: usize,
    #[serde(default)]
    log: bool,
}

struct Softmax {
    sizes: [usize; 3],
    log: bool,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let sizes = [c.outer, c.size, c.inner];
    made.reads(0, "size", &sizes)?;
    made.same_size()?;
    Ok(OneInput::of(Box::new(Softmax { sizes, log: c.log, shape: made.shape })))
}

impl Layer for Softmax {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        let x = split(x, self.sizes);
        join(if self.log { activation::log_softmax(x, 2) } else { activation::softmax(x, 2) })
    }

    // With a the softmax: ∂aₛ = aₛ (tₛ − Σ aᵣ tᵣ); for the logarithm the factor aₛ is missing.
    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let ([outer, size, inner], n, k) = (self.sizes, x.dims()[0], t.directions());
        let a = activation::softmax(split(x.clone(), self.sizes), 2).reshape([n, 1, outer, size, inner]);
        let t = t.expanded(n).reshape([n, k, outer, size, inner]);
        let moved = t.clone() - (t * a.clone()).sum_dim(3);
        let moved = if self.log { moved } else { moved * a };
        (self.forward(x, pass), Tangents::per_sample(moved.reshape([n * k, outer * size * inner]), k))
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        Some(Plain::Softmax { sizes: self.sizes, log: self.log })
    }

    fn describe(&self) -> String {
        format!("{} of {} values", if self.log { "log_softmax" } else { "softmax" }, self.sizes[1])
    }
}
