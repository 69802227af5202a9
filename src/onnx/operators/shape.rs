//! Operators that give values another shape, and those that read or make shapes and plain constants.

use super::super::build::Value;
use super::super::shapes::{self, told};
use super::super::tensor::Constant;
use super::Call;
use crate::error::Result;

type Made = Result<Vec<Value>>;

pub fn reshape(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let Some(wanted) = call.ints_of(1, "shape")? else { return Err(call.build.refuse("its shape is missing")) };
    let zero_counts = call.int("allowzero", 0)? != 0;
    if wanted.len() > super::super::tensor::RANK {
        return Err(call.build.refuse(format!("its shape has {} axes", wanted.len())));
    }
    let mut shape = Vec::with_capacity(wanted.len());
    let mut rest = None;
    for (axis, &side) in wanted.iter().enumerate() {
        shape.push(match side {
            -1 if rest.is_none() => {
                rest = Some(axis);
                1
            }
            0 if !zero_counts => match x.shape().get(axis) {
                Some(&side) => side,
                None => return Err(call.build.refuse(format!("its shape copies axis {axis}, which is not there"))),
            },
            _ => match usize::try_from(side) {
                Ok(side) => side,
                Err(_) => return Err(call.build.refuse(format!("its shape is {wanted:?}"))),
            },
        });
    }
    let (has, known) = (x.features(), call.build.size(&shape)?);
    if let Some(axis) = rest
        && known > 0
        && has % known == 0
    {
        shape[axis] = has / known;
    } else if rest.is_some() || known != has {
        return Err(unfit(call, &x, known, has));
    }
    Ok(vec![call.build.reshape(&x, shape)?])
}

/// The error for a number of values that does not fit, which mostly comes from a batch that was frozen in the graph.
fn unfit(call: &Call, x: &Value, needs: usize, has: usize) -> crate::error::Error {
    let name = call.node.name.escape_debug().to_string();
    if call.build.batch == 1 && needs > has && has > 0 && needs.is_multiple_of(has) {
        return call.build.fault(format!(
            "node \"{name}\" needs {needs} values and is given {has}: the export froze a batch of {} inside the graph; \
             export again from one latent (batch 1)",
            needs / has
        ));
    }
    call.build
        .refuse(format!("a value of shape {} does not fit its shape: {needs} values, found {has}", told(x.shape())))
}

pub fn flatten(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let (axis, rank) = (call.int("axis", 1)?, x.shape().len());
    let axis = if axis == rank as i64 { rank } else { call.axis(axis, rank)? };
    let shape = vec![x.shape()[..axis].iter().product(), x.shape()[axis..].iter().product()];
    Ok(vec![call.build.reshape(&x, shape)?])
}

pub fn transpose(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let order = match call.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(perm) => {
            if perm.len() != rank {
                return Err(call.build.refuse(format!("its perm has {} axes, its input {rank}", perm.len())));
            }
            if perm.iter().any(|p| *p < 0) {
                return Err(call
                    .build
                    .refuse(format!("its perm {perm:?} is not valid ONNX; export with another exporter")));
            }
            call.axes(&perm, rank)?;
            perm.iter().map(|&p| call.axis(p, rank)).collect::<Result<Vec<_>>>()?
        }
    };
    Ok(vec![call.build.transpose(&x, &order)?])
}

pub fn unsqueeze(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let Some(axes) = call.list("axes", 1)? else { return Err(call.build.refuse("its axes are missing")) };
    let rank = x.shape().len() + axes.len().min(64);
    let axes = call.axes(&axes, rank)?;
    let mut sides = x.shape().iter();
    let shape = (0..rank).map(|a| if axes.contains(&a) { 1 } else { sides.next().copied().unwrap_or(1) }).collect();
    Ok(vec![call.build.reshape(&x, shape)?])
}

pub fn squeeze(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let axes = match call.list("axes", 1)? {
        Some(axes) => call.axes(&axes, rank)?,
        None => {
            if call.build.batch_fixed && rank > 1 && x.shape()[0] == 1 && matches!(x, Value::Live(_)) {
                call.build.warn("drops all axes of length 1, and the batch with them; it would not for a larger batch");
            }
            (0..rank).filter(|&a| x.shape()[a] == 1).collect()
        }
    };
    if let Some(&long) = axes.iter().find(|&&a| x.shape()[a] != 1) {
        return Err(call.build.refuse(format!("it drops axis {long} of {}, which is not 1", told(x.shape()))));
    }
    let shape = (0..rank).filter(|a| !axes.contains(a)).map(|a| x.shape()[a]).collect();
    Ok(vec![call.build.reshape(&x, shape)?])
}

pub fn expand(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let Some(wanted) = call.ints_of(1, "shape")? else { return Err(call.build.refuse("its shape is missing")) };
    let wanted = call.sizes("shape", &wanted, 0, wanted.len())?;
    let Some(shape) = shapes::broadcast(x.shape(), &wanted) else {
        let (from, to) = (told(x.shape()), told(&wanted));
        return Err(call.build.refuse(format!("a value of shape {from} does not broadcast to {to}")));
    };
    Ok(vec![call.build.spread(&x, &shape)?])
}

pub fn shape(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len() as i64;
    let bound = |v: i64| if v < 0 { v.saturating_add(rank).max(0) } else { v.min(rank) } as usize;
    let (start, end) = (bound(call.int("start", 0)?), bound(call.int("end", rank)?));
    let sides: Vec<i64> = x.shape().get(start..end).unwrap_or_default().iter().map(|&s| s as i64).collect();
    Ok(vec![Value::Constant(Constant::ints(vec![sides.len()], sides))])
}

pub fn size(call: &mut Call) -> Made {
    let count = call.x(0)?.features() as i64;
    Ok(vec![Value::Constant(Constant::ints(Vec::new(), vec![count]))])
}

pub fn constant(call: &mut Call) -> Made {
    let made = if let Some(tensor) = call.tensor("value")? {
        // The name of the value it makes is what a user knows it by.
        let name = tensor.name.clone().or_else(|| call.node.outputs.first().map(|n| n.as_str().into()));
        Constant { name, ..tensor }
    } else if let Some(list) = call.ints("value_ints")? {
        Constant::ints(vec![list.len()], list)
    } else if let Some(list) = call.floats("value_floats")? {
        Constant::floats(vec![list.len()], list)
    } else if call.node.attributes.contains_key("value_int") {
        Constant::ints(Vec::new(), vec![call.int("value_int", 0)?])
    } else if call.node.attributes.contains_key("value_float") {
        match call.node.attributes.get("value_float") {
            Some(super::Attribute::Float(v)) => Constant::floats(Vec::new(), vec![*v]),
            _ => return Err(call.build.refuse("its value is of the wrong kind")),
        }
    } else {
        return Err(call.build.refuse("it holds text or a sparse tensor; such constants are not read"));
    };
    if made.as_floats().iter().any(|v| v.is_nan()) {
        return Err(call.build.refuse("it holds a value that is NaN, expected numbers"));
    }
    Ok(vec![Value::Constant(made)])
}

pub fn constant_of_shape(call: &mut Call) -> Made {
    let Some(wanted) = call.ints_of(0, "shape")? else { return Err(call.build.refuse("its shape is missing")) };
    let shape = call.sizes("shape", &wanted, 0, wanted.len())?;
    let value = call.tensor("value")?.unwrap_or_else(|| Constant::floats(vec![1], vec![0.0]));
    if value.len() != 1 {
        return Err(call.build.refuse(format!("its value has {} entries, expected one", value.len())));
    }
    let count = call.build.size(&shape)?;
    call.build.spend(count)?;
    let index = vec![0; count];
    Ok(vec![call.build.rearrange(&Value::Constant(Constant { name: None, ..value }), index, 0.0, shape)?])
}

pub fn range(call: &mut Call) -> Made {
    let mut ends = Vec::new();
    for (at, what) in ["start", "limit", "step"].iter().enumerate() {
        match call.constant(at, what)? {
            Some(c) if c.len() == 1 => ends.push(c),
            _ => return Err(call.build.refuse(format!("its {what} is not one number"))),
        }
    }
    let number = |c: &Constant| match c.element() {
        super::super::tensor::Element::Float => f64::from(c.as_floats()[0]),
        _ => c.as_ints()[0] as f64,
    };
    let (start, limit, step) = (number(&ends[0]), number(&ends[1]), number(&ends[2]));
    let count = ((limit - start) / step).ceil();
    if !count.is_finite() || count > 1e9 {
        return Err(call.build.refuse("its step does not lead to its end"));
    }
    let count = count.max(0.0) as usize;
    call.build.size(&[count])?;
    call.build.spend(count)?;
    if ends.iter().all(|c| c.element() == super::super::tensor::Element::Int) {
        let (start, step) = (ends[0].as_ints()[0], ends[2].as_ints()[0]);
        let made = (0..count as i64).map(|i| start.wrapping_add(i.wrapping_mul(step))).collect();
        return Ok(vec![Value::Constant(Constant::ints(vec![count], made))]);
    }
    let made = (0..count).map(|i| (start + i as f64 * step) as f32).collect();
    Ok(vec![Value::Constant(Constant::floats(vec![count], made))])
}

pub fn eye_like(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let [rows, columns] = *x.shape() else { return Err(call.build.refuse("its input is no matrix")) };
    let (k, count) = (call.int("k", 0)?, call.build.size(&[rows, columns])?);
    call.build.spend(count)?;
    let one = |i: usize| (i % columns.max(1)) as i64 == ((i / columns.max(1)) as i64).saturating_add(k);
    let made = (0..count).map(|i| f32::from(one(i))).collect();
    let made = Value::Constant(Constant::floats(vec![rows, columns], made));
    Ok(vec![match call.int("dtype", 1)? {
        6 | 7 => match &made {
            Value::Constant(c) => Value::Constant(Constant::ints(c.shape.clone(), c.as_ints().into_owned())),
            _ => made,
        },
        _ => made,
    }])
}

/// `If` has no value of its own: its branch is lowered in its place.
pub fn never(call: &mut Call) -> Made {
    Err(call.build.refuse("it has no fixed branch"))
}
