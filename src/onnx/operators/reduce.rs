//! Sums, means, norms and extremes over axes.

use super::super::arithmetic::Op;
use super::super::build::Value;
use super::super::kind::Kind;
use super::super::shapes::{self, view};
use super::super::sums::{reduced, runs};
use super::super::tensor::{Constant, Element};
use super::Call;
use crate::error::Result;
use std::sync::Arc;

type Made = Result<Vec<Value>>;

/// What a node reduces: its input and axes. No axes: nothing is reduced.
struct Plan {
    x: Value,
    axes: Vec<usize>,
    keep: bool,
}

fn plan(call: &mut Call) -> Result<Plan> {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let given = call.list("axes", 1)?.filter(|axes| !axes.is_empty());
    let axes = match given {
        Some(axes) => call.axes(&axes, rank)?,
        None if call.int("noop_with_empty_axes", 0)? != 0 => Vec::new(),
        None => (0..rank).collect(),
    };
    let keep = call.int("keepdims", 1)? != 0;
    let batch = call.build.batch_fixed && rank > 1 && axes.first() == Some(&0) && x.shape()[0] == 1;
    if batch && matches!(x, Value::Live(_)) {
        call.build.warn("works over axis 0, which is the batch in most files; here it has length 1");
    }
    Ok(Plan { x, axes, keep })
}

impl Plan {
    /// The shape of the result.
    fn shape(&self) -> Vec<usize> {
        reduced(self.x.shape(), &self.axes, self.keep)
    }
}

/// The value with all `axes` together as one, and that axis; they move to the end where they do not stand together.
fn gathered(call: &mut Call, x: &Value, axes: &[usize]) -> Result<(Value, usize)> {
    let rank = x.shape().len();
    let (value, run) = match runs(axes)[..] {
        [ref run] => (x.clone(), run.clone()),
        _ => {
            let mut order: Vec<usize> = (0..rank).filter(|a| !axes.contains(a)).collect();
            order.extend_from_slice(axes);
            (call.build.transpose(x, &order)?, rank - axes.len()..rank)
        }
    };
    let shape = value.shape();
    let mut sides = shape[..run.start].to_vec();
    sides.push(shape[run.clone()].iter().product());
    sides.extend_from_slice(&shape[run.end..]);
    Ok((call.build.reshape(&value, sides)?, run.start))
}

/// A fold of constant integers.
fn of_ints(call: &mut Call, plan: &Plan, of: fn(&[i64]) -> i64) -> Result<Option<Value>> {
    let Some(c) = plan.x.constant().filter(|c| c.element() != Element::Float) else { return Ok(None) };
    let c = Value::Constant(Constant::ints(c.shape.clone(), c.as_ints().into_owned()));
    if plan.axes.is_empty() {
        return Ok(Some(c));
    }
    let (x, axis) = gathered(call, &c, &plan.axes)?;
    let Value::Constant(x) = x else { return Ok(None) };
    let (values, v) = (x.as_ints(), view(&x.shape, axis..axis + 1));
    let line = |o: usize, i: usize| (0..v.mid).map(|m| values[(o * v.mid + m) * v.inner + i]).collect::<Vec<i64>>();
    if v.mid == 0 {
        return Err(call.build.refuse("it works over an empty axis"));
    }
    let made = (0..v.outer).flat_map(|o| (0..v.inner).map(move |i| (o, i))).map(|(o, i)| of(&line(o, i))).collect();
    Ok(Some(Value::Constant(Constant::ints(plan.shape(), made))))
}

pub fn reduce_sum(call: &mut Call) -> Made {
    let plan = plan(call)?;
    if let Some(made) = of_ints(call, &plan, |v| v.iter().fold(0, |a, b| a.saturating_add(*b)))? {
        return Ok(vec![made]);
    }
    Ok(vec![call.build.sums(&plan.x, &plan.axes, plan.keep, false)?])
}

pub fn reduce_mean(call: &mut Call) -> Made {
    let plan = plan(call)?;
    Ok(vec![call.build.sums(&plan.x, &plan.axes, plan.keep, true)?])
}

pub fn reduce_sum_square(call: &mut Call) -> Made {
    let plan = plan(call)?;
    let squares = call.build.binary(Op::Mul, &plan.x, &plan.x)?;
    Ok(vec![call.build.sums(&squares, &plan.axes, plan.keep, false)?])
}

pub fn reduce_log_sum(call: &mut Call) -> Made {
    let y = reduce_sum(call)?;
    Ok(vec![call.build.unary(&y[0], "log", None, None)?])
}

fn norm(call: &mut Call, function: &'static str) -> Made {
    let plan = plan(call)?;
    if plan.axes.is_empty() {
        return Ok(vec![match function {
            "log_sum_exp" => plan.x,
            _ => call.build.unary(&plan.x, "abs", None, None)?,
        }]);
    }
    let (x, axis) = gathered(call, &plan.x, &plan.axes)?;
    let view = view(x.shape(), axis..axis + 1);
    Ok(vec![call.build.emit(Kind::NormOf { function, view }, &[&x], plan.shape(), Element::Float)?])
}

pub fn reduce_l1(call: &mut Call) -> Made {
    norm(call, "l1")
}

pub fn reduce_l2(call: &mut Call) -> Made {
    norm(call, "l2")
}

pub fn reduce_log_sum_exp(call: &mut Call) -> Made {
    norm(call, "log_sum_exp")
}

/// The largest entries over the axes.
fn largest(call: &mut Call, plan: &Plan) -> Result<Value> {
    if plan.axes.iter().all(|&a| plan.x.shape()[a] == 1) {
        return call.build.reshape(&plan.x, plan.shape());
    }
    let (x, axis) = gathered(call, &plan.x, &plan.axes)?;
    let v = view(x.shape(), axis..axis + 1);
    let count = call.build.size(x.shape())?;
    call.build.index(count)?;
    let place = |(o, i): (usize, usize)| (0..v.mid).map(move |m| ((o * v.mid + m) * v.inner + i) as i32);
    let index = (0..v.outer).flat_map(|o| (0..v.inner).map(move |i| (o, i))).flat_map(place).collect();
    let kind = Kind::WindowMax { index: Arc::new(index), width: v.mid };
    let element = plan.x.element();
    call.build.emit(kind, &[&x], plan.shape(), element)
}

pub fn reduce_max(call: &mut Call) -> Made {
    let plan = plan(call)?;
    if let Some(made) = of_ints(call, &plan, |v| v.iter().copied().max().unwrap_or(0))? {
        return Ok(vec![made]);
    }
    Ok(vec![largest(call, &plan)?])
}

pub fn reduce_min(call: &mut Call) -> Made {
    let mut plan = plan(call)?;
    if let Some(made) = of_ints(call, &plan, |v| v.iter().copied().min().unwrap_or(0))? {
        return Ok(vec![made]);
    }
    plan.x = call.build.line(&plan.x, -1.0, 0.0)?;
    let y = largest(call, &plan)?;
    Ok(vec![call.build.line(&y, -1.0, 0.0)?])
}

pub fn reduce_prod(call: &mut Call) -> Made {
    let plan = plan(call)?;
    if let Some(made) = of_ints(call, &plan, |v| v.iter().fold(1, |a, b| a.saturating_mul(*b)))? {
        return Ok(vec![made]);
    }
    if plan.axes.is_empty() {
        return Ok(vec![plan.x]);
    }
    let (x, axis) = gathered(call, &plan.x, &plan.axes)?;
    let side = x.shape()[axis];
    if !(1..=64).contains(&side) {
        return Err(call.build.refuse(format!("a product of {side} entries; at most 64 are read")));
    }
    let mut y: Option<Value> = None;
    for at in 0..side as i32 {
        let mut lists = vec![None; x.shape().len()];
        lists[axis] = Some(vec![at]);
        let next = call.build.pick(&x, lists, 0.0)?;
        y = Some(match y {
            Some(y) => call.build.binary(Op::Mul, &y, &next)?,
            None => next,
        });
    }
    let y = y.unwrap_or(x);
    Ok(vec![call.build.reshape(&y, plan.shape())?])
}

/// The place of the largest or smallest entry, of constants only.
fn place_of(call: &mut Call, better: fn(f32, f32) -> bool) -> Made {
    let Some(c) = call.constant(0, "result")? else { return Err(call.build.refuse("its input is missing")) };
    let axis = call.axis(call.int("axis", 0)?, c.shape.len())?;
    let keep = call.int("keepdims", 1)? != 0;
    let last = call.int("select_last_index", 0)? != 0;
    let (values, v) = (c.as_floats(), shapes::view(&c.shape, axis..axis + 1));
    let of = |(o, i): (usize, usize)| {
        let at = |m: usize| values[(o * v.mid + m) * v.inner + i];
        (1..v.mid).fold(0, |best, m| if better(at(m), at(best)) || (last && at(m) == at(best)) { m } else { best })
            as i64
    };
    if v.mid == 0 {
        return Err(call.build.refuse("it works over an empty axis"));
    }
    let made = (0..v.outer).flat_map(|o| (0..v.inner).map(move |i| (o, i))).map(of).collect();
    Ok(vec![Value::Constant(Constant::ints(reduced(&c.shape, &[axis], keep), made))])
}

pub fn arg_max(call: &mut Call) -> Made {
    place_of(call, |a, b| a > b)
}

pub fn arg_min(call: &mut Call) -> Made {
    place_of(call, |a, b| a < b)
}
