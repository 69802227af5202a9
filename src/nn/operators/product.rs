//! The product of two inputs, value by value.

use super::{Made, OperatorKind};
use crate::error::Result;
use crate::nn::{Character, Operator, Pointwise, PointwiseRule, Rows};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind { name: "product", inputs: Some(2), about: "a·b, value by value", build };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    made.same_size()?;
    Ok(Arc::new(Pointwise::new(made.keys::<Product>()?, &made.shape)))
}

impl PointwiseRule for Product {
    fn inputs(&self) -> usize {
        2
    }

    fn value(&self, x: &[Rows]) -> Rows {
        x[0].clone() * x[1].clone()
    }

    fn slopes(&self, x: &[Rows], _: &Rows) -> Vec<Option<Rows>> {
        vec![Some(x[1].clone()), Some(x[0].clone())]
    }

    fn at(&self, [a, b, _]: [f32; 3]) -> (f32, [f32; 3]) {
        (a * b, [b, a, 0.0])
    }

    fn replace_each(&self, x: &mut [f32], [other, _]: [&[f32]; 2]) {
        x.iter_mut().zip(other).for_each(|(x, other)| *x *= other);
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn describe(&self) -> String {
        "product".into()
    }
}
