//! y = scale·x + shift, with one pair for each place along an axis.

use super::{Line, Made, OperatorKind};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Layer, OneInput, Operator, ParameterSpec, Pass, Plain, Rows, Tangents};
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
    line: Line,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let sizes = [c.outer, c.mid, c.inner];
    made.reads(0, "mid", &sizes)?;
    made.same_size()?;
    let line = Line { sizes, scale: c.scale, shift: c.shift };
    Ok(OneInput::of(Box::new(Affine { line, shape: made.shape })))
}

impl Layer for Affine {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        self.line.parameters(into);
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        self.line.of(x, pass)
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        (self.forward(x, pass), t.map(|t| self.line.scaled(t, pass)))
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let [scale, shift] = self.line.pairs(parameters);
        Some(Plain::Affine { scale, shift, area: self.line.sizes[2] })
    }

    fn describe(&self) -> String {
        let what = match (&self.line.scale, &self.line.shift) {
            (Some(_), Some(_)) => "scale and shift",
            (Some(_), None) => "scale",
            _ => "shift",
        };
        format!("affine, {what} of {} values", self.line.sizes[1])
    }
}
