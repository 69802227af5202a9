//! A softmax, or its logarithm, does not change when the same number is taken off all entries of a line. Exporters
//! write such a number, the largest of the line, for safety; the softmax of the engine takes it off by itself.

use super::super::kind::{Kind, View};
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion =
    Fusion { name: "softmax_shift", about: "nothing is added to all entries of a line before a softmax", rule };

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let Kind::Softmax { view, .. } = &node.kind else { return None };
    let sum = *node.inputs.first()?;
    let x = match (scene.maker(sum)?, scene.line(sum)) {
        (_, Some((1.0, _, x))) => x,
        (Built { kind: Kind::Sum([f, g]), inputs, .. }, _) => match inputs[..] {
            [x, off] if *f == 1.0 && level(scene, off, *view) => x,
            [off, x] if *g == 1.0 && level(scene, off, *view) => x,
            _ => return None,
        },
        _ => return None,
    };
    if !scene.only(sum, at) {
        return None;
    }
    let mut draft = Draft::new(scene, at, at + 1);
    draft.add(node.kind.clone(), vec![x], &node.shape);
    draft.done()
}

/// Whether all entries of a line along the middle axis of `view` are one value.
fn level(scene: &Scene, id: usize, view: View) -> bool {
    let Some((Kind::Rearrange { index: Some(index), .. }, _)) = scene.made(id) else { return false };
    let (mid, inner) = (view.mid, view.inner.max(1));
    let first = |i: usize| i / (mid * inner) * mid * inner + i % inner;
    mid > 0 && index.iter().enumerate().all(|(i, from)| *from >= 0 && index.get(first(i)) == Some(from))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    /// The softmax of `[2, 3]` minus something spread by `index`.
    fn minus(index: &[i32], log: bool, factors: [f32; 2]) -> Made {
        let mut made = Made::new(6);
        let off = made.unary("sin", 0);
        let off = made.rearrange(off, index, &[2, 3]);
        let sum = made.add(Kind::Sum(factors), &[0, off], &[2, 3]);
        made.add(Kind::Softmax { view: View { outer: 2, mid: 3, inner: 1 }, log }, &[sum], &[2, 3]);
        made
    }

    #[test]
    fn it_fires_for_one_value_for_each_line() {
        for log in [false, true] {
            let mut made = minus(&[4, 4, 4, 1, 1, 1], log, [1.0, -1.0]);
            made.fires(&FUSION, 1);
            assert_eq!(made.kinds(), ["softmax"]);
        }
        minus(&[4, 4, 4, 1, 1, 2], false, [1.0, -1.0]).fires(&FUSION, 0);
        minus(&[4, 4, 4, 1, 1, 1], false, [0.5, -1.0]).fires(&FUSION, 0);
        let mut made = minus(&[4, 4, 4, 1, 1, 1], false, [1.0, -1.0]);
        made.add(Kind::Sum([1.0, 1.0]), &[4, 3], &[6]);
        made.fires(&FUSION, 0);
    }
}
