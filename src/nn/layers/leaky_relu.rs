//! x for x > 0, slope·x otherwise; piecewise linear.

use crate::error::{Error, Result};
use crate::nn::{Build, Elementwise, ElementwiseRule, Layer, LayerKind, Rows, parse_layer};
use burn::tensor::activation;

pub const KIND: LayerKind = LayerKind {
    name: "leaky_relu",
    about: "x where positive, slope·x elsewhere; keys: slope = 0.01",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LeakyRelu {
    #[serde(default = "slope")]
    slope: f64,
}

fn slope() -> f64 {
    0.01
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let rule: LeakyRelu = parse_layer(table)?;
    if !rule.slope.is_finite() || rule.slope.abs() > 1e3 {
        return Err(Error::key("slope", format!("expected a number between -1000 and 1000, found {}", rule.slope)));
    }
    Ok(Box::new(Elementwise::new(rule, input)))
}

impl ElementwiseRule for LeakyRelu {
    fn value(&self, x: Rows) -> Rows {
        activation::leaky_relu(x, self.slope)
    }

    fn slope(&self, x: Rows, _: Rows) -> Rows {
        x.greater_scalar(0.0).float() * (1.0 - self.slope) + self.slope
    }

    fn at(&self, x: f32) -> (f32, f32) {
        let slope = if x > 0.0 { 1.0 } else { self.slope as f32 };
        (x * slope, slope)
    }

    fn is_piecewise_linear(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("leaky_relu slope {}", self.slope)
    }
}
