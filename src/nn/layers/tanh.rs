//! tanh(x).

use crate::error::Result;
use crate::nn::{Build, Elementwise, ElementwiseRule, Layer, LayerKind, Rows, fast, parse_layer};

pub const KIND: LayerKind = LayerKind { name: "tanh", about: "tanh(x)", build: Build::Layer(build) };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Tanh {}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    Ok(Box::new(Elementwise::new(parse_layer::<Tanh>(table)?, input)))
}

impl ElementwiseRule for Tanh {
    fn value(&self, x: Rows) -> Rows {
        x.tanh()
    }

    // 4u/(1 + u)² with u = exp(−2|x|), because 1 − y² loses all its digits where tanh saturates.
    fn slope(&self, x: Rows, _: Rows) -> Rows {
        let u = (x.abs() * -2.0).exp();
        let sum = u.clone() + 1.0;
        u * 4.0 / (sum.clone() * sum)
    }

    // (1 − u)/(1 + u) is tanh too. It reuses u, and it is just as exact where u is not near 1.
    fn at(&self, x: f32) -> (f32, f32) {
        let u = (-2.0 * x.abs()).exp();
        let y = if u < 0.5 { ((1.0 - u) / (1.0 + u)).copysign(x) } else { x.tanh() };
        (y, 4.0 * u / ((1.0 + u) * (1.0 + u)))
    }

    fn replace_each(&self, x: &mut [f32]) {
        fast::each(x, fast::tanh);
    }

    fn is_piecewise_linear(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        "tanh".into()
    }
}
