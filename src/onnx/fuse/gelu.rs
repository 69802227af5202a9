//! Gelu in the pieces that exporters write: x · (1 + erf(x/√2)) / 2, and its approximation by tanh, in whatever order
//! they multiply.
//!
//! The product is of u = βx and v = γ·f(t) + γ, where f is erf or tanh and t a polynomial in x. What is read of the
//! polynomial is its coefficients, so that every way of writing x³ is the same.

use super::super::kind::{Kind, View};
use super::super::tensor::Constant;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

pub const FUSION: Fusion =
    Fusion { name: "gelu", about: "x · (1 + erf(x/√2)) / 2 and its form with tanh are one function", rule };

/// How far a constant of two 32-bit roundings may be off, as a part of it: two units of the last place.
const ROUNDING: f64 = 2.4e-7;
/// Nodes between the argument and a part of the formula at most.
const DEPTH: usize = 8;

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Product, [a, b]) = (&node.kind, &node.inputs[..]) else { return None };
    whole(scene, at, *a, *b).or_else(|| whole(scene, at, *b, *a))
}

fn whole(scene: &Scene, at: usize, u: usize, v: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let mut gate = Vec::new();
    let (mut id, mut scale, mut shift) = (v, 1.0, 0.0);
    while let Some((s, t, input)) = scene.line(id).filter(|_| gate.len() < DEPTH) {
        gate.push(id);
        (shift, scale, id) = (shift + scale * t, scale * s, input);
    }
    let (Kind::Unary { function, .. }, argument) = scene.made(id)? else { return None };
    gate.push(id);
    let (wanted, name) = match *function {
        "erf" => ([0.0, FRAC_1_SQRT_2, 0.0, 0.0], "gelu"),
        "tanh" => {
            let root = (2.0 / PI).sqrt();
            ([0.0, root, 0.0, root * 0.044_715], "gelu_tanh")
        }
        _ => return None,
    };
    if !near(scale, shift) || scale == 0.0 {
        return None;
    }
    // x is u or what u is a multiple of.
    let (mut x, mut factor) = (u, 1.0);
    for _ in 0..DEPTH {
        let mut inside = gate.clone();
        let found = polynomial(scene, argument, x, &mut inside, DEPTH);
        if found.is_some_and(|found| found.iter().zip(wanted).all(|(a, b)| near(*a, b))) && scene.inside(&inside, at) {
            let mut draft = Draft::new(scene, at, at + 1);
            let y = draft.unary(name, None, x, &node.shape);
            let rest = (2.0 * factor * scale) as f32;
            if rest != 1.0 {
                let view = View { outer: 1, mid: 1, inner: scene.features(at + 1) };
                let scale = Some(Constant::floats(vec![1], vec![rest]));
                draft.add(Kind::Affine { view, scale, shift: None }, vec![y], &node.shape);
            }
            return draft.done();
        }
        let (s, t, input) = scene.line(x)?;
        if t != 0.0 || !scene.only(x, at) {
            return None;
        }
        (factor, x) = (factor * s, input);
    }
    None
}

/// Whether two numbers are equal to rounding.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * b.abs()
}

/// The coefficients of a value as a polynomial in `x`. The values on the way are added to `inside`.
fn polynomial(scene: &Scene, id: usize, x: usize, inside: &mut Vec<usize>, depth: usize) -> Option<[f64; 4]> {
    if id == x {
        return Some([0.0, 1.0, 0.0, 0.0]);
    }
    let depth = depth.checked_sub(1)?;
    let node = scene.maker(id)?;
    inside.push(id);
    if let Some((scale, shift, input)) = scene.line(id) {
        let mut p = polynomial(scene, input, x, inside, depth)?.map(|c| scale * c);
        p[0] += shift;
        return Some(p);
    }
    match (&node.kind, &node.inputs[..]) {
        (Kind::Sum([f, g]), [a, b]) => {
            let (p, q) = (polynomial(scene, *a, x, inside, depth)?, polynomial(scene, *b, x, inside, depth)?);
            Some(std::array::from_fn(|i| f64::from(*f) * p[i] + f64::from(*g) * q[i]))
        }
        (Kind::Product, [a, b]) => {
            times(polynomial(scene, *a, x, inside, depth)?, polynomial(scene, *b, x, inside, depth)?)
        }
        (Kind::Unary { function: "power", a: Some(exponent), .. }, [a]) => {
            let p = polynomial(scene, *a, x, inside, depth)?;
            match *exponent {
                2.0 => times(p, p),
                3.0 => times(p, times(p, p)?),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The product of two polynomials, if its degree is at most 3.
fn times(p: [f64; 4], q: [f64; 4]) -> Option<[f64; 4]> {
    let mut product = [0.0; 4];
    for (i, a) in p.iter().enumerate().filter(|(_, a)| **a != 0.0) {
        for (j, b) in q.iter().enumerate().filter(|(_, b)| **b != 0.0) {
            *product.get_mut(i + j)? += a * b;
        }
    }
    Some(product)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    const HALF_ROOT: f32 = FRAC_1_SQRT_2 as f32;

    /// TorchScript's spelling: x / √2, erf, + 1, times x, / 2.
    fn scripted(divisor: f32, one: f32, half: f32) -> Made {
        let mut made = Made::new(8);
        let x = made.line(0, 1.5, 0.25);
        let t = made.line(x, divisor, 0.0);
        let e = made.unary("erf", t);
        let v = made.line(e, 1.0, one);
        let p = made.add(Kind::Product, &[x, v], &[8]);
        made.line(p, half, 0.0);
        made
    }

    /// The form with tanh, of x³ in three ways.
    fn by_tanh(way: usize, root: f32, cube: f32) -> Made {
        let mut made = Made::new(8);
        let x = made.unary("sin", 0);
        let inner = match way {
            0 => {
                let square = made.add(Kind::Product, &[x, x], &[8]);
                let third = made.add(Kind::Product, &[x, square], &[8]);
                let third = made.line(third, cube, 0.0);
                made.add(Kind::Sum([1.0, 1.0]), &[x, third], &[8])
            }
            1 => {
                let third = made.add(Kind::Unary { function: "power", a: Some(3.0), b: None }, &[x], &[8]);
                let third = made.line(third, cube, 0.0);
                made.add(Kind::Sum([1.0, 1.0]), &[third, x], &[8])
            }
            _ => {
                let part = made.line(x, cube, 0.0);
                let square = made.add(Kind::Product, &[part, x], &[8]);
                let whole = made.line(square, 1.0, 1.0);
                made.add(Kind::Product, &[x, whole], &[8])
            }
        };
        let t = made.line(inner, root, 0.0);
        let e = made.unary("tanh", t);
        // The half is part of either factor.
        match way {
            1 => {
                let v = made.line(e, 0.5, 0.5);
                made.add(Kind::Product, &[x, v], &[8]);
            }
            _ => {
                let (u, v) = (made.line(x, 0.5, 0.0), made.line(e, 1.0, 1.0));
                made.add(Kind::Product, &[v, u], &[8]);
            }
        }
        made
    }

    #[test]
    fn it_fires_for_what_exporters_write() {
        for divisor in [HALF_ROOT, 1.0 / 2f32.sqrt()] {
            let mut made = scripted(divisor, 1.0, 0.5);
            made.fires(&FUSION, 1);
            assert_eq!(made.kinds(), ["affine", "unary gelu"]);
        }
        // What is left of the factors stays.
        let mut made = scripted(HALF_ROOT, 1.0, 0.7);
        made.fires(&FUSION, 1);
        assert_eq!(made.kinds(), ["affine", "unary gelu", "affine"]);
        for way in 0..3 {
            let mut made = by_tanh(way, (2.0 / PI).sqrt() as f32, 0.044_715);
            made.fires(&FUSION, 1);
            assert_eq!(made.kinds(), ["unary sin", "unary gelu_tanh"]);
        }
    }

    #[test]
    fn it_does_not_fire_for_other_constants() {
        scripted(0.707, 1.0, 0.5).fires(&FUSION, 0);
        scripted(HALF_ROOT, 0.999, 0.5).fires(&FUSION, 0);
        for way in 0..3 {
            by_tanh(way, 0.8, 0.044_715).fires(&FUSION, 0);
            by_tanh(way, (2.0 / PI).sqrt() as f32, 0.0447).fires(&FUSION, 0);
        }
    }

    #[test]
    fn it_does_not_fire_if_something_else_reads_a_part() {
        for part in 2..=4 {
            let mut made = scripted(HALF_ROOT, 1.0, 0.5);
            made.add(Kind::Sum([1.0, 1.0]), &[6, part], &[8]);
            made.fires(&FUSION, 0);
            let mut made = scripted(HALF_ROOT, 1.0, 0.5);
            made.output(part);
            made.fires(&FUSION, 0);
        }
        // Another argument than the factor.
        let mut made = Made::new(8);
        let (x, y) = (made.unary("sin", 0), made.unary("cos", 0));
        let t = made.line(y, HALF_ROOT, 0.0);
        let e = made.unary("erf", t);
        let v = made.line(e, 0.5, 0.5);
        made.add(Kind::Product, &[x, v], &[8]);
        made.fires(&FUSION, 0);
    }
}
