//! Convolutions, with constant weights and with weights that depend on the latent.

use super::super::arithmetic::Op;
use super::super::build::Value;
use super::super::kind::{Kind, Window};
use super::super::shapes::told;
use super::super::tensor::{Constant, Element};
use super::Call;
use crate::error::Result;

type Made = Result<Vec<Value>>;

/// What both kinds of convolution read from a node, for two axes; a picture of one axis has height 1.
struct Plan {
    batch: usize,
    /// Axes of the picture: 1 or 2.
    axes: usize,
    kernel: [usize; 2],
    window: Window,
    /// What `pads` or `auto_pad` ask for, before it is settled.
    same: Option<bool>,
}

/// Two sizes of which the first is `missing` in a picture of one axis.
fn two(list: &[usize], missing: usize) -> [usize; 2] {
    match *list {
        [w] => [missing, w],
        [h, w, ..] => [h, w],
        [] => [missing; 2],
    }
}

fn plan(call: &Call, x: &Value, weight: &Value) -> Result<Plan> {
    let axes = x.shape().len().saturating_sub(2);
    if !(1..=2).contains(&axes) || weight.shape().len() != axes + 2 {
        let (x, w) = (told(x.shape()), told(weight.shape()));
        return Err(call.build.refuse(format!("an input of shape {x} with a weight of {w}; one or two axes are read")));
    }
    let list = |name: &str, least: i64, missing: usize, count: usize| match call.ints(name)? {
        Some(list) => call.sizes(name, &list, least, count),
        None => Ok(vec![missing; count]),
    };
    let kernel = weight.shape()[2..].to_vec();
    if call.ints("kernel_shape")?.is_some_and(|k| k.iter().map(|&k| k as usize).ne(kernel.iter().copied())) {
        return Err(call.build.refuse("its kernel_shape is not that of its weight"));
    }
    let [strides, dilations] = [list("strides", 1, 1, axes)?, list("dilations", 1, 1, axes)?];
    let groups = call.sizes("group", &[call.int("group", 1)?], 1, 1)?[0];
    let (same, pads) = match call.text("auto_pad", &["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])? {
        "NOTSET" => (None, list("pads", 0, 0, 2 * axes)?),
        "VALID" => (None, vec![0; 2 * axes]),
        upper => (Some(upper == "SAME_UPPER"), vec![0; 2 * axes]),
    };
    let ([top, left], [bottom, right]) = (two(&pads[..axes], 0), two(&pads[axes..], 0));
    let [height, width] = two(&x.shape()[2..], 1);
    let window = Window {
        input: [x.shape()[1], height, width],
        stride: two(&strides, 1),
        pads: [top, left, bottom, right],
        dilation: two(&dilations, 1),
        groups,
    };
    let kernel = two(&kernel, 1);
    if weight.features() == 0 || x.features() == 0 {
        return Err(call.build.refuse("an input is empty"));
    }
    Ok(Plan { batch: x.shape()[0], axes, kernel, window, same })
}

impl Plan {
    /// Shape of the result for `channels` channels of these sides.
    fn shape(&self, channels: usize, [height, width]: [usize; 2]) -> Vec<usize> {
        let mut shape = vec![self.batch, channels];
        shape.extend([height].iter().filter(|_| self.axes == 2));
        shape.push(width);
        shape
    }

    /// The same for all samples at once: their channels stand behind each other, each sample in groups of its own.
    fn joined(&self) -> Window {
        let mut window = self.window.clone();
        window.groups *= self.batch;
        window.input[0] *= self.batch;
        window
    }
}

/// `value`, whose first axis stands for the channels of one sample, as often as there are samples.
fn repeated(call: &mut Call, value: &Value, times: usize) -> Result<Value> {
    if times == 1 {
        return Ok(value.clone());
    }
    let mut one = vec![1];
    one.extend_from_slice(value.shape());
    let mut many = one.clone();
    many[0] = times;
    let mut joined = value.shape().to_vec();
    joined[0] = joined[0].saturating_mul(times);
    let value = call.build.reshape(value, one)?;
    let value = call.build.spread(&value, &many)?;
    call.build.reshape(&value, joined)
}

/// The optional bias, which must have an entry for each channel.
fn bias(call: &Call, channels: usize) -> Result<Option<Value>> {
    match call.optional(2) {
        Some(b) if b.features() != channels => {
            Err(call.build.refuse(format!("its bias has {} values, expected {channels}", b.features())))
        }
        other => Ok(other),
    }
}

pub fn conv(call: &mut Call) -> Made {
    let (x, weight) = (call.x(0)?, call.x(1)?);
    let mut plan = plan(call, &x, &weight)?;
    let (out, each, groups) = (weight.shape()[0], weight.shape()[1], plan.window.groups);
    if each.checked_mul(groups) != Some(plan.window.input[0]) || out % groups != 0 {
        let (x, w) = (told(x.shape()), told(weight.shape()));
        return Err(call
            .build
            .refuse(format!("an input of shape {x} does not fit a weight of {w} in {groups} groups")));
    }
    let window = &mut plan.window;
    for axis in 0..2 {
        let (side, kernel, stride) = (window.input[axis + 1], plan.kernel[axis], window.stride[axis]);
        let reach = (kernel - 1) * window.dilation[axis] + 1;
        if let Some(upper) = plan.same {
            let total = ((side.div_ceil(stride) - 1) * stride + reach).saturating_sub(side);
            let begin = if upper { total / 2 } else { total - total / 2 };
            (window.pads[axis], window.pads[axis + 2]) = (begin, total - begin);
        }
        if side + window.pads[axis] + window.pads[axis + 2] < reach {
            return Err(call
                .build
                .refuse(format!("a kernel that reaches over {reach} does not fit an axis of {side}")));
        }
    }
    let sides = window.output(plan.kernel[0], plan.kernel[1]);
    let shape = plan.shape(out, sides);
    call.build.size(&shape)?;
    let bias = bias(call, out)?;
    let window = plan.joined();
    let kernel = [out * plan.batch, each, plan.kernel[0], plan.kernel[1]];
    let weight = repeated(call, &weight, plan.batch)?;
    let Value::Constant(weight) = weight else {
        let y = call.build.emit(Kind::ConvLive { kernel, window }, &[&x, &weight], shape, Element::Float)?;
        return with_bias(call, y, bias);
    };
    let (inside, later) = split(call, bias, plan.batch)?;
    let kind = Kind::Conv { weight: weight.reshaped(kernel.to_vec()), bias: inside, window };
    let y = call.build.emit(kind, &[&x], shape, Element::Float)?;
    with_bias(call, y, later)
}

/// A bias as part of the convolution where it is constant, for all samples; else as something to add later.
fn split(call: &mut Call, bias: Option<Value>, batch: usize) -> Result<(Option<Constant>, Option<Value>)> {
    match bias {
        Some(Value::Constant(b)) => Ok((repeated(call, &Value::Constant(b), batch)?.constant().cloned(), None)),
        other => Ok((None, other)),
    }
}

/// A bias for each channel added to a result.
fn with_bias(call: &mut Call, y: Value, bias: Option<Value>) -> Made {
    let Some(bias) = bias else { return Ok(vec![y]) };
    let mut shape = vec![1; y.shape().len() - 1];
    shape[0] = bias.features();
    let bias = call.build.reshape(&bias, shape)?;
    Ok(vec![call.build.binary(Op::Add, &y, &bias)?])
}

pub fn conv_transpose(call: &mut Call) -> Made {
    let (x, weight) = (call.x(0)?, call.x(1)?);
    let mut plan = plan(call, &x, &weight)?;
    let groups = plan.window.groups;
    if weight.shape()[0] != plan.window.input[0] || !weight.shape()[0].is_multiple_of(groups) {
        let (x, w) = (told(x.shape()), told(weight.shape()));
        return Err(call
            .build
            .refuse(format!("an input of shape {x} does not fit a weight of {w} in {groups} groups")));
    }
    let Some(out) = weight.shape()[1].checked_mul(groups) else {
        return Err(call.build.refuse("its weight is too large"));
    };
    let more = match call.ints("output_padding")? {
        Some(more) => two(&call.sizes("output_padding", &more, 0, plan.axes)?, 0),
        None => [0; 2],
    };
    let wanted = match call.ints("output_shape")? {
        // Old files also give the batch and the channels.
        Some(list) => {
            let sides = &list[list.len().saturating_sub(plan.axes)..];
            Some(two(&call.sizes("output_shape", sides, 1, plan.axes)?, 1))
        }
        None => None,
    };
    let window = &mut plan.window;
    let mut output = [1; 2];
    for axis in 0..2 {
        let (side, stride) = (window.input[axis + 1], window.stride[axis]);
        let whole = stride * (side - 1) + more[axis] + (plan.kernel[axis] - 1) * window.dilation[axis] + 1;
        let fixed = wanted.map(|w| w[axis]).or(plan.same.map(|_| side * stride));
        output[axis] = match fixed {
            Some(length) => {
                let total = whole.saturating_sub(length);
                let begin = if plan.same == Some(true) { total / 2 } else { total - total / 2 };
                (window.pads[axis], window.pads[axis + 2]) = (begin, total - begin);
                length
            }
            None => match whole.checked_sub(window.pads[axis] + window.pads[axis + 2]).filter(|n| *n > 0) {
                Some(length) => length,
                None => return Err(call.build.refuse("its pads leave nothing of the result")),
            },
        };
    }
    let shape = plan.shape(out, output);
    call.build.size(&shape)?;
    let bias = bias(call, out)?;
    let Value::Constant(weight) = repeated(call, &weight, plan.batch)? else {
        let y = turned(call, &x, &weight, &plan, output)?;
        let y = call.build.reshape(&y, shape)?;
        return with_bias(call, y, bias);
    };
    let window = plan.joined();
    let kernel = vec![weight.shape[0], weight.shape[1], plan.kernel[0], plan.kernel[1]];
    let (inside, later) = split(call, bias, plan.batch)?;
    let kind = Kind::ConvTranspose { weight: weight.reshaped(kernel), bias: inside, window, output };
    let y = call.build.emit(kind, &[&x], shape, Element::Float)?;
    with_bias(call, y, later)
}

/// A transposed convolution with a live weight, as a convolution: the input gets its border and zeros between its
/// entries, the weight is turned round and its channels change places.
fn turned(call: &mut Call, x: &Value, weight: &Value, plan: &Plan, output: [usize; 2]) -> Result<Value> {
    let (window, [kh, kw], n) = (&plan.window, plan.kernel, plan.batch);
    let ([channels, height, width], groups) = (window.input, window.groups);
    let mut lists = vec![None, None];
    let mut sides = [0; 2];
    for (axis, side) in [height, width].into_iter().enumerate() {
        let reach = (plan.kernel[axis] - 1) * window.dilation[axis];
        sides[axis] = output[axis] + reach;
        call.build.size(&[channels * n, sides[axis]])?;
        let place = |p: usize| {
            let at = (p + window.pads[axis]).checked_sub(reach)?;
            (at % window.stride[axis] == 0).then_some(at / window.stride[axis]).filter(|at| *at < side)
        };
        lists.push(Some((0..sides[axis]).map(|p| place(p).map_or(-1, |at| at as i32)).collect()));
    }
    let x = call.build.reshape(x, vec![n, channels, height, width])?;
    let x = call.build.pick(&x, lists, 0.0)?;
    let (each_in, each_out) = (channels / groups, weight.shape()[1]);
    let w = call.build.reshape(weight, vec![groups, each_in, each_out, kh, kw])?;
    let w = call.build.transpose(&w, &[0, 2, 1, 3, 4])?;
    let back = |side: usize| Some((0..side as i32).rev().collect::<Vec<i32>>());
    let w = call.build.pick(&w, vec![None, None, None, back(kh), back(kw)], 0.0)?;
    let w = call.build.reshape(&w, vec![groups * each_out, each_in, kh, kw])?;
    let w = repeated(call, &w, n)?;
    let joined = Window {
        input: [channels * n, sides[0], sides[1]],
        stride: [1, 1],
        pads: [0; 4],
        dilation: window.dilation,
        groups: groups * n,
    };
    let kernel = [groups * each_out * n, each_in, kh, kw];
    let shape = vec![n, groups * each_out, output[0], output[1]];
    call.build.emit(Kind::ConvLive { kernel, window: joined }, &[&x, &w], shape, Element::Float)
}

/// `Col2Im`: windows put back in their places and added, which is a transposed convolution whose weight is one for each
/// place of the window.
pub fn col2im(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let (Some(image), Some(block)) = (call.ints_of(1, "image_shape")?, call.ints_of(2, "block_shape")?) else {
        return Err(call.build.refuse("its image_shape or block_shape is missing"));
    };
    let (image, block) = (call.sizes("image_shape", &image, 1, 2)?, call.sizes("block_shape", &block, 1, 2)?);
    let list = |name: &str, least: i64, missing: usize, count: usize| match call.ints(name)? {
        Some(list) => call.sizes(name, &list, least, count),
        None => Ok(vec![missing; count]),
    };
    let (stride, dilation) = (two(&list("strides", 1, 1, 2)?, 1), two(&list("dilations", 1, 1, 2)?, 1));
    let pads = list("pads", 0, 0, 4)?;
    let places = |axis: usize| {
        let whole = image[axis] + pads[axis] + pads[axis + 2];
        whole.checked_sub((block[axis] - 1) * dilation[axis] + 1).map(|room| room / stride[axis] + 1)
    };
    let (size, [n, columns, length]) = (
        call.build.size(&block)?,
        match *x.shape() {
            [n, columns, length] => [n, columns, length],
            _ => return Err(call.build.refuse(format!("its input of shape {} has not three axes", told(x.shape())))),
        },
    );
    let (Some(rows), Some(across)) = (places(0), places(1)) else {
        return Err(call.build.refuse("its window does not fit its image"));
    };
    if rows.checked_mul(across) != Some(length) || columns % size != 0 || x.features() == 0 {
        let shape = told(x.shape());
        return Err(call
            .build
            .refuse(format!("its input of shape {shape} is not {rows} by {across} windows of {size}")));
    }
    let channels = n * columns;
    let count = call.build.size(&[channels, size])?;
    call.build.spend(count)?;
    let one = (0..count).map(|i| f32::from(i / size % size == i % size)).collect();
    let weight = Constant::floats(vec![channels, 1, block[0], block[1]], one);
    let input = [channels, rows, across];
    let pads = [pads[0], pads[1], pads[2], pads[3]];
    let window = Window { input, stride, pads, dilation, groups: channels / size };
    let output = [image[0], image[1]];
    let shape = vec![n, columns / size, image[0], image[1]];
    let kind = Kind::ConvTranspose { weight, bias: None, window, output };
    Ok(vec![call.build.emit(kind, &[&x], shape, Element::Float)?])
}
