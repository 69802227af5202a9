//! The quotient of two inputs, value by value.

use super::{Made, OperatorKind};
use crate::error::Result;
use crate::nn::{Character, Operator, Pointwise, PointwiseRule, Rows};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind { name: "quotient", inputs: Some(2), about: "a/b, value by value", build };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Quotient {}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    made.same_size()?;
    Ok(Arc::new(Pointwise::new(made.keys::<Quotient>()?, &made.shape)))
}

impl PointwiseRule for Quotient {
    fn inputs(&self) -> usize {
        2
    }

    fn value(&self, x: &[Rows]) -> Rows {
        x[0].clone() / x[1].clone()
    }

    fn slopes(&self, x: &[Rows], y: &Rows) -> Vec<Option<Rows>> {
        vec![Some(x[1].clone().recip()), Some((y.clone() / x[1].clone()).neg())]
    }

    fn at(&self, [a, b, _]: [f32; 3]) -> (f32, [f32; 3]) {
        (a / b, [1.0 / b, -(a / b) / b, 0.0])
    }

    fn replace_each(&self, x: &mut [f32], [other, _]: [&[f32]; 2]) {
        x.iter_mut().zip(other).for_each(|(x, other)| *x /= other);
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn describe(&self) -> String {
        "quotient".into()
    }
}
