//! A factor and a summand after a rearrangement go before it, where what they are then part of takes them in, or where
//! there are fewer entries.

use super::super::kind::{Kind, View};
use super::super::tensor::Constant;
use super::super::value::Built;
use super::Fusion;
use super::places::{entry, smallest};
use super::scene::{Draft, Scene};

pub const FUSION: Fusion =
    Fusion { name: "affine_order", about: "a factor and a summand go before a rearrangement", rule };

/// Entries of a value whose factors are looked at one by one at most.
const MOST: usize = 1 << 22;

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Affine { view, scale, shift }, [moved]) = (&node.kind, &node.inputs[..]) else { return None };
    let (Kind::Rearrange { index: Some(index), fill }, x) = scene.made(*moved)? else { return None };
    if !scene.only(*moved, at) || !useful(scene, x, *moved) {
        return None;
    }
    let before = scene.maker(x).map_or(vec![scene.features(x)], |maker| maker.shape.clone());
    let mut draft = Draft::new(scene, at, at + 1);
    if let Some((scale, shift, _)) = scene.line(at + 1) {
        let fill = (f64::from(*fill) * scale + shift) as f32;
        let view = View { outer: 1, mid: 1, inner: scene.features(x) };
        let kind = Kind::Affine { view, scale: number(scale, 1.0), shift: number(shift, 0.0) };
        let y = draft.add(kind, vec![x], &before);
        draft.add(Kind::Rearrange { index: Some(index.clone()), fill }, vec![y], &node.shape);
        return draft.done().filter(|_| fill.is_finite());
    }
    if index.len().max(scene.features(x)) > MOST {
        return None;
    }
    let (scale, shift) = (scale.as_ref().map(|c| c.as_floats()), shift.as_ref().map(|c| c.as_floats()));
    let pair = |i: usize| (entry(scale.as_deref(), *view, i, 1.0), entry(shift.as_deref(), *view, i, 0.0));
    // What each entry of x gets, and each place that is filled.
    let mut pairs: Vec<Option<(f32, f32)>> = vec![None; scene.features(x)];
    let mut filled = None;
    for (i, &from) in index.iter().enumerate() {
        let found = pair(i);
        let Ok(from) = usize::try_from(from) else {
            let fill = (f64::from(*fill) * f64::from(found.0) + f64::from(found.1)) as f32;
            if *filled.get_or_insert(fill) != fill {
                return None;
            }
            continue;
        };
        let known = pairs.get_mut(from)?;
        if *known.get_or_insert(found) != found {
            return None;
        }
    }
    let fill = filled.unwrap_or(*fill);
    let mut last = pairs.iter().flatten().next().copied()?;
    let pairs: Vec<(f32, f32)> = pairs
        .into_iter()
        .map(|pair| {
            last = pair.unwrap_or(last);
            last
        })
        .collect();
    let (view, scale, shift) = smallest(&pairs).filter(|_| fill.is_finite())?;
    let y = draft.add(Kind::Affine { view, scale, shift }, vec![x], &before);
    draft.add(Kind::Rearrange { index: Some(index.clone()), fill }, vec![y], &node.shape);
    draft.done()
}

/// A number as a constant, unless it changes nothing.
fn number(v: f64, neutral: f64) -> Option<Constant> {
    (v != neutral).then(|| Constant::floats(vec![1], vec![v as f32]))
}

/// Whether an affine map is better before the rearrangement `moved` of `x` than after it.
fn useful(scene: &Scene, x: usize, moved: usize) -> bool {
    let takes = scene.made(x).is_some_and(|(kind, _)| {
        let weighted = matches!(kind, Kind::Conv { .. } | Kind::ConvTranspose { .. } | Kind::Dense { .. });
        weighted || matches!(kind, Kind::Affine { .. } | Kind::Normalise { .. })
    });
    scene.features(x) < scene.features(moved) || (takes && scene.only(x, moved - 1))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    /// `[2, 3]` turned round, with a factor for each of the three.
    fn turned(by: &[f32], view: View, fill: f32) -> Made {
        let mut made = Made::new(6);
        let x = made.line(0, 2.0, 1.0);
        let index = Some(vec![0, 3, 1, 4, 2, 5, -1, -1].into());
        let x = made.add(Kind::Rearrange { index, fill }, &[x], &[4, 2]);
        let scale = Some(Constant::floats(vec![by.len()], by.to_vec()));
        made.add(Kind::Affine { view, scale, shift: None }, &[x], &[4, 2]);
        made
    }

    #[test]
    fn it_fires_where_each_entry_gets_one_factor() {
        let view = View { outer: 1, mid: 4, inner: 2 };
        let mut made = turned(&[2.0, 3.0, 4.0, 5.0], view, 0.5);
        made.fires(&FUSION, 1);
        assert_eq!(made.kinds(), ["affine", "rearrange"]);
        let Kind::Affine { view, .. } = made.graph.nodes[0].kind else { panic!() };
        assert_eq!(view, View { outer: 2, mid: 3, inner: 1 });
        // Two factors for what is filled.
        let view = View { outer: 1, mid: 8, inner: 1 };
        turned(&[2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 6.0], view, 0.5).fires(&FUSION, 0);
        turned(&[2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 6.0], view, 0.0).fires(&FUSION, 1);
        let mut made = turned(&[2.0, 3.0, 4.0, 5.0], View { outer: 1, mid: 4, inner: 2 }, 0.5);
        made.add(Kind::Sum([1.0, 1.0]), &[2, 3], &[8]);
        made.fires(&FUSION, 0);
    }

    #[test]
    fn it_fires_for_what_is_enlarged_if_copies_agree() {
        for (by, count) in [([2.0, 2.0, 3.0, 3.0], 1), ([2.0, 2.5, 3.0, 3.0], 0)] {
            let mut made = Made::new(2);
            let x = made.unary("sin", 0);
            let x = made.rearrange(x, &[0, 0, 1, 1], &[4]);
            let scale = Some(Constant::floats(vec![4], by.to_vec()));
            made.add(Kind::Affine { view: View { outer: 1, mid: 4, inner: 1 }, scale, shift: None }, &[x], &[4]);
            made.fires(&FUSION, count);
        }
        // A picture turned round that nothing takes the factor into.
        let mut made = Made::new(2);
        let x = made.unary("sin", 0);
        let x = made.rearrange(x, &[1, 0], &[2]);
        made.line(x, 2.0, 0.0);
        made.fires(&FUSION, 0);
    }
}
