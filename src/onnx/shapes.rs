//! Arithmetic of shapes: strides, broadcasting, index vectors.

use super::kind::View;

/// Steps in a flat value for one step along each axis.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// For each place of `shape`, in C order, the sum of its coordinates times `steps`, all of which must lie in a value of
/// fewer than 2³¹ entries.
pub fn walk(shape: &[usize], steps: &[usize]) -> Vec<i32> {
    let mut index = vec![0i32];
    for (&side, &step) in shape.iter().zip(steps) {
        index = match side {
            1 => index,
            _ => index.iter().flat_map(|&base| (0..side).map(move |at| base + (at * step) as i32)).collect(),
        };
    }
    index
}

/// For each place the entry of a value of shape `from` when each axis goes through a list of its coordinates, where
/// `None` is an axis as it is; -1 where a list holds -1.
pub fn picked(from: &[usize], lists: &[Option<Vec<i32>>]) -> Vec<i32> {
    let steps = strides(from);
    let mut index = vec![0i32];
    for (axis, list) in lists.iter().enumerate() {
        let step = steps[axis] as i32;
        let next = |base: i32, at: i32| if base < 0 || at < 0 { -1 } else { base + at * step };
        index = match list {
            Some(list) => index.iter().flat_map(|&base| list.iter().map(move |&at| next(base, at))).collect(),
            None => {
                let side = from[axis] as i32;
                index.iter().flat_map(|&base| (0..side).map(move |at| next(base, at))).collect()
            }
        };
    }
    index
}

/// The shape that two broadcast to.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let side = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let both = |axis| match (side(a, axis), side(b, axis)) {
        (x, y) if x == y => Some(x),
        (1, y) => Some(y),
        (x, 1) => Some(x),
        _ => None,
    };
    (0..rank).map(both).collect()
}

/// `shape` with ones before it, so that it has `rank` axes.
pub fn padded(shape: &[usize], rank: usize) -> Vec<usize> {
    let mut padded = vec![1; rank.saturating_sub(shape.len())];
    padded.extend_from_slice(shape);
    padded
}

/// The index vector that spreads a value of shape `from` over `to`, to which it broadcasts.
pub fn spread(from: &[usize], to: &[usize]) -> Vec<i32> {
    let from = padded(from, to.len());
    let steps: Vec<usize> =
        strides(&from).iter().zip(&from).map(|(&step, &side)| if side == 1 { 0 } else { step }).collect();
    walk(to, &steps)
}

/// The view of a value of shape `to` whose middle axis is all that a constant of shape `from`, which broadcasts to it,
/// varies over: the axes from its first to its last that is not 1. The second result is the constant's own shape there.
pub fn view_of(from: &[usize], to: &[usize]) -> (View, Vec<usize>) {
    let from = padded(from, to.len());
    let varies = |axis: &usize| from[*axis] != 1;
    let first = (0..to.len()).find(varies);
    let last = (0..to.len()).rev().find(varies);
    let (Some(first), Some(last)) = (first, last) else {
        return (View { outer: 1, mid: 1, inner: to.iter().product() }, Vec::new());
    };
    let view = View {
        outer: to[..first].iter().product(),
        mid: to[first..=last].iter().product(),
        inner: to[last + 1..].iter().product(),
    };
    (view, from[first..=last].to_vec())
}

/// The view whose middle axis is the axes `range` of `shape` taken together.
pub fn view(shape: &[usize], range: std::ops::Range<usize>) -> View {
    View {
        outer: shape[..range.start].iter().product(),
        mid: shape[range.clone()].iter().product(),
        inner: shape[range.end..].iter().product(),
    }
}

/// A shape for messages, as in `[1, 3, 8]`.
pub fn told(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", sides.join(", "))
}
