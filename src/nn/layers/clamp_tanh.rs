//! scale·tanh(x/scale): a soft clamp to ±scale, the identity near 0.

use crate::error::{Error, Result};
use crate::nn::{Build, Elementwise, ElementwiseRule, Layer, LayerKind, Rows, parse_layer};

pub const KIND: LayerKind = LayerKind {
    name: "clamp_tanh",
    about: "scale·tanh(x/scale), a soft clamp; keys: scale",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ClampTanh {
    scale: f64,
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let rule: ClampTanh = parse_layer(table)?;
    if !(rule.scale.is_finite() && rule.scale > 0.0) {
        return Err(Error::key("scale", format!("expected a positive number, found {}", rule.scale)));
    }
    Ok(Box::new(Elementwise::new(rule, input)))
}

impl ElementwiseRule for ClampTanh {
    fn value(&self, x: Rows) -> Rows {
        (x / self.scale).tanh() * self.scale
    }

    // As for tanh: 4u/(1 + u)² with u = exp(−2|x|/scale).
    fn slope(&self, x: Rows, _: Rows) -> Rows {
        let u = (x.abs() * (-2.0 / self.scale)).exp();
        let sum = u.clone() + 1.0;
        u * 4.0 / (sum.clone() * sum)
    }

    fn at(&self, x: f32) -> (f32, f32) {
        let scale = self.scale as f32;
        let u = (-2.0 * x.abs() / scale).exp();
        ((x / scale).tanh() * scale, 4.0 * u / ((1.0 + u) * (1.0 + u)))
    }

    fn is_piecewise_linear(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("clamp_tanh scale {}", self.scale)
    }
}
