//! Sums of squares of constants times a value of fewer entries: the squares of the constants, summed, are a matrix on
//! the squares of that value. The demodulation of StyleGAN2 is one, so that it does without the weight that depends on
//! the latent.

use super::super::kind::Kind;
use super::super::tensor::Constant;
use super::super::value::Built;
use super::Fusion;
use super::factors::Factors;
use super::scene::{Draft, Scene, square_of};
use std::collections::{BTreeSet, HashMap};

pub const FUSION: Fusion = Fusion {
    name: "demodulation",
    about: "sums of squares of weights times a style are a matrix on the squares of the style",
    rule,
};

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::AxisMix { matrix, view }, [squares]) = (&node.kind, &node.inputs[..]) else { return None };
    let product = square_of(scene, *squares)?;
    if !scene.only(*squares, at) || matrix.len() % view.mid.max(1) != 0 {
        return None;
    }
    // Nothing is gained for a value that is no product.
    if !matches!(scene.made(product)?.0, Kind::Product | Kind::Quotient | Kind::Affine { .. }) {
        return None;
    }
    let factors = Factors::of(scene, product)?;
    let [style] = &factors.live[..] else { return None };
    let entries = scene.features(product);
    let (out, sums) = (matrix.len() / view.mid.max(1), scene.features(at + 1));
    if entries != view.outer * view.mid * view.inner || sums != view.outer * out * view.inner {
        return None;
    }
    // The entries of the style that are in use, and where each stands among them.
    let used: BTreeSet<usize> = alive(&factors).map(|(i, _)| style.at(i)).collect();
    let places: HashMap<usize, usize> = used.iter().enumerate().map(|(place, &entry)| (entry, place)).collect();
    let width = used.len();
    // The matrix is no larger than what the squares took.
    if sums.checked_mul(width).is_none_or(|size| size > entries) {
        return None;
    }
    let mix = matrix.as_floats();
    let mut weight = vec![0f64; sums * width];
    for (i, c) in alive(&factors) {
        let (o, m, inner) = (i / (view.mid * view.inner), i / view.inner % view.mid, i % view.inner);
        let from = *places.get(&style.at(i))?;
        for j in 0..out {
            let to = (o * out + j) * view.inner + inner;
            *weight.get_mut(to * width + from)? += f64::from(*mix.get(j * view.mid + m)?) * c * c;
        }
    }
    let weight: Vec<f32> = weight.into_iter().map(|v| v as f32).collect();
    if weight.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut draft = Draft::new(scene, at, at + 1);
    let mut x = style.id;
    if width < scene.features(x) {
        x = draft.rearrange(used.into_iter().map(|entry| entry as i32).collect(), x, &[1, width]);
    }
    if style.inverse {
        x = draft.unary("reciprocal", None, x, &[1, width]);
    }
    let square = draft.unary("power", Some(2.0), x, &[1, width]);
    let weight = Constant::floats(vec![sums, width], weight);
    draft.add(Kind::Dense { weight, bias: None, rows: 1 }, vec![square], &node.shape);
    draft.done()
}

/// The entries that are not always 0, with their constants.
fn alive(factors: &Factors) -> impl Iterator<Item = (usize, f64)> {
    factors.constant.iter().copied().enumerate().filter(|(_, c)| *c != 0.0)
}
