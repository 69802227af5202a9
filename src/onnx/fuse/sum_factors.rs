//! Numbers that a sum or its parts are multiplied by are the factors of the sum.

use super::super::kind::Kind;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion =
    Fusion { name: "sum_factors", about: "a sum takes the numbers that it or its parts are multiplied by", rule };

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let mut draft = Draft::new(scene, at, at + 1);
    if let (Kind::Sum([f, g]), [a, b]) = (&node.kind, &node.inputs[..]) {
        let part = |id: usize, factor: f32| match scene.line(id) {
            Some((scale, 0.0, x)) if scene.only(id, at) => Some((x, times(factor, scale)?)),
            _ => None,
        };
        let (first, second) = (part(*a, *f), part(*b, *g));
        if first.is_none() && second.is_none() {
            return None;
        }
        let ((a, f), (b, g)) = (first.unwrap_or((*a, *f)), second.unwrap_or((*b, *g)));
        draft.add(Kind::Sum([f, g]), vec![a, b], &node.shape);
        return draft.done();
    }
    let (scale, shift, sum) = scene.line(at + 1)?;
    let maker = scene.maker(sum)?;
    let Kind::Sum([f, g]) = maker.kind else { return None };
    if shift != 0.0 || !scene.only(sum, at) {
        return None;
    }
    draft.add(Kind::Sum([times(f, scale)?, times(g, scale)?]), maker.inputs.clone(), &node.shape);
    draft.done()
}

/// The product of two factors, if it is finite.
fn times(factor: f32, scale: f64) -> Option<f32> {
    Some((f64::from(factor) * scale) as f32).filter(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    #[test]
    fn it_fires_for_factors_without_summands() {
        let sum = |shift: f32| {
            let mut made = Made::new(4);
            let (x, y) = (made.unary("sin", 0), made.unary("cos", 0));
            let x = made.line(x, 0.2, shift);
            let sum = made.add(Kind::Sum([1.0, -1.0]), &[x, y], &[4]);
            made.line(sum, 3.0, 0.0);
            made
        };
        let mut made = sum(0.0);
        made.fires(&FUSION, 2);
        assert_eq!(made.kinds(), ["unary sin", "unary cos", "sum"]);
        assert!(matches!(made.graph.nodes[2].kind, Kind::Sum([f, -3.0]) if (f - 0.6).abs() < 1e-6));
        let mut made = sum(1.0);
        made.fires(&FUSION, 1);
        assert_eq!(made.kinds(), ["unary sin", "unary cos", "affine", "sum"]);
        let mut made = sum(0.0);
        made.add(Kind::Sum([1.0, 1.0]), &[3, 4], &[4]);
        made.add(Kind::Sum([1.0, 1.0]), &[5, 6], &[4]);
        made.fires(&FUSION, 1);
    }
}
