//! One of two inputs, value by value, as a third says.

use super::{Made, OperatorKind};
use crate::error::Result;
use crate::nn::{Character, Operator, Pointwise, PointwiseRule, Rows};
use std::sync::Arc;

pub const KIND: OperatorKind =
    OperatorKind { name: "select", inputs: Some(3), about: "a where the first input is not 0, else b", build };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Select {}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    made.same_size()?;
    Ok(Arc::new(Pointwise::new(made.keys::<Select>()?, &made.shape)))
}

impl PointwiseRule for Select {
    fn inputs(&self) -> usize {
        3
    }

    fn value(&self, x: &[Rows]) -> Rows {
        x[2].clone().mask_where(x[0].clone().not_equal_scalar(0.0), x[1].clone())
    }

    fn slopes(&self, x: &[Rows], _: &Rows) -> Vec<Option<Rows>> {
        let (first, second) = (x[0].clone().not_equal_scalar(0.0), x[0].clone().equal_scalar(0.0));
        vec![None, Some(first.float().cast(x[1].dtype())), Some(second.float().cast(x[1].dtype()))]
    }

    fn at(&self, [c, a, b]: [f32; 3]) -> (f32, [f32; 3]) {
        if c != 0.0 { (a, [0.0, 1.0, 0.0]) } else { (b, [0.0, 0.0, 1.0]) }
    }

    // It may jump where the first input changes.
    fn character(&self) -> Character {
        Character::Smooth
    }

    fn describe(&self) -> String {
        "select".into()
    }
}
