//! y = scale·x + shift, with one pair for each place along an axis.

use super::{Made, OperatorKind, join, split, tensor};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Layer, OneInput, Operator, ParameterSpec, Pass, Plain, Rows, Tangents};
use burn::tensor::Tensor;
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "affine",
    inputs: Some(1),
    about: "scale·x + shift along the middle axis of [outer, mid, inner]; keys: outer, mid, inner, scale = 1, shift = 0 \
        (tensors [mid])",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    outer: usize,
    mid: usize,
    inner: usize,
    #[serde(default)]
    scale: Option<String>,
    #[serde(default)]
    shift: Option<String>,
}

struct Affine {
    sizes: [usize; 3],
    scale: Option<String>,
    shift: Option<String>,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let sizes = [c.outer, c.mid, c.inner];
    made.reads(0, "mid", &sizes)?;
    made.same_size()?;
    Ok(OneInput::of(Box::new(Affine { sizes, scale: c.scale, shift: c.shift, shape: made.shape })))
}

impl Affine {
    fn along(&self, key: &str, pass: &Pass) -> Tensor<4> {
        pass.parameters.shaped(key, [1, 1, self.sizes[1], 1])
    }

    fn scaled(&self, x: Rows, pass: &Pass) -> Rows {
        match &self.scale {
            Some(key) => join(split(x, self.sizes) * self.along(key, pass)),
            None => x,
        }
    }
}

impl Layer for Affine {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        into.extend([&self.scale, &self.shift].into_iter().flatten().map(|key| tensor(key, vec![self.sizes[1]])));
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let y = self.scaled(x, pass);
        match &self.shift {
            Some(key) => join(split(y, self.sizes) + self.along(key, pass)),
            None => y,
        }
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        (self.forward(x, pass), t.map(|t| self.scaled(t, pass)))
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let [outer, mid, inner] = self.sizes;
        let each = |key: &Option<String>, otherwise: f32| match key {
            Some(key) => parameters.get(key).repeat(outer),
            None => vec![otherwise; outer * mid],
        };
        Some(Plain::Affine { scale: each(&self.scale, 1.0), shift: each(&self.shift, 0.0), area: inner })
    }

    fn describe(&self) -> String {
        let what = match (&self.scale, &self.shift) {
            (Some(_), Some(_)) => "scale and shift",
            (Some(_), None) => "scale",
            _ => "shift",
        };
        format!("affine, {what} of {} values", self.sizes[1])
    }
}
