//! The greater or the smaller of two inputs, value by value.

use super::{Made, OperatorKind};
use crate::error::Result;
use crate::nn::{Character, Operator, Pointwise, PointwiseRule, Rows};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "extreme",
    inputs: Some(2),
    about: "the greater or smaller of two values, the first of equal ones; keys: function = max or min",
    build,
};

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Function {
    Max,
    Min,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Extreme {
    function: Function,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    made.same_size()?;
    Ok(Arc::new(Pointwise::new(made.keys::<Extreme>()?, &made.shape)))
}

impl PointwiseRule for Extreme {
    fn inputs(&self) -> usize {
        2
    }

    fn value(&self, x: &[Rows]) -> Rows {
        match self.function {
            Function::Max => x[0].clone().mask_where(x[1].clone().greater(x[0].clone()), x[1].clone()),
            Function::Min => x[0].clone().mask_where(x[1].clone().lower(x[0].clone()), x[1].clone()),
        }
    }

    fn slopes(&self, x: &[Rows], _: &Rows) -> Vec<Option<Rows>> {
        let second = match self.function {
            Function::Max => x[1].clone().greater(x[0].clone()),
            Function::Min => x[1].clone().lower(x[0].clone()),
        };
        let of = |mask: burn::tensor::Tensor<2, burn::tensor::Bool>| Some(mask.float().cast(x[0].dtype()));
        vec![of(second.clone().bool_not()), of(second)]
    }

    fn at(&self, [a, b, _]: [f32; 3]) -> (f32, [f32; 3]) {
        let second = match self.function {
            Function::Max => b > a,
            Function::Min => b < a,
        };
        if second { (b, [0.0, 1.0, 0.0]) } else { (a, [1.0, 0.0, 0.0]) }
    }

    fn character(&self) -> Character {
        Character::PiecewiseLinear
    }

    fn tap(&self, x: &[Rows]) -> Option<Rows> {
        Some(x[0].clone() - x[1].clone())
    }

    fn describe(&self) -> String {
        match self.function {
            Function::Max => "greater of two".into(),
            Function::Min => "smaller of two".into(),
        }
    }
}
