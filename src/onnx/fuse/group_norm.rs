//! A norm and the factor and summand after it.

use super::super::kind::Kind;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion =
    Fusion { name: "group_norm", about: "a norm takes the factor and the summand after it", rule };

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Affine { view, scale, shift }, [norm]) = (&node.kind, &node.inputs[..]) else { return None };
    let (Kind::Normalise { outer, size, eps, centred, scale: None, shift: None, .. }, x) = scene.made(*norm)? else {
        return None;
    };
    if !scene.only(*norm, at) {
        return None;
    }
    let (scale, shift) = (scale.clone(), shift.clone());
    let kind = Kind::Normalise { outer: *outer, size: *size, eps: *eps, centred: *centred, view: *view, scale, shift };
    let mut draft = Draft::new(scene, at, *norm);
    draft.add(kind, vec![x], &node.shape);
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::super::kind::View;
    use super::super::super::tensor::Constant;
    use super::super::tests::Made;
    use super::*;

    fn scaled() -> Made {
        let mut made = Made::new(12);
        let view = View { outer: 2, mid: 6, inner: 1 };
        let norm = Kind::Normalise { outer: 2, size: 6, eps: 1e-5, centred: true, view, scale: None, shift: None };
        let x = made.add(norm, &[0], &[2, 6]);
        let values = |by: f32| Some(Constant::floats(vec![4], (0..4).map(|i| by * (i as f32 + 0.5)).collect()));
        let view = View { outer: 1, mid: 4, inner: 3 };
        made.add(Kind::Affine { view, scale: values(1.0), shift: values(-0.2) }, &[x], &[4, 3]);
        made
    }

    #[test]
    fn it_fires_once() {
        let mut made = scaled();
        made.fires(&FUSION, 1);
        assert_eq!(made.kinds(), ["normalise"]);
        let mut made = scaled();
        made.add(Kind::Sum([1.0, 1.0]), &[1, 2], &[12]);
        made.fires(&FUSION, 0);
        // A second factor after it stays.
        let mut made = scaled();
        made.fires(&FUSION, 1);
        let values = Some(Constant::floats(vec![12], (0..12).map(|i| 1.0 + i as f32).collect()));
        let view = View { outer: 1, mid: 12, inner: 1 };
        made.add(Kind::Affine { view, scale: values, shift: None }, &[1], &[12]);
        made.fires(&FUSION, 0);
    }
}
