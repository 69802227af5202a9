//! Operators that work on each entry alone.

use super::super::arithmetic::Op;
use super::super::build::{Live, Value};
use super::super::kind::Kind;
use super::super::shapes::view_of;
use super::super::tensor::{Constant, Element, element_of, type_name};
use super::Call;
use crate::error::Result;

type Made = Result<Vec<Value>>;

fn binary(call: &mut Call, op: Op) -> Made {
    let (a, b) = (call.x(0)?, call.x(1)?);
    Ok(vec![call.build.binary(op, &a, &b)?])
}

pub fn add(call: &mut Call) -> Made {
    binary(call, Op::Add)
}

pub fn sub(call: &mut Call) -> Made {
    binary(call, Op::Sub)
}

pub fn mul(call: &mut Call) -> Made {
    binary(call, Op::Mul)
}

pub fn div(call: &mut Call) -> Made {
    binary(call, Op::Div)
}

pub fn pow(call: &mut Call) -> Made {
    binary(call, Op::Pow)
}

pub fn modulo(call: &mut Call) -> Made {
    let op = if call.int("fmod", 0)? == 0 { Op::Mod } else { Op::Fmod };
    binary(call, op)
}

/// An operation over any number of inputs, from the left.
fn many(call: &mut Call, op: Op) -> Made {
    let mut y = call.x(0)?;
    for at in 1..call.inputs.len() {
        let b = call.x(at)?;
        y = call.build.binary(op, &y, &b)?;
    }
    Ok(vec![y])
}

pub fn max(call: &mut Call) -> Made {
    many(call, Op::Max)
}

pub fn min(call: &mut Call) -> Made {
    many(call, Op::Min)
}

pub fn sum(call: &mut Call) -> Made {
    many(call, Op::Add)
}

pub fn mean(call: &mut Call) -> Made {
    let y = many(call, Op::Add)?;
    let share = (1.0 / call.inputs.len() as f64) as f32;
    Ok(vec![call.build.line(&y[0], share, 0.0)?])
}

/// A function of each entry without parameters.
fn plain(call: &mut Call, function: &'static str) -> Made {
    let x = call.x(0)?;
    Ok(vec![call.build.unary(&x, function, None, None)?])
}

macro_rules! plain {
    ($($name:ident: $function:literal),*) => {
        $(pub fn $name(call: &mut Call) -> Made { plain(call, $function) })*
    };
}

plain!(relu: "relu", softplus: "softplus", sigmoid: "sigmoid", tanh: "tanh", hard_swish: "hard_swish", mish: "mish",
    exp: "exp", log: "log", sqrt: "sqrt", reciprocal: "reciprocal", erf: "erf", sin: "sin", cos: "cos",
    softsign: "softsign");

/// A function of each entry that is known for integers too.
fn on_ints(call: &mut Call, of: fn(i64) -> i64) -> Result<Option<Vec<Value>>> {
    let x = call.x(0)?;
    match x.constant().filter(|c| c.element() == Element::Int) {
        Some(c) => {
            call.build.spend(c.len())?;
            let made = c.as_ints().iter().map(|&v| of(v)).collect();
            Ok(Some(vec![Value::Constant(Constant::ints(c.shape.clone(), made))]))
        }
        None => Ok(None),
    }
}

pub fn abs(call: &mut Call) -> Made {
    match on_ints(call, i64::saturating_abs)? {
        Some(made) => Ok(made),
        None => plain(call, "abs"),
    }
}

pub fn neg(call: &mut Call) -> Made {
    if let Some(made) = on_ints(call, i64::saturating_neg)? {
        return Ok(made);
    }
    let x = call.x(0)?;
    Ok(vec![call.build.line(&x, -1.0, 0.0)?])
}

fn step(call: &mut Call, function: &'static str, element: Element) -> Made {
    let x = call.x(0)?;
    if x.element() != Element::Float && function != "not" {
        return match on_ints(call, if function == "sign" { i64::signum } else { |v| v })? {
            Some(made) => Ok(made),
            None => Ok(vec![call.build.emit(Kind::Step(function), &[&x], x.shape().to_vec(), x.element())?]),
        };
    }
    Ok(vec![call.build.emit(Kind::Step(function), &[&x], x.shape().to_vec(), element)?])
}

pub fn floor(call: &mut Call) -> Made {
    step(call, "floor", Element::Float)
}

pub fn ceil(call: &mut Call) -> Made {
    step(call, "ceil", Element::Float)
}

pub fn round(call: &mut Call) -> Made {
    step(call, "round", Element::Float)
}

pub fn sign(call: &mut Call) -> Made {
    step(call, "sign", Element::Float)
}

pub fn not(call: &mut Call) -> Made {
    step(call, "not", Element::Bool)
}

fn compare(call: &mut Call, function: &'static str) -> Made {
    let (a, b) = (call.x(0)?, call.x(1)?);
    Ok(vec![call.build.compare(function, &a, &b)?])
}

macro_rules! compared {
    ($($name:ident: $function:literal),*) => {
        $(pub fn $name(call: &mut Call) -> Made { compare(call, $function) })*
    };
}

compared!(greater: "greater", greater_equal: "greater_equal", less: "less", less_equal: "less_equal", equal: "equal",
    and: "and", or: "or", xor: "xor");

/// Not equal to itself.
pub fn is_nan(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let equal = call.build.compare("equal", &x, &x)?;
    Ok(vec![call.build.emit(Kind::Step("not"), &[&equal], x.shape().to_vec(), Element::Bool)?])
}

/// Beyond the largest finite number.
pub fn is_inf(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let (above, below) = (call.int("detect_positive", 1)? != 0, call.int("detect_negative", 1)? != 0);
    let number = |v| Value::Constant(Constant::floats(Vec::new(), vec![v]));
    let sides = [(above, "greater", f32::MAX), (below, "less", f32::MIN)];
    let mut found = None;
    for (_, function, bound) in sides.into_iter().filter(|(wanted, ..)| *wanted) {
        let side = call.build.compare(function, &x, &number(bound))?;
        found = Some(match found {
            Some(other) => call.build.compare("or", &other, &side)?,
            None => side,
        });
    }
    match found {
        Some(found) => Ok(vec![found]),
        None => Err(call.build.refuse("it looks for neither sign")),
    }
}

pub fn leaky_relu(call: &mut Call) -> Made {
    let (x, alpha) = (call.x(0)?, call.float("alpha", 0.01)?);
    Ok(vec![call.build.unary(&x, "leaky_relu", Some(alpha), None)?])
}

pub fn elu(call: &mut Call) -> Made {
    let (x, alpha) = (call.x(0)?, call.float("alpha", 1.0)?);
    Ok(vec![call.build.unary(&x, "elu", Some(alpha), None)?])
}

pub fn celu(call: &mut Call) -> Made {
    let (x, alpha) = (call.x(0)?, call.float("alpha", 1.0)?);
    if alpha == 0.0 {
        return Err(call.build.refuse("its alpha is 0, by which it divides"));
    }
    Ok(vec![call.build.unary(&x, "celu", Some(alpha), None)?])
}

pub fn selu(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let (alpha, gamma) = (call.float("alpha", 1.673_263_2)?, call.float("gamma", 1.050_701)?);
    Ok(vec![call.build.unary(&x, "selu", Some(alpha), Some(gamma))?])
}

pub fn hard_sigmoid(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let (alpha, beta) = (call.float("alpha", 0.2)?, call.float("beta", 0.5)?);
    Ok(vec![call.build.unary(&x, "hard_sigmoid", Some(alpha), Some(beta))?])
}

pub fn gelu(call: &mut Call) -> Made {
    let tanh = call.text("approximate", &["none", "tanh"])? == "tanh";
    plain(call, if tanh { "gelu_tanh" } else { "gelu" })
}

pub fn thresholded_relu(call: &mut Call) -> Made {
    let (x, alpha) = (call.x(0)?, call.float("alpha", 1.0)?);
    let number = |v| Value::Constant(Constant::floats(Vec::new(), vec![v]));
    let above = call.build.compare("greater", &x, &number(alpha))?;
    let zero = call.build.spread(&number(0.0), x.shape())?;
    Ok(vec![call.build.emit(Kind::Select, &[&above, &x, &zero], x.shape().to_vec(), Element::Float)?])
}

/// Half the sum or difference of the exponentials of x and -x.
fn hyperbolic(call: &mut Call, factor: f32) -> Made {
    let x = call.x(0)?;
    let back = call.build.line(&x, -1.0, 0.0)?;
    let (up, down) = (call.build.unary(&x, "exp", None, None)?, call.build.unary(&back, "exp", None, None)?);
    Ok(vec![call.build.emit(Kind::Sum([0.5, factor]), &[&up, &down], x.shape().to_vec(), Element::Float)?])
}

pub fn sinh(call: &mut Call) -> Made {
    hyperbolic(call, -0.5)
}

pub fn cosh(call: &mut Call) -> Made {
    hyperbolic(call, 0.5)
}

pub fn tan(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let (sin, cos) = (call.build.unary(&x, "sin", None, None)?, call.build.unary(&x, "cos", None, None)?);
    Ok(vec![call.build.binary(Op::Div, &sin, &cos)?])
}

pub fn clip(call: &mut Call) -> Made {
    let x = call.x(0)?;
    if let (Some(Value::Constant(_)) | None, Some(Value::Constant(_)) | None) = (call.optional(1), call.optional(2)) {
        let (low, high) = (call.number_of(1, "lower bound")?, call.number_of(2, "upper bound")?);
        if low.is_some_and(f32::is_nan) || high.is_some_and(f32::is_nan) {
            return Err(call.build.refuse("a bound is not a number"));
        }
        if x.element() == Element::Float {
            let bound = |v: Option<f32>| v.filter(|v| v.is_finite() && v.abs() < f32::MAX);
            return match (bound(low), bound(high)) {
                (None, None) => Ok(vec![x]),
                (low, high) => Ok(vec![call.build.unary(&x, "clip", low, high)?]),
            };
        }
    }
    let low = match call.optional(1) {
        Some(low) => call.build.binary(Op::Max, &x, &low)?,
        None => x,
    };
    Ok(vec![match call.optional(2) {
        Some(high) => call.build.binary(Op::Min, &low, &high)?,
        None => low,
    }])
}

pub fn prelu(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let Some(slope) = call.constant(1, "slope")? else { return Err(call.build.refuse("its slope is missing")) };
    if super::super::shapes::broadcast(x.shape(), &slope.shape).as_deref() != Some(x.shape()) {
        return Err(call.build.refuse("its slope does not broadcast to its input"));
    }
    let (view, own) = view_of(&slope.shape, x.shape());
    let rank = x.shape().len();
    let from = super::super::shapes::padded(&slope.shape, rank);
    let first = from.iter().position(|&side| side != 1).unwrap_or(0);
    let sides = x.shape()[first..(first + own.len()).min(rank)].to_vec();
    let slope = call.build.middle(&slope, view.mid, &own, sides)?;
    Ok(vec![call.build.emit(Kind::PRelu { slope, view }, &[&x], x.shape().to_vec(), Element::Float)?])
}

/// Nothing at all: `Identity`, and `Dropout` outside of training.
pub fn identity(call: &mut Call) -> Made {
    Ok(vec![call.x(0)?])
}

pub fn dropout(call: &mut Call) -> Made {
    let training = call.constant(2, "training mode")?;
    if training.is_some_and(|t| t.as_bools().contains(&true)) {
        return Err(call.build.refuse("it is in training mode; call module.eval() before the export"));
    }
    identity(call)
}

pub fn cast(call: &mut Call) -> Made {
    cast_to(call, call.int("to", 0)?)
}

pub fn cast_like(call: &mut Call) -> Made {
    let to = match call.x(1)?.element() {
        Element::Float => 1,
        Element::Int => 7,
        Element::Bool => 9,
    };
    cast_to(call, to)
}

fn cast_to(call: &mut Call, to: i64) -> Made {
    let x = call.x(0)?;
    let kind = i32::try_from(to).unwrap_or(0);
    let Some(element) = element_of(kind) else {
        return Err(call.build.refuse(format!("it makes values of the type {}; such are not read", type_name(kind))));
    };
    if x.element() == element {
        return Ok(vec![x]);
    }
    Ok(vec![match x {
        Value::Constant(c) => {
            call.build.spend(c.len())?;
            Value::Constant(match element {
                Element::Float => Constant::floats(c.shape.clone(), c.as_floats().into_owned()),
                Element::Int => Constant::ints(c.shape.clone(), c.as_ints().into_owned()),
                Element::Bool => Constant::bools(c.shape.clone(), c.as_bools().into_owned()),
            })
        }
        Value::Live(live) if element == Element::Bool => {
            let x = Value::Live(live);
            let zero = call.build.emit(Kind::Step("not"), &[&x], x.shape().to_vec(), Element::Bool)?;
            call.build.emit(Kind::Step("not"), &[&zero], x.shape().to_vec(), Element::Bool)?
        }
        Value::Live(live) if element == Element::Int && live.element == Element::Float => {
            call.build.truncated(&Value::Live(live))?
        }
        Value::Live(live) => Value::Live(Live { element, ..live }),
        noise => noise,
    }])
}

pub fn select(call: &mut Call) -> Made {
    let (c, a, b) = (call.x(0)?, call.x(1)?, call.x(2)?);
    Ok(vec![call.build.select(&c, &a, &b)?])
}
