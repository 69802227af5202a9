//! f₀·a + f₁·b of two inputs of the same number of values.

use super::{Made, OperatorKind};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Operator, Pass, Plain, Rows, Tangents};
use std::sync::Arc;

pub const KIND: OperatorKind =
    OperatorKind { name: "sum", inputs: Some(2), about: "f₀·a + f₁·b; keys: factors = [1, 1]", build };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "ones")]
    factors: [f32; 2],
}

fn ones() -> [f32; 2] {
    [1.0; 2]
}

/// The sum of two values, each times a factor.
pub struct Sum {
    shape: Vec<usize>,
    factors: [f32; 2],
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    made.same_size()?;
    Ok(Arc::new(Sum::new(&made.shape, c.factors)))
}

impl Sum {
    /// The sum of values of the per-sample `shape`.
    pub fn new(shape: &[usize], factors: [f32; 2]) -> Self {
        Self { shape: shape.to_vec(), factors }
    }
}

/// x times a factor, untouched by 1.
fn times(x: Rows, factor: f32) -> Rows {
    if factor == 1.0 { x } else { x * factor }
}

impl Operator for Sum {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Vec<Rows>, _: &Pass) -> Rows {
        let terms = x.into_iter().zip(self.factors).map(|(x, f)| times(x, f));
        #[allow(clippy::expect_used)] // A sum has two inputs.
        terms.reduce(|a, b| a + b).expect("a sum has two inputs")
    }

    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, pass: &Pass) -> (Rows, Option<Tangents>) {
        let terms = t.into_iter().zip(self.factors).filter_map(|(t, f)| Some(t?.map(|t| times(t, f))));
        let t = terms.reduce(Tangents::plus);
        (self.forward(x, pass), t)
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    fn plain(&self, _: &HostParameters) -> Option<Vec<Plain>> {
        Some(vec![Plain::Sum(self.factors)])
    }

    fn describe(&self) -> String {
        match self.factors {
            [1.0, 1.0] => "sum".into(),
            [1.0, -1.0] => "difference".into(),
            [a, b] => format!("sum {a}·a + {b}·b"),
        }
    }
}
