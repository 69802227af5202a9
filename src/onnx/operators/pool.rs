//! Pooling: the largest or the mean of a window of each channel.

use super::super::build::Value;
use super::super::kind::Kind;
use super::super::shapes::told;
use super::super::tensor::{Constant, Element};
use super::Call;
use crate::error::Result;
use std::sync::Arc;

type Made = Result<Vec<Value>>;

/// One axis of a pool.
struct Axis {
    side: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
    out: usize,
}

impl Axis {
    /// Places in the axis that window `at` covers, which may lie in the border.
    fn window(&self, at: usize) -> impl Iterator<Item = Option<usize>> + '_ {
        let place = move |k: usize| (at * self.stride + k * self.dilation).checked_sub(self.before);
        (0..self.kernel).map(move |k| place(k).filter(|p| *p < self.side))
    }

    /// How many places of window `at` lie in the axis with its borders.
    fn with_borders(&self, at: usize) -> usize {
        let whole = self.side + self.before + self.after;
        (0..self.kernel).filter(|k| at * self.stride + k * self.dilation < whole).count()
    }
}

fn axes(call: &Call, x: &Value) -> Result<Vec<Axis>> {
    let count = x.shape().len().saturating_sub(2);
    if count == 0 || x.features() == 0 {
        return Err(call.build.refuse(format!("its input of shape {} is no picture", told(x.shape()))));
    }
    let list = |name: &str, least: i64, missing: usize, count: usize| match call.ints(name)? {
        Some(list) => call.sizes(name, &list, least, count),
        None => Ok(vec![missing; count]),
    };
    let kernel = list("kernel_shape", 1, 0, count)?;
    let [strides, dilations] = [list("strides", 1, 1, count)?, list("dilations", 1, 1, count)?];
    let mode = call.text("auto_pad", &["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])?;
    let pads = if mode == "NOTSET" { list("pads", 0, 0, 2 * count)? } else { vec![0; 2 * count] };
    let ceil = call.int("ceil_mode", 0)? != 0;
    let one = |at: usize| {
        let (side, kernel, stride, dilation) = (x.shape()[at + 2], kernel[at], strides[at], dilations[at]);
        if kernel == 0 {
            return Err(call.build.refuse("its kernel_shape is missing"));
        }
        let reach = (kernel - 1) * dilation + 1;
        let (mut before, mut after) = (pads[at], pads[at + count]);
        if mode.starts_with("SAME") {
            let total = ((side.div_ceil(stride) - 1) * stride + reach).saturating_sub(side);
            before = if mode == "SAME_UPPER" { total / 2 } else { total - total / 2 };
            after = total - before;
        }
        let Some(room) = (side + before + after).checked_sub(reach).filter(|_| before < reach && after < reach) else {
            return Err(call
                .build
                .refuse(format!("a window that reaches over {reach} does not fit an axis of {side}")));
        };
        let mut out = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
        // The last window begins in the picture or the border before it.
        if ceil && (out - 1) * stride >= side + before {
            out -= 1;
        }
        Ok(Axis { side, kernel, stride, dilation, before, after, out })
    };
    (0..count).map(one).collect()
}

fn result(x: &Value, axes: &[Axis]) -> Vec<usize> {
    x.shape()[..2].iter().copied().chain(axes.iter().map(|a| a.out)).collect()
}

pub fn max_pool(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let axes = axes(call, &x)?;
    let shape = result(&x, &axes);
    let planes: usize = x.shape()[..2].iter().product();
    let width = axes.iter().try_fold(1usize, |n, a| n.checked_mul(a.kernel)).unwrap_or(usize::MAX);
    let outputs = call.build.size(&shape)?;
    let entries = call.build.size(&[outputs, width])?;
    call.build.index(entries)?;
    // Places in one channel, window by window: axis by axis, -1 in the border. Then those of all channels.
    let mut places = vec![0i32];
    let mut entries = 1;
    for axis in &axes {
        let mut next = Vec::with_capacity(places.len() * axis.out * axis.kernel);
        for (before, at) in places.chunks(entries).flat_map(|before| (0..axis.out).map(move |at| (before, at))) {
            for &base in before {
                let place =
                    |p: Option<usize>| p.filter(|_| base >= 0).map_or(-1, |p| base * axis.side as i32 + p as i32);
                next.extend(axis.window(at).map(place));
            }
        }
        places = next;
        entries *= axis.kernel;
    }
    if places.chunks(width).any(|window| window.iter().all(|&place| place < 0)) {
        return Err(call.build.refuse("a window lies in the border alone"));
    }
    let plane: usize = x.shape()[2..].iter().product();
    let mut index = Vec::with_capacity(planes * places.len());
    for channel in 0..planes {
        index.extend(places.iter().map(|&place| if place < 0 { -1 } else { (channel * plane) as i32 + place }));
    }
    let kind = Kind::WindowMax { index: Arc::new(index), width };
    Ok(vec![call.build.emit(kind, &[&x], shape, Element::Float)?])
}

pub fn average_pool(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let axes = axes(call, &x)?;
    let border_counts = call.int("count_include_pad", 0)? != 0;
    let mut y = x;
    for (at, axis) in axes.iter().enumerate() {
        let count = call.build.size(&[axis.out, axis.side])?;
        call.build.spend(count)?;
        call.build.work(axis.out.saturating_mul(axis.kernel))?;
        let mut matrix = vec![0f32; count];
        for window in 0..axis.out {
            let inside: Vec<usize> = axis.window(window).flatten().collect();
            let share = if border_counts { axis.with_borders(window) } else { inside.len() };
            for place in inside {
                matrix[window * axis.side + place] += (1.0 / share.max(1) as f64) as f32;
            }
        }
        let matrix = Constant::floats(vec![axis.out, axis.side], matrix);
        y = call.build.axis_mix(&y, at + 2..at + 3, matrix, &[axis.out])?;
    }
    Ok(vec![y])
}

/// The axes of the picture of a global pool.
fn picture(call: &Call, x: &Value) -> Result<usize> {
    match x.shape().len() > 2 && x.features() > 0 {
        true => Ok(x.shape()[2..].iter().product()),
        false => Err(call.build.refuse(format!("its input of shape {} is no picture", told(x.shape())))),
    }
}

pub fn global_average_pool(call: &mut Call) -> Made {
    let x = call.x(0)?;
    picture(call, &x)?;
    let axes: Vec<usize> = (2..x.shape().len()).collect();
    Ok(vec![call.build.sums(&x, &axes, true, true)?])
}

pub fn global_max_pool(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let width = picture(call, &x)?;
    let count = call.build.size(x.shape())?;
    call.build.index(count)?;
    let mut shape = vec![1; x.shape().len()];
    shape[..2].copy_from_slice(&x.shape()[..2]);
    let kind = Kind::WindowMax { index: Arc::new((0..count as i32).collect()), width };
    Ok(vec![call.build.emit(kind, &[&x], shape, Element::Float)?])
}
