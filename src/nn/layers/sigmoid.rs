//! 1/(1 + exp(−x)).

use crate::error::Result;
use crate::nn::{Build, Elementwise, ElementwiseRule, Layer, LayerKind, Rows, fast, parse_layer};
use burn::tensor::activation;

pub const KIND: LayerKind = LayerKind { name: "sigmoid", about: "1/(1 + exp(−x))", build: Build::Layer(build) };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Sigmoid {}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    Ok(Box::new(Elementwise::new(parse_layer::<Sigmoid>(table)?, input)))
}

impl ElementwiseRule for Sigmoid {
    fn value(&self, x: Rows) -> Rows {
        activation::sigmoid(x)
    }

    // u/(1 + u)² with u = exp(−|x|) keeps its digits where y·(1 − y) would round to 0.
    fn slope(&self, x: Rows, _: Rows) -> Rows {
        let u = x.abs().neg().exp();
        let sum = u.clone() + 1.0;
        u / (sum.clone() * sum)
    }

    fn at(&self, x: f32) -> (f32, f32) {
        let u = (-x.abs()).exp();
        let y = if x < 0.0 { u / (1.0 + u) } else { 1.0 / (1.0 + u) };
        (y, u / ((1.0 + u) * (1.0 + u)))
    }

    fn replace_each(&self, x: &mut [f32]) {
        fast::each(x, fast::sigmoid);
    }

    fn is_piecewise_linear(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        "sigmoid".into()
    }
}
