//! Norms of pictures and vectors, and softmax.

use super::super::arithmetic::Op;
use super::super::build::{Builder, Value};
use super::super::kind::{Kind, View};
use super::super::shapes::{self, told};
use super::super::tensor::{Constant, Element, decimal};
use super::Call;
use crate::error::Result;

type Made = Result<Vec<Value>>;

/// Rows of the last `size` entries, each with mean 0 and variance 1.
fn normalised(build: &mut Builder, x: &Value, size: usize, eps: f32) -> Result<Value> {
    if !(0.0..1e3).contains(&eps) {
        return Err(build.refuse(format!("epsilon: expected a number from 0 to 1000, found {eps}")));
    }
    let outer = x.features() / size.max(1);
    let view = View { outer, mid: size, inner: 1 };
    let kind = Kind::Normalise { outer, size, eps: decimal(eps), centred: true, view, scale: None, shift: None };
    build.emit(kind, &[x], x.shape().to_vec(), Element::Float)
}

/// Scale and shift along the axis 1 of `x`, or along the axes that `sides` has at its end.
fn scaled(call: &mut Call, x: &Value, at: [usize; 2], sides: &[usize]) -> Result<Value> {
    let mut y = x.clone();
    for (at, op) in at.into_iter().zip([Op::Mul, Op::Add]) {
        if let Some(v) = call.optional(at) {
            let expected: usize = sides.iter().product();
            if v.features() != expected {
                let found = v.features();
                return Err(call.build.refuse(format!("input {at} has {found} values, expected {expected}")));
            }
            let v = call.build.reshape(&v, sides.to_vec())?;
            y = call.build.binary(op, &y, &v)?;
        }
    }
    Ok(y)
}

/// Sides that spread a vector of channels over axis 1 of `x`.
fn channels(call: &Call, x: &Value) -> Result<Vec<usize>> {
    if x.shape().len() < 2 {
        return Err(call.build.refuse(format!("its input of shape {} has no channels", told(x.shape()))));
    }
    let mut sides = vec![1; x.shape().len() - 1];
    sides[0] = x.shape()[1];
    Ok(sides)
}

pub fn batch_normalization(call: &mut Call) -> Made {
    // Before version 14 the statistics as further results meant training.
    let statistics = call.opset() < 14 && call.node.outputs.iter().skip(1).any(|name| !name.is_empty());
    if statistics || call.int("training_mode", 0)? != 0 {
        let name = call.node.name.escape_debug();
        return Err(call.build.fault(format!(
            "node \"{name}\" is a batch norm in training mode: it uses the statistics of the batch; call module.eval() \
             before the export"
        )));
    }
    let x = call.x(0)?;
    let sides = channels(call, &x)?;
    let eps = decimal(call.float("epsilon", 1e-5)?);
    let parts: Vec<Value> = (1..5).map(|at| call.x(at)).collect::<Result<_>>()?;
    if let Some(part) = parts.iter().find(|p| p.features() != sides[0]) {
        let found = part.features();
        return Err(call.build.refuse(format!("its statistics have {found} values, expected {}", sides[0])));
    }
    if let [Value::Constant(g), Value::Constant(b), Value::Constant(m), Value::Constant(v)] = &parts[..] {
        let (g, b, m, v) = (g.as_floats(), b.as_floats(), m.as_floats(), v.as_floats());
        let factor = |i: usize| f64::from(g[i]) / (f64::from(v[i]) + eps).sqrt();
        let count = sides[0];
        call.build.spend(2 * count)?;
        let scale = (0..count).map(|i| factor(i) as f32).collect();
        let shift = (0..count).map(|i| (f64::from(b[i]) - f64::from(m[i]) * factor(i)) as f32).collect();
        let view = shapes::view(x.shape(), 1..2);
        let (scale, shift) = (Constant::floats(vec![count], scale), Constant::floats(vec![count], shift));
        return Ok(vec![call.build.affine(&x, view, Some(scale), Some(shift))?]);
    }
    let mut parts = parts.iter().map(|p| call.build.reshape(p, sides.clone())).collect::<Result<Vec<_>>>()?;
    let variance = call.build.line(&parts[3], 1.0, eps as f32)?;
    parts[3] = call.build.unary(&variance, "sqrt", None, None)?;
    let steps = [(Op::Sub, 2), (Op::Div, 3), (Op::Mul, 0), (Op::Add, 1)];
    let y = steps.into_iter().try_fold(x, |y, (op, at)| call.build.binary(op, &y, &parts[at]));
    Ok(vec![y?])
}

pub fn instance_normalization(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let sides = channels(call, &x)?;
    let eps = call.float("epsilon", 1e-5)?;
    let size = x.shape()[2..].iter().product();
    let y = normalised(call.build, &x, size, eps)?;
    Ok(vec![scaled(call, &y, [1, 2], &sides)?])
}

pub fn group_normalization(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let sides = channels(call, &x)?;
    let groups = call.sizes("num_groups", &[call.int("num_groups", 0)?], 1, 1)?[0];
    let eps = call.float("epsilon", 1e-5)?;
    let (n, c) = (x.shape()[0], x.shape()[1]);
    if c % groups != 0 {
        return Err(call.build.refuse(format!("{c} channels do not make {groups} groups")));
    }
    let size = x.features() / (n * groups).max(1);
    let y = normalised(call.build, &x, size, eps)?;
    if call.opset() >= 21 {
        return Ok(vec![scaled(call, &y, [1, 2], &sides)?]);
    }
    // Before version 21 scale and shift are given for each group.
    let y = call.build.reshape(&y, vec![n, groups, size])?;
    let y = scaled(call, &y, [1, 2], &[groups, 1])?;
    Ok(vec![call.build.reshape(&y, x.shape().to_vec())?])
}

pub fn layer_normalization(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let axis = call.axis(call.int("axis", -1)?, x.shape().len())?;
    let eps = call.float("epsilon", 1e-5)?;
    over_batch(call, &x, axis);
    let size = x.shape()[axis..].iter().product();
    let mut y = normalised(call.build, &x, size, eps)?;
    for (at, op) in [(1, Op::Mul), (2, Op::Add)] {
        if let Some(v) = call.optional(at) {
            if shapes::broadcast(y.shape(), v.shape()).as_deref() != Some(y.shape()) {
                return Err(call.build.refuse(format!("input {at} does not broadcast to its first")));
            }
            y = call.build.binary(op, &y, &v)?;
        }
    }
    Ok(vec![y])
}

/// A remark where a fixed batch of 1 is taken into a norm over `axis`.
fn over_batch(call: &mut Call, x: &Value, axis: usize) {
    if axis == 0 && call.build.batch_fixed && x.shape().len() > 1 && x.shape()[0] == 1 && matches!(x, Value::Live(_)) {
        call.build.warn("works over axis 0, which is the batch in most files; here it has length 1");
    }
}

/// `(x - mean) / (deviation + 1e-9)` over the given axes.
pub fn mean_variance(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let axes = call.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    let axes = call.axes(&axes, rank)?;
    let mean = call.build.sums(&x, &axes, true, true)?;
    let centred = call.build.binary(Op::Sub, &x, &mean)?;
    let squares = call.build.binary(Op::Mul, &centred, &centred)?;
    let variance = call.build.sums(&squares, &axes, true, true)?;
    let deviation = call.build.unary(&variance, "sqrt", None, None)?;
    let deviation = call.build.line(&deviation, 1.0, 1e-9)?;
    Ok(vec![call.build.binary(Op::Div, &centred, &deviation)?])
}

fn softmax_of(call: &mut Call, log: bool) -> Made {
    let x = call.x(0)?;
    let axis = call.axis(call.int("axis", -1)?, x.shape().len())?;
    over_batch(call, &x, axis);
    let view = shapes::view(x.shape(), axis..axis + 1);
    Ok(vec![call.build.emit(Kind::Softmax { view, log }, &[&x], x.shape().to_vec(), Element::Float)?])
}

pub fn softmax(call: &mut Call) -> Made {
    softmax_of(call, false)
}

pub fn log_softmax(call: &mut Call) -> Made {
    softmax_of(call, true)
}

pub fn lp_normalization(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let axis = call.axis(call.int("axis", -1)?, x.shape().len())?;
    let function = match call.int("p", 2)? {
        1 => "l1",
        2 => "l2",
        p => return Err(call.build.refuse(format!("its p is {p}, expected 1 or 2"))),
    };
    over_batch(call, &x, axis);
    let view: View = shapes::view(x.shape(), axis..axis + 1);
    let mut shape = x.shape().to_vec();
    shape[axis] = 1;
    let norm = call.build.emit(Kind::NormOf { function, view }, &[&x], shape, Element::Float)?;
    // A vector of zeros stays one.
    let norm = call.build.unary(&norm, "clip", Some(f32::MIN_POSITIVE), None)?;
    Ok(vec![call.build.binary(Op::Div, &x, &norm)?])
}
