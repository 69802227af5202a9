//! x · tanh(softplus(x)), as exporters write mish.

use super::super::kind::Kind;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion = Fusion { name: "mish", about: "x · tanh(softplus(x)) is one function", rule };

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Product, [a, b]) = (&node.kind, &node.inputs[..]) else { return None };
    let gated = |x: usize, y: usize| {
        let (Kind::Unary { function: "tanh", .. }, inside) = scene.made(y)? else { return None };
        let (Kind::Unary { function: "softplus", .. }, input) = scene.made(inside)? else { return None };
        (input == x && scene.inside(&[y, inside], at)).then_some(x)
    };
    let x = gated(*a, *b).or_else(|| gated(*b, *a))?;
    let mut draft = Draft::new(scene, at, at + 1);
    draft.unary("mish", None, x, &node.shape);
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    #[test]
    fn it_fires_in_either_order_and_nowhere_else() {
        for swapped in [false, true] {
            let mut made = Made::new(6);
            let s = made.unary("softplus", 0);
            let t = made.unary("tanh", s);
            let inputs = if swapped { [t, 0] } else { [0, t] };
            made.add(Kind::Product, &inputs, &[6]);
            made.fires(&FUSION, 1);
            assert_eq!(made.kinds(), ["unary mish"]);
        }
        for (inner, outer, x) in
            [("sigmoid", "tanh", false), ("softplus", "sigmoid", false), ("softplus", "tanh", true)]
        {
            let mut made = Made::new(6);
            let s = made.unary(inner, 0);
            let t = made.unary(outer, s);
            made.add(Kind::Product, &[if x { s } else { 0 }, t], &[6]);
            made.fires(&FUSION, 0);
        }
        // Another reader of the inner function.
        let mut made = Made::new(6);
        let s = made.unary("softplus", 0);
        let t = made.unary("tanh", s);
        let y = made.add(Kind::Product, &[0, t], &[6]);
        made.add(Kind::Sum([1.0, 1.0]), &[y, s], &[6]);
        made.fires(&FUSION, 0);
    }
}
