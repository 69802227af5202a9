//! Operators that take or put entries by constant indices.

use super::super::arithmetic::Op;
use super::super::build::Value;
use super::super::shapes::{self, told};
use super::super::tensor::{Constant, Element};
use super::Call;
use crate::error::{Error, Result};

type Made = Result<Vec<Value>>;

/// Input `at` as indices.
fn indices(call: &Call, at: usize) -> Result<Constant> {
    match call.constant(at, "indices")? {
        Some(c) if c.element() == Element::Int => Ok(c),
        Some(_) => Err(call.build.refuse("its indices are no integers")),
        None => Err(call.build.refuse("its indices are missing")),
    }
}

/// An index into an axis, from its end where it is negative.
fn within(index: i64, side: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(side as i64)? } else { index };
    usize::try_from(index).ok().filter(|i| *i < side)
}

fn outside(call: &Call, index: i64, side: usize) -> Error {
    call.build.refuse(format!("it takes entry {index} of an axis of {side}"))
}

pub fn gather(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let axis = call.axis(call.int("axis", 0)?, rank)?;
    let (chosen, side) = (indices(call, 1)?, x.shape()[axis]);
    let mut list = Vec::with_capacity(chosen.len());
    for &index in chosen.as_ints().iter() {
        list.push(within(index, side).ok_or_else(|| outside(call, index, side))? as i32);
    }
    let mut lists = vec![None; rank];
    lists[axis] = Some(list);
    let taken = call.build.pick(&x, lists, 0.0)?;
    let mut shape = x.shape()[..axis].to_vec();
    shape.extend_from_slice(&chosen.shape);
    shape.extend_from_slice(&x.shape()[axis + 1..]);
    Ok(vec![call.build.reshape(&taken, shape)?])
}

pub fn gather_elements(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let axis = call.axis(call.int("axis", 0)?, rank)?;
    let chosen = indices(call, 1)?;
    let (values, from) = (chosen.as_ints(), x.shape().to_vec());
    let fits = chosen.shape.len() == rank && (0..rank).all(|a| a == axis || chosen.shape[a] <= from[a]);
    if !fits {
        let (a, b) = (told(&chosen.shape), told(&from));
        return Err(call.build.refuse(format!("its indices of shape {a} do not fit its input {b}")));
    }
    call.build.size(&from)?;
    let count = call.build.size(&chosen.shape)?;
    call.build.index(count)?;
    let mut index = if count == 0 { Vec::new() } else { elsewhere(&chosen.shape, &from, axis) };
    let step = shapes::strides(&from)[axis];
    for (place, &value) in index.iter_mut().zip(values.iter()) {
        let at = within(value, from[axis]).ok_or_else(|| outside(call, value, from[axis]))?;
        *place += (at * step) as i32;
    }
    Ok(vec![call.build.rearrange(&x, index, 0.0, chosen.shape.clone())?])
}

/// For each place of `shape` its place in a value of shape `from`, with coordinate 0 along `axis`.
fn elsewhere(shape: &[usize], from: &[usize], axis: usize) -> Vec<i32> {
    let mut steps = shapes::strides(from);
    steps[axis] = 0;
    shapes::walk(shape, &steps)
}

/// Places in a value of shape `from` that each row of `chosen` names, after `batch` axes that both have; and how many
/// entries lie behind each.
fn rows(call: &Call, chosen: &Constant, from: &[usize], batch: usize) -> Result<(Vec<usize>, usize)> {
    let (rank, last) = (from.len(), chosen.shape.last().copied().unwrap_or(0));
    let fits =
        last >= 1 && batch + last <= rank && batch < chosen.shape.len() && chosen.shape[..batch] == from[..batch];
    if !fits {
        let (a, b) = (told(&chosen.shape), told(from));
        return Err(call.build.refuse(format!("its indices of shape {a} do not fit its input {b}")));
    }
    call.build.size(from)?;
    let steps = shapes::strides(from);
    let each: usize = chosen.shape[batch..chosen.shape.len() - 1].iter().product();
    let values = chosen.as_ints();
    let mut places = Vec::with_capacity(values.len() / last);
    let before = if batch == 0 { 0 } else { steps[batch - 1] };
    for (at, row) in values.chunks(last).enumerate() {
        let mut place = at / each.max(1) * before;
        for (axis, &index) in row.iter().enumerate() {
            let side = from[batch + axis];
            place += within(index, side).ok_or_else(|| outside(call, index, side))? * steps[batch + axis];
        }
        places.push(place);
    }
    Ok((places, from[batch + last..].iter().product()))
}

pub fn gather_nd(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let batch = call.int("batch_dims", 0)?;
    let batch = if batch == 0 { 0 } else { call.axis(batch, x.shape().len())? };
    let chosen = indices(call, 1)?;
    let (places, width) = rows(call, &chosen, x.shape(), batch)?;
    let last = chosen.shape.last().copied().unwrap_or(1);
    let mut shape = chosen.shape[..chosen.shape.len() - 1].to_vec();
    shape.extend_from_slice(&x.shape()[batch + last..]);
    let count = call.build.size(&shape)?;
    call.build.index(count)?;
    let index = places.iter().flat_map(|&place| (place..place + width).map(|at| at as i32)).collect();
    Ok(vec![call.build.rearrange(&x, index, 0.0, shape)?])
}

/// `x` with entries of `updates` at `places`, the later of two at one place; or the two combined there.
fn put(call: &mut Call, x: &Value, places: &[usize], updates: &Value) -> Made {
    let reduction = call.text("reduction", &["none", "add", "mul", "max", "min"])?;
    let (count, more) = (x.features(), updates.features());
    call.build.size(&[count, 2])?;
    call.build.size(&[more, 2])?;
    call.build.index(count)?;
    let mut index = vec![-1i32; count];
    for (at, &place) in places.iter().enumerate() {
        match index.get_mut(place) {
            Some(slot) if at < more && (*slot < 0 || reduction == "none") => *slot = at as i32,
            Some(_) if at < more => {
                return Err(call.build.refuse(format!("it puts two entries in one place (reduction \"{reduction}\")")));
            }
            _ => return Err(call.build.refuse("its updates do not fit its indices")),
        }
    }
    if places.is_empty() {
        return Ok(vec![x.clone()]);
    }
    let (neutral, op) = match reduction {
        "add" => (0.0, Op::Add),
        "mul" => (1.0, Op::Mul),
        "none" => {
            let (first, second) = (call.build.reshape(x, vec![count])?, call.build.reshape(updates, vec![more])?);
            let both = call.build.concat(&[first, second], 0)?;
            let place = |(i, &at): (usize, &i32)| if at < 0 { i as i32 } else { count as i32 + at };
            let index = index.iter().enumerate().map(place).collect();
            return Ok(vec![call.build.rearrange(&both, index, 0.0, x.shape().to_vec())?]);
        }
        other => return Err(call.build.refuse(format!("its reduction is \"{other}\", which is not read"))),
    };
    let updates = call.build.rearrange(updates, index, neutral, x.shape().to_vec())?;
    Ok(vec![call.build.binary(op, x, &updates)?])
}

pub fn scatter_nd(call: &mut Call) -> Made {
    let (x, updates) = (call.x(0)?, call.x(2)?);
    let chosen = indices(call, 1)?;
    let (places, width) = rows(call, &chosen, x.shape(), 0)?;
    let count = call.build.size(&[places.len(), width])?;
    if count != updates.features() {
        return Err(call.build.refuse("its updates do not fit its indices"));
    }
    whole_sample(call, &x, places.len() * width)?;
    call.build.index(count)?;
    let places: Vec<usize> = places.iter().flat_map(|&place| place..place + width).collect();
    put(call, &x, &places, &updates)
}

/// Refuses to overwrite a whole sample, which only a graph of several samples does on purpose.
fn whole_sample(call: &Call, x: &Value, written: usize) -> Result<()> {
    let name = call.node.name.escape_debug();
    let one = call.build.batch == 1 && !call.build.batch_fixed && x.shape().first() == Some(&1);
    match one && matches!(x, Value::Live(_)) && written == x.features() {
        true => Err(call.build.fault(format!("node \"{name}\" mixes samples: it writes rows of axis 0, the batch"))),
        false => Ok(()),
    }
}

pub fn scatter_elements(call: &mut Call) -> Made {
    let (x, updates) = (call.x(0)?, call.x(2)?);
    let (chosen, from) = (indices(call, 1)?, x.shape().to_vec());
    let axis = call.axis(call.int("axis", 0)?, from.len())?;
    if chosen.shape != updates.shape() || chosen.shape.len() != from.len() {
        return Err(call.build.refuse("its updates do not fit its indices"));
    }
    let fits = (0..from.len()).all(|a| a == axis || chosen.shape[a] <= from[a]);
    let count = call.build.size(&chosen.shape)?;
    if !fits || count == 0 {
        return if fits { Ok(vec![x]) } else { Err(call.build.refuse("its indices do not fit its input")) };
    }
    call.build.size(&from)?;
    call.build.index(count)?;
    let step = shapes::strides(&from)[axis];
    let mut places = Vec::with_capacity(count);
    for (&base, &index) in elsewhere(&chosen.shape, &from, axis).iter().zip(chosen.as_ints().iter()) {
        let at = within(index, from[axis]).ok_or_else(|| outside(call, index, from[axis]))?;
        places.push(base as usize + at * step);
    }
    put(call, &x, &places, &updates)
}

pub fn one_hot(call: &mut Call) -> Made {
    let chosen = match call.constant(0, "indices")? {
        Some(c) => c.as_ints().into_owned(),
        None => return Err(call.build.refuse("its indices are missing")),
    };
    let from = call.x(0)?.shape().to_vec();
    let depth = call.ints_of(1, "depth")?.and_then(|d| d.first().copied()).unwrap_or(0);
    let depth = call.sizes("depth", &[depth], 1, 1)?[0];
    let Some(values) = call.constant(2, "values")?.filter(|v| v.len() == 2) else {
        return Err(call.build.refuse("its values are not two"));
    };
    let axis = call.axis(call.int("axis", -1)?, from.len() + 1)?;
    let mut shape = from.clone();
    shape.insert(axis, depth);
    let count = call.build.size(&shape)?;
    call.build.index(count)?;
    let inner: usize = from[axis..].iter().product();
    let hot = |i: usize| within(chosen[i / (depth * inner) * inner + i % inner], depth) == Some(i / inner % depth);
    let index = (0..count).map(|i| i32::from(hot(i))).collect();
    Ok(vec![call.build.rearrange(&Value::Constant(values), index, 0.0, shape)?])
}

pub fn non_zero(call: &mut Call) -> Made {
    let Some(x) = call.constant(0, "number of entries that are not 0")? else {
        return Err(call.build.refuse("its input is missing"));
    };
    let places: Vec<usize> = x.as_bools().iter().enumerate().filter(|(_, v)| **v).map(|(i, _)| i).collect();
    let shape = vec![x.shape.len(), places.len()];
    let count = call.build.size(&shape)?;
    call.build.spend(count)?;
    let steps = shapes::strides(&x.shape);
    let coordinate = |axis: usize, place: usize| (place / steps[axis] % x.shape[axis]) as i64;
    let made = (0..x.shape.len()).flat_map(|axis| places.iter().map(move |&p| (axis, p)));
    Ok(vec![Value::Constant(Constant::ints(shape, made.map(|(a, p)| coordinate(a, p)).collect()))])
}
