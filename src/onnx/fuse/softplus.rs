//! Softplus as PyTorch computes it: from some threshold on x itself, from which it no longer differs.

use super::super::kind::Kind;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion =
    Fusion { name: "softplus", about: "softplus does without a threshold beyond which it is x", rule };

/// From here on softplus(x) is x in 32 bits: exp(-x) / x is below half a unit of the last place.
const STRAIGHT: f32 = 15.0;

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Select, [above, x, curve]) = (&node.kind, &node.inputs[..]) else { return None };
    let step = scene.maker(*above)?;
    let (Kind::Step("greater" | "greater_equal"), [left, right]) = (&step.kind, &step.inputs[..]) else { return None };
    let Kind::Constant(bound) = &scene.maker(*right)?.kind else { return None };
    let straight = bound.uniform().is_some_and(|bound| bound >= STRAIGHT && bound.is_finite());
    let (Kind::Unary { function: "softplus", .. }, input) = scene.made(*curve)? else { return None };
    if left != x || input != *x || !straight || !scene.inside(&[*above, *curve], at) {
        return None;
    }
    let mut draft = Draft::new(scene, at, *curve);
    draft.unary("softplus", None, *x, &node.shape);
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::Constant;
    use super::super::tests::Made;
    use super::*;

    fn thresholded(bound: f32, step: &'static str, function: &'static str) -> Made {
        let mut made = Made::new(4);
        let x = made.line(0, 30.0, 0.0);
        let c = made.add(Kind::Constant(Constant::floats(vec![4], vec![bound; 4])), &[], &[4]);
        let above = made.add(Kind::Step(step), &[x, c], &[4]);
        let curve = made.unary(function, x);
        made.add(Kind::Select, &[above, x, curve], &[4]);
        made
    }

    #[test]
    fn it_fires_from_a_threshold_on_that_is_high_enough() {
        let mut made = thresholded(20.0, "greater", "softplus");
        made.fires(&FUSION, 1);
        assert_eq!(made.kinds(), ["affine", "unary softplus"]);
        thresholded(10.0, "greater", "softplus").fires(&FUSION, 0);
        thresholded(20.0, "less", "softplus").fires(&FUSION, 0);
        thresholded(20.0, "greater", "elu").fires(&FUSION, 0);
        let mut made = thresholded(20.0, "greater", "softplus");
        let curve = 4;
        made.add(Kind::Sum([1.0, 1.0]), &[5, curve], &[4]);
        made.fires(&FUSION, 0);
    }
}
