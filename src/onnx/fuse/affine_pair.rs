//! Two affine maps one after the other that see their value along different axes.

use super::super::kind::{Kind, View};
use super::super::tensor::Constant;
use super::super::value::Built;
use super::Fusion;
use super::places::{entry, smallest};
use super::scene::{Draft, Scene};

pub const FUSION: Fusion =
    Fusion { name: "affine_pair", about: "two factors and summands along different axes are one", rule };

/// Entries that the factors of both may have together. They can be one for each entry of the value.
const FACTORS: usize = 1 << 18;

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Affine { view, scale, shift }, [first]) = (&node.kind, &node.inputs[..]) else { return None };
    let (Kind::Affine { view: own, scale: own_scale, shift: own_shift }, x) = scene.made(*first)? else { return None };
    let features = scene.features(at + 1);
    if !scene.only(*first, at) || features > FACTORS {
        return None;
    }
    let first = part([own_scale, own_shift], *own, features);
    let second = part([scale, shift], *view, features);
    let both = |((a, b), (c, d)): (&(f32, f32), &(f32, f32))| {
        let [a, b, c, d] = [*a, *b, *c, *d].map(f64::from);
        ((a * c) as f32, (b * c + d) as f32)
    };
    let pairs: Vec<(f32, f32)> = first.iter().zip(&second).map(both).collect();
    let (view, scale, shift) = smallest(&pairs)?;
    let mut draft = Draft::new(scene, at, at + 1);
    draft.add(Kind::Affine { view, scale, shift }, vec![x], &node.shape);
    draft.done()
}

/// Factor and summand of each entry.
fn part([scale, shift]: [&Option<Constant>; 2], view: View, features: usize) -> Vec<(f32, f32)> {
    let (scale, shift) = (scale.as_ref().map(|c| c.as_floats()), shift.as_ref().map(|c| c.as_floats()));
    let one = |i| (entry(scale.as_deref(), view, i, 1.0), entry(shift.as_deref(), view, i, 0.0));
    (0..features).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    fn two(largest: f32) -> Made {
        let mut made = Made::new(6);
        let values = |list: &[f32]| Some(Constant::floats(vec![list.len()], list.to_vec()));
        let (rows, columns) = (View { outer: 1, mid: 2, inner: 3 }, View { outer: 2, mid: 3, inner: 1 });
        let kind = Kind::Affine { view: rows, scale: None, shift: values(&[0.5, largest]) };
        let x = made.add(kind, &[0], &[2, 3]);
        let kind = Kind::Affine { view: columns, scale: values(&[1.0, 2.0, 3.0]), shift: values(&[0.0, -1.0, 1.0]) };
        made.add(kind, &[x], &[2, 3]);
        made
    }

    #[test]
    fn it_fires_for_finite_numbers_without_other_readers() {
        let mut made = two(1.0);
        made.fires(&FUSION, 1);
        let Kind::Affine { view, scale, .. } = &made.graph.nodes[0].kind else { panic!("{:?}", made.graph) };
        assert_eq!((view.mid, scale.as_ref().map(Constant::len)), (6, Some(6)));
        two(3e38).fires(&FUSION, 0);
        let mut made = two(1.0);
        made.add(Kind::Sum([1.0, 1.0]), &[1, 2], &[6]);
        made.fires(&FUSION, 0);
    }
}
