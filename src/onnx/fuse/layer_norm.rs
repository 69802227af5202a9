//! Norms in the pieces that exporters write where the file's version has no operator for them: what is left when the
//! mean is taken off (or x itself), divided by the root of the mean of its squares plus epsilon.

use super::super::kind::{Kind, View};
use super::super::tensor::decimal;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene, square_of};

pub const FUSION: Fusion =
    Fusion { name: "layer_norm", about: "a norm written as means, squares and a root is one node", rule };

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    match (&node.kind, &node.inputs[..]) {
        (Kind::Quotient, [c, r]) => whole(scene, at, *c, *r, false),
        (Kind::Product, [a, b]) => whole(scene, at, *a, *b, true).or_else(|| whole(scene, at, *b, *a, true)),
        _ => None,
    }
}

/// A norm of `c`, which is divided by `r` or multiplied by it, where it is an inverse.
fn whole(scene: &Scene, at: usize, c: usize, r: usize, inverse: bool) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Rearrange { index: Some(spread), .. }, divisor) = scene.made(r)? else { return None };
    let (mut id, mut inside) = under_root(scene, divisor, inverse)?;
    inside.push(r);
    let (mut scale, mut eps) = (1.0, 0.0);
    if let Some((s, t, input)) = scene.line(id) {
        inside.push(id);
        (scale, eps, id) = (s, decimal(t as f32), input);
    }
    let (squares, view) = mean(scene, id, scale)?;
    inside.push(id);
    inside.push(squares);
    if square_of(scene, squares) != Some(c) || !(0.0..1e3).contains(&eps) || !spreads(spread, view) {
        return None;
    }
    let mut x = c;
    if let Some((centred, parts)) = uncentred(scene, c, view) {
        inside.extend(parts);
        x = centred;
    }
    if !scene.inside(&inside, at) {
        return None;
    }
    let centred = x != c;
    let (outer, size) = (view.outer * view.inner, view.mid);
    let own = View { outer, mid: size, inner: 1 };
    let norm = Kind::Normalise { outer, size, eps, centred, view: own, scale: None, shift: None };
    let mut draft = Draft::new(scene, at, at + 1);
    if view.inner == 1 {
        draft.add(norm, vec![x], &node.shape);
        return draft.done();
    }
    // The axis goes to the end and back.
    if !scene.room(2 * outer * size) {
        return None;
    }
    let turned = draft.rearrange(turn(view.outer, size, view.inner), x, &[view.outer, view.inner, size]);
    let y = draft.add(norm, vec![turned], &[view.outer, view.inner, size]);
    draft.rearrange(turn(view.outer, view.inner, size), y, &node.shape);
    draft.done()
}

/// What a value is the root of, or one by its root; and the values on the way.
fn under_root(scene: &Scene, id: usize, inverse: bool) -> Option<(usize, Vec<usize>)> {
    match (scene.made(id)?, inverse) {
        ((Kind::Unary { function: "sqrt", .. }, x), false) => Some((x, vec![id])),
        ((Kind::Unary { function: "power", a: Some(-0.5), .. }, x), true) => Some((x, vec![id])),
        ((Kind::Unary { function: "reciprocal", .. }, root), true) => match scene.made(root)? {
            (Kind::Unary { function: "sqrt", .. }, x) => Some((x, vec![id, root])),
            _ => None,
        },
        _ => None,
    }
}

/// What a value is the mean of, times `scale`, and along which axis.
fn mean(scene: &Scene, id: usize, scale: f64) -> Option<(usize, View)> {
    let (Kind::AxisMix { matrix, view }, input) = scene.made(id)? else { return None };
    let share = f64::from(matrix.uniform()?) * scale * view.mid as f64;
    (matrix.len() == view.mid && (share - 1.0).abs() < 2.4e-7).then_some((input, *view))
}

/// Whether an index spreads a mean along the middle axis over that axis.
fn spreads(index: &[i32], view: View) -> bool {
    let View { outer, mid, inner } = view;
    let from = |i: usize| (i / (mid * inner) * inner + i % inner) as i32;
    mid * inner > 0 && index.len() == outer * mid * inner && index.iter().enumerate().all(|(i, &at)| at == from(i))
}

/// What a value is after its mean was taken off, and the values on the way.
fn uncentred(scene: &Scene, c: usize, view: View) -> Option<(usize, [usize; 3])> {
    let (Kind::Sum([1.0, -1.0]), x) = scene.made(c)? else { return None };
    let spread = *scene.maker(c)?.inputs.get(1)?;
    let (Kind::Rearrange { index: Some(index), .. }, centre) = scene.made(spread)? else { return None };
    let (of, along) = mean(scene, centre, 1.0)?;
    (of == x && along == view && spreads(index, view)).then_some((x, [c, spread, centre]))
}

/// The index that turns `[outer, rows, columns]` into `[outer, columns, rows]`.
fn turn(outer: usize, rows: usize, columns: usize) -> Vec<i32> {
    let one = |o: usize, c: usize| (0..rows).map(move |r| ((o * rows + r) * columns + c) as i32);
    (0..outer).flat_map(|o| (0..columns).flat_map(move |c| one(o, c))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::Constant;
    use super::super::tests::Made;
    use super::*;

    /// Ways of writing a norm over the middle axis of `view`.
    #[derive(Clone, Copy)]
    struct Way {
        view: View,
        centred: bool,
        divides: bool,
        power: bool,
        count: usize,
    }

    fn written(way: Way) -> Made {
        let Way { view, centred, divides, power, count } = way;
        let View { outer, mid, inner } = view;
        let features = outer * mid * inner;
        let mut made = Made::new(features);
        let x = made.line(0, 2.0, 0.5);
        let share = Constant::floats(vec![1, mid], vec![1.0 / count as f32; mid]);
        let spread: Vec<i32> = (0..features).map(|i| (i / (mid * inner) * inner + i % inner) as i32).collect();
        let shape = [outer, mid, inner];
        let mut c = x;
        if centred {
            let mean = made.add(Kind::AxisMix { matrix: share.clone(), view }, &[x], &[outer, 1, inner]);
            let mean = made.rearrange(mean, &spread, &shape);
            c = made.add(Kind::Sum([1.0, -1.0]), &[x, mean], &shape);
        }
        let square = match power {
            true => made.add(Kind::Unary { function: "power", a: Some(2.0), b: None }, &[c], &shape),
            false => made.add(Kind::Product, &[c, c], &shape),
        };
        let var = made.add(Kind::AxisMix { matrix: share, view }, &[square], &[outer, 1, inner]);
        let var = made.line(var, 1.0, 1e-5);
        let root = made.unary("sqrt", var);
        let root = if divides { root } else { made.unary("reciprocal", root) };
        let root = made.rearrange(root, &spread, &shape);
        made.add(if divides { Kind::Quotient } else { Kind::Product }, &[c, root], &shape);
        made
    }

    const LINE: View = View { outer: 3, mid: 5, inner: 1 };

    #[test]
    fn it_fires_for_all_ways_of_writing() {
        for centred in [false, true] {
            for (divides, power) in [(true, true), (false, false)] {
                let mut made = written(Way { view: LINE, centred, divides, power, count: 5 });
                made.fires(&FUSION, 1);
                assert_eq!(made.kinds(), ["affine", "normalise"]);
                let view = View { outer: 2, mid: 3, inner: 4 };
                let mut made = written(Way { view, centred, divides, power, count: 3 });
                made.fires(&FUSION, 1);
                assert_eq!(made.kinds(), ["affine", "rearrange", "normalise", "rearrange"]);
            }
        }
    }

    #[test]
    fn it_does_not_fire_for_another_divisor_or_with_other_readers() {
        // The variance of a sample, with one less in the divisor.
        let way = Way { view: LINE, centred: true, divides: true, power: true, count: 4 };
        written(way).fires(&FUSION, 0);
        let way = Way { count: 5, ..way };
        for part in 2..=9 {
            let mut made = written(way);
            let part = made.line(part, 1.0, 0.25);
            made.output_also(part);
            made.fires(&FUSION, 0);
        }
    }
}
