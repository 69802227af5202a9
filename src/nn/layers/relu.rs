//! max(x, 0); piecewise linear.

use crate::error::Result;
use crate::nn::{Build, Elementwise, ElementwiseRule, Layer, LayerKind, Rows, parse_layer};
use burn::tensor::activation;

pub const KIND: LayerKind = LayerKind { name: "relu", about: "max(x, 0)", build: Build::Layer(build) };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Relu {}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    Ok(Box::new(Elementwise::new(parse_layer::<Relu>(table)?, input)))
}

impl ElementwiseRule for Relu {
    fn value(&self, x: Rows) -> Rows {
        activation::relu(x)
    }

    fn slope(&self, x: Rows, _: Rows) -> Rows {
        x.greater_scalar(0.0).float()
    }

    fn at(&self, x: f32) -> (f32, f32) {
        if x > 0.0 { (x, 1.0) } else { (0.0, 0.0) }
    }

    fn is_piecewise_linear(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "relu".into()
    }
}
