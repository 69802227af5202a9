//! Operators that move entries: slices, parts, joins, borders, copies, blocks.

use super::super::build::Value;
use super::super::tensor::Constant;
use super::Call;
use crate::error::Result;

type Made = Result<Vec<Value>>;

pub fn slice(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let (starts, ends) = (call.ints_of(1, "starts")?, call.ints_of(2, "ends")?);
    let (Some(starts), Some(ends)) = (starts, ends) else {
        return Err(call.build.refuse("its starts or ends are missing"));
    };
    let axes = call.ints_of(3, "axes")?.unwrap_or_else(|| (0..starts.len().min(rank + 1) as i64).collect());
    let steps = call.ints_of(4, "steps")?.unwrap_or_else(|| vec![1; starts.len().min(rank + 1)]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(call.build.refuse("its starts, ends, axes and steps differ in number"));
    }
    call.axes(&axes, rank)?;
    let mut lists = vec![None; rank];
    for (at, &axis) in axes.iter().enumerate() {
        let axis = call.axis(axis, rank)?;
        let side = x.shape()[axis];
        call.build.size(&[side])?;
        lists[axis] = match sliced(side as i64, starts[at], ends[at], steps[at]) {
            Some(list) => Some(list).filter(|list| !(list.len() == side && steps[at] == 1)),
            None => return Err(call.build.refuse("its step is 0")),
        };
    }
    Ok(vec![call.build.pick(&x, lists, 0.0)?])
}

/// The coordinates that a slice takes of an axis, by the rules of numpy.
fn sliced(side: i64, start: i64, end: i64, step: i64) -> Option<Vec<i32>> {
    let (low, high) = if step < 0 { (-1, side - 1) } else { (0, side) };
    let bound = |v: i64| if v < 0 { v.saturating_add(side) } else { v }.clamp(low, high);
    let (start, end) = (bound(start), bound(end));
    let mut list = Vec::new();
    let mut at = start;
    while if step > 0 { at < end } else { at > end } {
        list.push(at as i32);
        at = at.saturating_add(step);
        if step == 0 {
            return None;
        }
    }
    (step != 0).then_some(list)
}

pub fn split(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let axis = call.axis(call.int("axis", 0)?, x.shape().len())?;
    let side = x.shape()[axis];
    call.build.size(&[side])?;
    let sizes = match call.list("split", 1)? {
        Some(sizes) => call.sizes("split", &sizes, 0, sizes.len())?,
        None => {
            let parts = usize::try_from(call.int("num_outputs", call.outputs() as i64)?).unwrap_or(0);
            if parts == 0 || parts > super::super::MAX_NODES {
                return Err(call.build.refuse(format!("it makes {parts} parts")));
            }
            let each = side.div_ceil(parts);
            (0..parts).map(|i| each.min(side.saturating_sub(i * each))).collect()
        }
    };
    if sizes.iter().sum::<usize>() != side || sizes.len() < call.outputs() {
        return Err(call.build.refuse(format!("its parts {sizes:?} do not make up an axis of {side}")));
    }
    let mut parts = Vec::with_capacity(sizes.len());
    let mut start = 0;
    for (at, size) in sizes.into_iter().enumerate() {
        if call.node.outputs.get(at).is_some_and(|name| !name.is_empty()) {
            let mut lists = vec![None; x.shape().len()];
            lists[axis] = (size != side).then(|| (start as i32..(start + size) as i32).collect());
            parts.push(call.build.pick(&x, lists, 0.0)?);
        } else {
            parts.push(Value::default());
        }
        start += size;
    }
    Ok(parts)
}

pub fn concat(call: &mut Call) -> Made {
    let parts = (0..call.inputs.len()).map(|at| call.x(at)).collect::<Result<Vec<_>>>()?;
    let rank = parts.first().map_or(0, |p| p.shape().len());
    let axis = call.axis(call.int("axis", i64::MAX)?, rank)?;
    Ok(vec![call.build.concat(&parts, axis)?])
}

pub fn pad(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let mode = call.text("mode", &["constant", "reflect", "edge", "wrap"])?;
    let Some(pads) = call.list("pads", 1)? else { return Err(call.build.refuse("its pads are missing")) };
    let fill = match call.number_of(2, "value")? {
        Some(fill) => fill,
        None => call.float("value", 0.0)?,
    };
    let axes = match call.ints_of(3, "axes")? {
        Some(axes) => {
            call.axes(&axes, rank)?;
            axes.iter().map(|&a| call.axis(a, rank)).collect::<Result<Vec<_>>>()?
        }
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(call.build.refuse(format!("its pads have {} values, expected {}", pads.len(), 2 * axes.len())));
    }
    let mut lists = vec![None; rank];
    for (at, &axis) in axes.iter().enumerate() {
        let (before, after, side) = (pads[at], pads[at + axes.len()], x.shape()[axis] as i64);
        if before == 0 && after == 0 {
            continue;
        }
        if before.saturating_abs() > 1 << 30 || after.saturating_abs() > 1 << 30 {
            return Err(call.build.refuse(format!("its pads are {pads:?}; such sizes are not read")));
        }
        call.build.size(&[(side + before + after).max(0) as usize])?;
        call.build.size(&[side as usize])?;
        let period = (2 * (side - 1)).max(1);
        let place = |at: i64| match mode {
            "reflect" => {
                let folded = at.rem_euclid(period);
                if folded < side { folded } else { period - folded }
            }
            "edge" => at.clamp(0, (side - 1).max(0)),
            "wrap" => at.rem_euclid(side.max(1)),
            _ => {
                if (0..side).contains(&at) {
                    at
                } else {
                    -1
                }
            }
        };
        if side == 0 && mode != "constant" {
            return Err(call.build.refuse("it repeats the entries of an empty axis"));
        }
        lists[axis] = Some((-before..side + after).map(|at| place(at) as i32).collect());
    }
    Ok(vec![call.build.pick(&x, lists, fill)?])
}

pub fn tile(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let Some(repeats) = call.ints_of(1, "repeats")? else { return Err(call.build.refuse("its repeats are missing")) };
    let repeats = call.sizes("repeats", &repeats, 0, x.shape().len())?;
    let mut lists = Vec::with_capacity(repeats.len());
    for (&times, &side) in repeats.iter().zip(x.shape()) {
        call.build.size(&[times, side])?;
        lists.push((times != 1).then(|| (0..times).flat_map(|_| 0..side as i32).collect()));
    }
    Ok(vec![call.build.pick(&x, lists, 0.0)?])
}

/// Sides of a block and its picture, for the two operators that trade channels for places.
fn blocks(call: &Call, x: &Value) -> Result<(usize, [usize; 4])> {
    let block = call.int("blocksize", 0)?;
    let [n, c, h, w] = *x.shape() else { return Err(call.build.refuse("its input has not four axes")) };
    match usize::try_from(block).ok().filter(|b| (1..=1 << 12).contains(b)) {
        Some(block) => Ok((block, [n, c, h, w])),
        None => Err(call.build.refuse(format!("its block size is {block}"))),
    }
}

pub fn depth_to_space(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let (b, [n, c, h, w]) = blocks(call, &x)?;
    if c % (b * b) != 0 {
        return Err(call.build.refuse(format!("{c} channels do not make blocks of {b} by {b}")));
    }
    let out = c / (b * b);
    let (split, order) = match call.text("mode", &["DCR", "CRD"])? {
        "DCR" => (vec![n, b, b, out, h, w], [0, 3, 4, 1, 5, 2]),
        _ => (vec![n, out, b, b, h, w], [0, 1, 4, 2, 5, 3]),
    };
    let y = call.build.reshape(&x, split)?;
    let y = call.build.transpose(&y, &order)?;
    Ok(vec![call.build.reshape(&y, vec![n, out, h * b, w * b])?])
}

pub fn space_to_depth(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let (b, [n, c, h, w]) = blocks(call, &x)?;
    if h % b != 0 || w % b != 0 {
        return Err(call.build.refuse(format!("a picture of {h} by {w} does not make blocks of {b} by {b}")));
    }
    let y = call.build.reshape(&x, vec![n, c, h / b, b, w / b, b])?;
    let y = call.build.transpose(&y, &[0, 3, 5, 1, 2, 4])?;
    Ok(vec![call.build.reshape(&y, vec![n, c * b * b, h / b, w / b])?])
}

pub fn trilu(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let k = call.ints_of(1, "diagonal")?.and_then(|k| k.first().copied()).unwrap_or(0);
    let upper = call.int("upper", 1)? != 0;
    let rank = x.shape().len();
    if rank < 2 {
        return Err(call.build.refuse("its input is no matrix"));
    }
    let (rows, columns, count) = (x.shape()[rank - 2], x.shape()[rank - 1], call.build.size(x.shape())?);
    call.build.index(count)?;
    let kept = |i: usize| {
        let (r, c) = ((i / columns.max(1) % rows.max(1)) as i64, (i % columns.max(1)) as i64);
        if upper { c >= r.saturating_add(k) } else { c <= r.saturating_add(k) }
    };
    let index = (0..count).map(|i| if kept(i) { i as i32 } else { -1 }).collect();
    Ok(vec![call.build.rearrange(&x, index, 0.0, x.shape().to_vec())?])
}

pub fn cum_sum(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let axis = match call.ints_of(1, "axis")?.as_deref() {
        Some([axis]) => call.axis(*axis, rank)?,
        _ => return Err(call.build.refuse("its axis is not one number")),
    };
    let (exclusive, reverse) = (call.int("exclusive", 0)? != 0, call.int("reverse", 0)? != 0);
    let side = x.shape()[axis];
    let count = call.build.size(&[side, side])?;
    call.build.spend(count)?;
    let counts = |i: usize| {
        let (to, from) = (i / side, i % side);
        let (to, from) = if reverse { (side - 1 - to, side - 1 - from) } else { (to, from) };
        from < to || (from == to && !exclusive)
    };
    let matrix = Constant::floats(vec![side, side], (0..count).map(|i| f32::from(counts(i))).collect());
    let element = x.element();
    let made = call.build.axis_mix(&x, axis..axis + 1, matrix, &[side])?;
    Ok(vec![match made {
        Value::Constant(c) if element == super::super::tensor::Element::Int => {
            Value::Constant(Constant::ints(c.shape.clone(), c.as_ints().into_owned()))
        }
        other => other,
    }])
}
