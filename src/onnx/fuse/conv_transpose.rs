//! A convolution over zeros between the entries of its input is a transposed convolution, which does without them. The
//! reader of transposed convolutions with a weight that depends on the latent makes such; a fusion of that weight
//! leaves them as ordinary ones.

use super::super::kind::{Kind, Window};
use super::super::tensor::Constant;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion = Fusion {
    name: "conv_transpose",
    about: "a convolution over zeros between the entries of its input is a transposed one",
    rule,
};

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Conv { weight, bias, window }, [stuffed]) = (&node.kind, &node.inputs[..]) else { return None };
    let (Kind::Rearrange { index: Some(index), fill: 0.0 }, x) = scene.made(*stuffed)? else { return None };
    let [channels, height, width] = window.input;
    let [out, depth, kh, kw] = weight.shape[..] else { return None };
    let plain = window.stride == [1, 1] && window.pads == [0; 4] && index.len() == channels * height * width;
    if !plain || scene.shared(weight) || index.is_empty() || !scene.only(*stuffed, at) {
        return None;
    }
    let plane = index.get(..height * width)?;
    let area = scene.features(x) / channels;
    // The input's own sides: as many columns as the first row with entries has, the rest is rows.
    let first = plane.chunks(width).find(|row| row.iter().any(|at| *at >= 0))?;
    let columns = first.iter().filter(|at| **at >= 0).count();
    let sides = [area / columns.max(1), columns];
    let down: Vec<i32> =
        plane.chunks(width).map(|row| row.iter().max().map_or(-1, |at| at.div_euclid(columns as i32))).collect();
    let across: Vec<i32> = first.iter().map(|at| if *at < 0 { -1 } else { at % columns as i32 }).collect();
    let (rows, columns) = (Axis::of(&down, sides[0])?, Axis::of(&across, sides[1])?);
    // The whole index follows from the two axes.
    let from = |i: usize| match (rows.at(i / width % height), columns.at(i % width)) {
        (Some(r), Some(c)) => ((i / (height * width) * sides[0] + r) * sides[1] + c) as i32,
        _ => -1,
    };
    let follows = index.iter().enumerate().all(|(i, &at)| at == from(i));
    if !follows || rows.stride * columns.stride < 2 || sides[0] * sides[1] * channels != scene.features(x) {
        return None;
    }
    let reach = [kh.checked_sub(1)? * window.dilation[0], kw.checked_sub(1)? * window.dilation[1]];
    let output = [height.checked_sub(reach[0])?, width.checked_sub(reach[1])?];
    // What stands before the first entry, without the reach of the kernel, is a pad.
    let before = [rows.begin(reach[0])?, columns.begin(reach[1])?];
    let after = |axis: usize, stride: usize| {
        (stride * (sides[axis] - 1) + reach[axis] + 1).saturating_sub(before[axis] + output[axis])
    };
    let pads = [before[0], before[1], after(0, rows.stride), after(1, columns.stride)];
    let window = Window {
        input: [channels, sides[0], sides[1]],
        stride: [rows.stride, columns.stride],
        pads,
        dilation: window.dilation,
        groups: window.groups,
    };
    let groups = window.groups.max(1);
    let (own_out, tap) = ((out / groups).max(1), kh * kw);
    let values = weight.as_floats();
    // [in, out / groups, ...] from [out, in / groups, ...], turned round.
    let turned = (0..values.len()).map(|i| {
        let (c, o, place) = (i / (tap * own_out), i / tap % own_out, tap - 1 - i % tap);
        values.get(((c / depth * own_out + o) * depth + c % depth) * tap + place).copied()
    });
    let turned = turned.collect::<Option<Vec<f32>>>()?;
    let weight = Constant::floats(vec![channels, own_out, kh, kw], turned);
    let mut draft = Draft::new(scene, at, at + 1);
    draft.add(Kind::ConvTranspose { weight, bias: bias.clone(), window, output }, vec![x], &node.shape);
    draft.done()
}

/// Entries along an axis with the same number of zeros between them.
struct Axis {
    stride: usize,
    /// Where the entry `origin` would stand: at 0 plus `origin` from the start, to the left of it where negative.
    origin: i64,
    length: usize,
}

impl Axis {
    /// The axis whose places hold these entries, -1 for none.
    fn of(places: &[i32], length: usize) -> Option<Self> {
        let mut held = places.iter().enumerate().filter(|(_, at)| **at >= 0).map(|(p, at)| (p as i64, i64::from(*at)));
        let (place, entry) = held.next()?;
        let stride = match held.next() {
            Some((next, other)) if other == entry + 1 => next - place,
            Some(_) => return None,
            // A single entry: everything else is a border.
            None => 1,
        };
        (stride > 0).then_some(Self { stride: stride as usize, origin: place - entry * stride, length })
    }

    /// The entry at a place.
    fn at(&self, place: usize) -> Option<usize> {
        let from = place as i64 - self.origin;
        let stride = self.stride as i64;
        (from >= 0 && from % stride == 0).then_some((from / stride) as usize).filter(|at| *at < self.length)
    }

    /// What a transposed convolution cuts off at the start.
    fn begin(&self, reach: usize) -> Option<usize> {
        usize::try_from(reach as i64 - self.origin).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::kind::View;
    use super::super::tests::Made;
    use super::super::{FUSIONS, apply};
    use super::*;

    fn numbers(shape: &[usize]) -> Constant {
        let count = shape.iter().product();
        Constant::floats(shape.to_vec(), (0..count).map(|i: usize| ((i * 7) % 13) as f32 / 6.0 - 0.9).collect())
    }

    /// Sides of a transposed convolution.
    #[derive(Clone, Copy)]
    struct Way {
        sides: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        pads: [usize; 2],
        dilation: usize,
        output: [usize; 2],
        groups: usize,
    }

    /// The convolution of 4 channels that the reader makes of a transposed one, with a live weight if there is a style.
    fn stuffed(way: Way, styled: bool) -> Made {
        let Way { sides, kernel, stride, pads, dilation, output, groups } = way;
        let mut made = Made::new(4 * sides[0] * sides[1]);
        let reach = kernel.map(|k| (k - 1) * dilation);
        let wide = [output[0] + reach[0], output[1] + reach[1]];
        let place = |axis: usize, p: usize| {
            let at = (p + pads[axis]).checked_sub(reach[axis])?;
            (at % stride[axis] == 0).then_some(at / stride[axis]).filter(|at| *at < sides[axis])
        };
        let index = (0..4 * wide[0] * wide[1]).map(|i| {
            let (c, r, s) = (i / (wide[0] * wide[1]), i / wide[1] % wide[0], i % wide[1]);
            match (place(0, r), place(1, s)) {
                (Some(r), Some(s)) => ((c * sides[0] + r) * sides[1] + s) as i32,
                _ => -1,
            }
        });
        let index: Vec<i32> = index.collect();
        let x = made.unary("sin", 0);
        let x = made.rearrange(x, &index, &[4, wide[0], wide[1]]);
        let window =
            Window { input: [4, wide[0], wide[1]], stride: [1, 1], pads: [0; 4], dilation: [dilation; 2], groups };
        let shape = [6, 4 / groups, kernel[0], kernel[1]];
        if !styled {
            let kind = Kind::Conv { weight: numbers(&shape), bias: Some(numbers(&[6])), window };
            made.add(kind, &[x], &[6, output[0], output[1]]);
            return made;
        }
        let count: usize = shape.iter().product();
        let size = count / 6;
        let from = |i: usize| i / size / (6 / groups) * (4 / groups) + i / (kernel[0] * kernel[1]) % (4 / groups);
        let style =
            made.add(Kind::Dense { weight: numbers(&[4, 4 * sides[0] * sides[1]]), bias: None, rows: 1 }, &[0], &[4]);
        let style = made.rearrange(style, &(0..count).map(|i| from(i) as i32).collect::<Vec<_>>(), &shape);
        let view = View { outer: 1, mid: count, inner: 1 };
        let w = made.add(Kind::Affine { view, scale: Some(numbers(&shape)), shift: None }, &[style], &shape);
        made.add(Kind::ConvLive { kernel: shape, window }, &[x, w], &[6, output[0], output[1]]);
        made
    }

    const UP: Way =
        Way { sides: [3, 4], kernel: [3, 3], stride: [2, 2], pads: [1, 1], dilation: 1, output: [5, 7], groups: 1 };

    #[test]
    fn it_fires_for_all_sides() {
        for way in [
            UP,
            Way { output: [6, 8], ..UP },
            Way { pads: [0, 0], output: [7, 9], ..UP },
            Way { pads: [3, 0], output: [3, 9], groups: 2, ..UP },
            Way { kernel: [4, 2], stride: [3, 1], pads: [1, 0], output: [8, 5], ..UP },
            Way { dilation: 2, pads: [2, 2], output: [5, 7], ..UP },
            Way { sides: [1, 4], kernel: [1, 4], stride: [1, 2], pads: [0, 1], output: [1, 8], ..UP },
        ] {
            let mut made = stuffed(way, false);
            made.fires(&FUSION, 1);
            assert_eq!(made.kinds(), ["unary sin", "conv_transpose"]);
            let Kind::ConvTranspose { window, .. } = &made.graph.nodes[1].kind else { panic!() };
            assert_eq!((window.stride, [window.pads[0], window.pads[1]]), (way.stride, way.pads));
            // With a live weight, from the style to the end.
            let mut made = stuffed(way, true);
            let before = made.value();
            let fused = apply(&mut made.graph, &FUSIONS.iter().collect::<Vec<_>>());
            assert_eq!((fused.get("live_weight"), fused.get(FUSION.name)), (Some(&1), Some(&1)), "{fused:?}");
            let largest = before.iter().fold(0f32, |a, v| a.max(v.abs()));
            assert!(before.iter().zip(made.value()).all(|(a, b)| (a - b).abs() < 2e-6 * largest));
        }
    }

    #[test]
    fn it_does_not_fire_for_other_zeros() {
        // No zeros between entries: an ordinary border.
        stuffed(Way { stride: [1, 1], pads: [0, 0], output: [5, 6], ..UP }, false).fires(&FUSION, 0);
        // Entries that do not follow each other.
        let mut made = stuffed(UP, false);
        let Kind::Rearrange { index: Some(index), .. } = &mut made.graph.nodes[1].kind else { panic!() };
        let mut other = index.to_vec();
        let at = other.iter().position(|i| *i == 1).unwrap();
        other[at] = 2;
        *index = other.into();
        made.fires(&FUSION, 0);
        let mut made = stuffed(UP, false);
        made.output_also(2);
        made.fires(&FUSION, 0);
    }
}
