//! x·sigmoid(x), also called swish.

use crate::error::Result;
use crate::nn::{Build, Elementwise, ElementwiseRule, Layer, LayerKind, Rows, fast, parse_layer};
use burn::tensor::activation;

pub const KIND: LayerKind = LayerKind { name: "silu", about: "x·sigmoid(x)", build: Build::Layer(build) };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Silu {}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    Ok(Box::new(Elementwise::new(parse_layer::<Silu>(table)?, input)))
}

impl ElementwiseRule for Silu {
    fn value(&self, x: Rows) -> Rows {
        activation::silu(x)
    }

    // s + x·s·(1 − s) with s = sigmoid(x).
    fn slope(&self, x: Rows, _: Rows) -> Rows {
        let s = activation::sigmoid(x.clone());
        s.clone() + x * s.clone() * (s.neg() + 1.0)
    }

    fn at(&self, x: f32) -> (f32, f32) {
        let s = 1.0 / (1.0 + (-x).exp());
        (x * s, s + x * s * (1.0 - s))
    }

    fn replace_each(&self, x: &mut [f32]) {
        fast::each(x, fast::silu);
    }

    fn is_piecewise_linear(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        "silu".into()
    }
}
