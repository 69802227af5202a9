//! x · sigmoid(x), as exporters write silu.

use super::super::kind::Kind;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion = Fusion { name: "silu", about: "x · sigmoid(x) is one function", rule };

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Product, [a, b]) = (&node.kind, &node.inputs[..]) else { return None };
    let by_sigmoid = |x: usize, y: usize| match scene.made(y) {
        Some((Kind::Unary { function: "sigmoid", .. }, input)) => input == x && scene.only(y, at),
        _ => false,
    };
    let x = match (by_sigmoid(*a, *b), by_sigmoid(*b, *a)) {
        (true, _) => *a,
        (_, true) => *b,
        _ => return None,
    };
    let mut draft = Draft::new(scene, at, at + 1);
    draft.unary("silu", None, x, &node.shape);
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
            let x = made.unary("tanh", 0);
            let s = made.unary("sigmoid", x);
            let inputs = if swapped { [s, x] } else { [x, s] };
            made.add(Kind::Product, &inputs, &[6]);
            made.fires(&FUSION, 1);
            assert_eq!(made.kinds(), ["unary tanh", "unary silu"]);
        }
        // Another argument.
        let mut made = Made::new(6);
        let x = made.unary("tanh", 0);
        let s = made.unary("sigmoid", 0);
        made.add(Kind::Product, &[x, s], &[6]);
        made.fires(&FUSION, 0);
        // Another reader.
        let mut made = Made::new(6);
        let s = made.unary("sigmoid", 0);
        let y = made.add(Kind::Product, &[0, s], &[6]);
        made.add(Kind::Sum([1.0, 1.0]), &[y, s], &[6]);
        made.fires(&FUSION, 0);
        // The sigmoid is the output.
        let mut made = Made::new(6);
        let s = made.unary("sigmoid", 0);
        made.add(Kind::Product, &[0, s], &[6]);
        made.output(s);
        made.fires(&FUSION, 0);
        // Another function.
        let mut made = Made::new(6);
        let s = made.unary("hard_swish", 0);
        made.add(Kind::Product, &[0, s], &[6]);
        made.fires(&FUSION, 0);
    }
}
