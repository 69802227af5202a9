//! Functions that are constant in pieces: comparisons, logic and rounding. Their slope is 0 wherever they have one.

use super::{Made, OperatorKind};
use crate::error::{Error, Result, did_you_mean};
use crate::nn::{Character, Operator, Pointwise, PointwiseRule, Rows};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "step",
    inputs: None,
    about: "a comparison, logic or rounding, without slope; keys: function = greater, greater_equal, less, less_equal, \
        equal, and, or, xor, not, floor, ceil, round or sign",
    build,
};

/// A function by its name.
struct Function {
    name: &'static str,
    inputs: usize,
    at: fn(f32, f32) -> f32,
    value: fn(&[Rows]) -> Rows,
}

fn flag(yes: bool) -> f32 {
    f32::from(u8::from(yes))
}

/// 1 where x is not 0, else 0.
fn set(x: &Rows) -> Rows {
    x.clone().not_equal_scalar(0.0).float().cast(x.dtype())
}

fn floats(x: &Rows, mask: burn::tensor::Tensor<2, burn::tensor::Bool>) -> Rows {
    mask.float().cast(x.dtype())
}

static FUNCTIONS: &[Function] = &[
    Function {
        name: "greater",
        inputs: 2,
        at: |a, b| flag(a > b),
        value: |x| floats(&x[0], x[0].clone().greater(x[1].clone())),
    },
    Function {
        name: "greater_equal",
        inputs: 2,
        at: |a, b| flag(a >= b),
        value: |x| floats(&x[0], x[0].clone().greater_equal(x[1].clone())),
    },
    Function {
        name: "less",
        inputs: 2,
        at: |a, b| flag(a < b),
        value: |x| floats(&x[0], x[0].clone().lower(x[1].clone())),
    },
    Function {
        name: "less_equal",
        inputs: 2,
        at: |a, b| flag(a <= b),
        value: |x| floats(&x[0], x[0].clone().lower_equal(x[1].clone())),
    },
    Function {
        name: "equal",
        inputs: 2,
        at: |a, b| flag(a == b),
        value: |x| floats(&x[0], x[0].clone().equal(x[1].clone())),
    },
    Function { name: "and", inputs: 2, at: |a, b| flag(a != 0.0 && b != 0.0), value: |x| set(&x[0]) * set(&x[1]) },
    Function {
        name: "or",
        inputs: 2,
        at: |a, b| flag(a != 0.0 || b != 0.0),
        value: |x| set(&(set(&x[0]) + set(&x[1]))),
    },
    Function {
        name: "xor",
        inputs: 2,
        at: |a, b| flag((a != 0.0) != (b != 0.0)),
        value: |x| set(&(set(&x[0]) - set(&x[1]))),
    },
    Function { name: "not", inputs: 1, at: |a, _| flag(a == 0.0), value: |x| set(&x[0]).neg() + 1.0 },
    Function { name: "floor", inputs: 1, at: |a, _| a.floor(), value: |x| x[0].clone().floor() },
    Function { name: "ceil", inputs: 1, at: |a, _| a.ceil(), value: |x| x[0].clone().ceil() },
    Function { name: "round", inputs: 1, at: |a, _| a.round_ties_even(), value: |x| x[0].clone().round() },
    Function {
        name: "sign",
        inputs: 1,
        at: |a, _| if a == 0.0 { 0.0 } else { a.signum() },
        value: |x| x[0].clone().sign(),
    },
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    function: String,
}

struct Step(&'static Function);

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let Some(function) = FUNCTIONS.iter().find(|f| f.name == c.function) else {
        let known: Vec<&str> = FUNCTIONS.iter().map(|f| f.name).collect();
        return Err(Error::key("function", format!("unknown function{}", did_you_mean(&c.function, known))));
    };
    if made.inputs.len() != function.inputs {
        let message = format!("expected {} inputs of {}, found {}", function.inputs, function.name, made.inputs.len());
        return Err(Error::key("inputs", message));
    }
    made.same_size()?;
    Ok(Arc::new(Pointwise::new(Step(function), &made.shape)))
}

impl PointwiseRule for Step {
    fn inputs(&self) -> usize {
        self.0.inputs
    }

    fn value(&self, x: &[Rows]) -> Rows {
        (self.0.value)(x)
    }

    fn slopes(&self, x: &[Rows], _: &Rows) -> Vec<Option<Rows>> {
        vec![None; x.len()]
    }

    fn at(&self, [a, b, _]: [f32; 3]) -> (f32, [f32; 3]) {
        ((self.0.at)(a, b), [0.0; 3])
    }

    fn character(&self) -> Character {
        Character::Step
    }

    fn describe(&self) -> String {
        self.0.name.into()
    }
}
