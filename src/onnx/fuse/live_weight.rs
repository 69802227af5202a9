//! Convolutions whose weight depends on the latent by factors alone, as in StyleGAN2: what the channels that go in are
//! multiplied by goes to the input, what those that come out are multiplied by goes to the result, and the constant
//! that is left is the weight of an ordinary convolution. It holds in any groups, since a channel belongs to one.

use super::super::kind::{Kind, View};
use super::super::tensor::Constant;
use super::super::value::Built;
use super::Fusion;
use super::factors::{Factor, Factors};
use super::scene::{Draft, Scene};

pub const FUSION: Fusion = Fusion {
    name: "live_weight",
    about: "a convolution whose weight is multiplied by styles has its channels multiplied instead",
    rule,
};

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::ConvLive { kernel, window }, [x, weight]) = (&node.kind, &node.inputs[..]) else { return None };
    let [out, depth, kh, kw] = *kernel;
    let (groups, size) = (window.groups.max(1), depth * kh * kw);
    let [channels, height, width] = window.input;
    let makes = scene.features(at + 1);
    let fits = scene.features(*weight) == out * size
        && scene.features(*x) == channels * height * width
        && channels == groups * depth
        && out > 0
        && size > 0
        && out.is_multiple_of(groups)
        && makes.is_multiple_of(out);
    if !fits || scene.leaves(*weight) || x == weight {
        return None;
    }
    let factors = Factors::of(scene, *weight)?;
    let from = |i: usize| i / size / (out / groups) * depth + i / (kh * kw) % depth;
    let to = |i: usize| i / size;
    let (mut styles, mut gains) = (Vec::new(), Vec::new());
    for factor in &factors.live {
        match (table(&factors, factor, out, to), table(&factors, factor, channels, from)) {
            (Some(gain), _) => gains.push((factor, gain)),
            (_, Some(style)) => styles.push((factor, style)),
            _ => return None,
        }
    }
    let constant: Vec<f32> = factors.constant.iter().map(|v| *v as f32).collect();
    if constant.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut draft = Draft::new(scene, at, at + 1);
    let mut x = *x;
    if !styles.is_empty() {
        let style = gathered(scene, &mut draft, &styles, channels);
        x = multiplied(scene, &mut draft, at, x, style, channels)?;
    }
    let weight = Constant::floats(kernel.to_vec(), constant);
    let y = draft.add(Kind::Conv { weight, bias: None, window: window.clone() }, vec![x], &node.shape);
    if !gains.is_empty() {
        if !scene.room(makes) {
            return None;
        }
        let gain = gathered(scene, &mut draft, &gains, out);
        let spread = draft.rearrange(over(out, makes / out), gain, &node.shape);
        draft.add(Kind::Product, vec![y, spread], &node.shape);
    }
    draft.done()
}

/// For each of `count` channels the entry of the factor that all weights of the channel have, if it is one.
fn table(factors: &Factors, factor: &Factor, count: usize, channel: impl Fn(usize) -> usize) -> Option<Vec<i32>> {
    let mut found: Vec<Option<usize>> = vec![None; count];
    for i in (0..factors.constant.len()).filter(|&i| factors.constant[i] != 0.0) {
        let (entry, slot) = (factor.at(i), found.get_mut(channel(i))?);
        if *slot.get_or_insert(entry) != entry {
            return None;
        }
    }
    // A channel of zeros may take any.
    Some(found.into_iter().map(|entry| entry.unwrap_or(0) as i32).collect())
}

/// The product of factors, one number for each channel.
fn gathered(scene: &Scene, draft: &mut Draft, factors: &[(&Factor, Vec<i32>)], channels: usize) -> usize {
    let mut product = None;
    for (factor, table) in factors {
        let mut id = factor.id;
        if factor.inverse {
            let shape = scene.maker(id).map_or(vec![scene.features(id)], |maker| maker.shape.clone());
            id = draft.unary("reciprocal", None, id, &shape);
        }
        let same = scene.features(factor.id) == channels && table.iter().enumerate().all(|(i, &from)| i as i32 == from);
        if !same {
            id = draft.rearrange(table.clone(), id, &[1, channels]);
        }
        product = Some(match product {
            Some(other) => draft.add(Kind::Product, vec![other, id], &[1, channels]),
            None => id,
        });
    }
    product.unwrap_or(0)
}

/// The index that spreads a number for each channel over `area` places.
fn over(channels: usize, area: usize) -> Vec<i32> {
    (0..channels as i32).flat_map(|c| std::iter::repeat_n(c, area)).collect()
}

/// `x`, which node `at` reads, with each channel multiplied by its style. The product is taken where it is cheapest:
/// before an enlargement, if nothing else reads that.
fn multiplied(scene: &Scene, draft: &mut Draft, at: usize, x: usize, style: usize, channels: usize) -> Option<usize> {
    let (mut base, mut reader, mut later) = (x, at, Vec::new());
    while let Some(node) = scene.maker(base).filter(|_| scene.only(base, reader)) {
        let &[before] = &node.inputs[..] else { break };
        if scene.features(before) >= scene.features(base) || !keeps(scene, node, before, channels) {
            break;
        }
        later.push(node);
        (reader, base) = (base - 1, before);
    }
    let features = scene.features(base);
    if !scene.room(features) {
        return None;
    }
    let shape = scene.maker(base).map_or(vec![features], |maker| maker.shape.clone());
    let spread = draft.rearrange(over(channels, features / channels), style, &shape);
    let mut y = match scene.maker(base).map(|maker| &maker.kind) {
        Some(Kind::Constant(c)) => {
            let view = View { outer: 1, mid: features, inner: 1 };
            let scale = Some(Constant { name: c.name.clone(), ..c.reshaped(vec![features]) });
            draft.add(Kind::Affine { view, scale, shift: None }, vec![spread], &shape)
        }
        _ => draft.add(Kind::Product, vec![base, spread], &shape),
    };
    for node in later.into_iter().rev() {
        y = draft.add(node.kind.clone(), vec![y], &node.shape);
    }
    Some(y)
}

/// Whether a node keeps channels apart and is linear in each, without anything that is added.
fn keeps(scene: &Scene, node: &Built, before: usize, channels: usize) -> bool {
    let inside = scene.features(before);
    if channels == 0 || !inside.is_multiple_of(channels) {
        return false;
    }
    match &node.kind {
        Kind::AxisMix { view, .. } => view.outer.is_multiple_of(channels),
        Kind::Rearrange { index: Some(index), fill } => {
            let (area, from) = (index.len() / channels, inside / channels);
            let own = |(i, &at): (usize, &i32)| match usize::try_from(at) {
                Ok(at) => at / from == i / area,
                Err(_) => *fill == 0.0,
            };
            area > 0 && from > 0 && index.len().is_multiple_of(channels) && index.iter().enumerate().all(own)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::kind::Window;
    use super::super::demodulation;
    use super::super::tests::Made;
    use super::super::{FUSIONS, apply};
    use super::*;

    /// A convolution of `[4, 4, 4]` by `[6, 4 / groups, 3, 3]` with a style for each channel that goes in.
    #[derive(Clone, Copy)]
    struct Way {
        groups: usize,
        /// Whether what comes out is divided by the norm of its weights.
        demodulated: bool,
        /// Whether that is a quotient, not a product with the inverse.
        divided: bool,
        /// Whether the input is a constant.
        constant: bool,
        /// Whether the style is one for each place of the kernel too.
        wrong: bool,
        /// Side of the input before it is enlarged to 4.
        side: usize,
    }

    const PLAIN: Way = Way { groups: 1, demodulated: true, divided: false, constant: false, wrong: false, side: 4 };

    fn numbers(shape: &[usize]) -> Constant {
        let count = shape.iter().product();
        Constant::floats(shape.to_vec(), (0..count).map(|i: usize| ((i * 7) % 13) as f32 / 6.0 - 0.9).collect())
    }

    fn styled(way: Way) -> Made {
        let Way { groups, demodulated, divided, constant, wrong, side } = way;
        let depth = 4 / groups;
        let mut made = Made::new(16);
        let style =
            made.add(Kind::Dense { weight: numbers(&[36, 16]), bias: Some(numbers(&[36])), rows: 1 }, &[0], &[36]);
        let count = 6 * depth * 9;
        let shape = [6, depth, 3, 3];
        let from = |i: usize| match wrong {
            true => i % (depth * 9),
            false => i / (depth * 9) / (6 / groups) * depth + i / 9 % depth,
        };
        let spread: Vec<i32> = (0..count).map(|i| from(i) as i32).collect();
        let spread = made.rearrange(style, &spread, &shape);
        let view = View { outer: 1, mid: count, inner: 1 };
        let mut w = made.add(Kind::Affine { view, scale: Some(numbers(&shape)), shift: None }, &[spread], &shape);
        w = made.line(w, 0.25, 0.0);
        if demodulated {
            let square = made.add(Kind::Unary { function: "power", a: Some(2.0), b: None }, &[w], &shape);
            let view = View { outer: 6, mid: depth * 9, inner: 1 };
            let matrix = Constant::floats(vec![1, depth * 9], vec![1.0; depth * 9]);
            let sum = made.add(Kind::AxisMix { matrix, view }, &[square], &[6, 1]);
            let sum = made.line(sum, 1.0, 1e-8);
            let root = made.unary("sqrt", sum);
            let root = if divided { root } else { made.unary("reciprocal", root) };
            let spread: Vec<i32> = (0..count).map(|i| (i / (depth * 9)) as i32).collect();
            let root = made.rearrange(root, &spread, &shape);
            w = made.add(if divided { Kind::Quotient } else { Kind::Product }, &[w, root], &shape);
        }
        let small = 4 * side * side;
        let mut x = match constant {
            true => made.add(Kind::Constant(numbers(&[4, side, side])), &[], &[4, side, side]),
            false => {
                let kind = Kind::Dense { weight: numbers(&[small, 16]), bias: None, rows: 1 };
                let x = made.add(kind, &[0], &[4, side, side]);
                made.unary("tanh", x)
            }
        };
        if side < 4 {
            let matrix = numbers(&[4, side]);
            x = made.add(
                Kind::AxisMix { matrix: matrix.clone(), view: View { outer: 4, mid: side, inner: side } },
                &[x],
                &[4, 4, side],
            );
            let index: Vec<i32> = (0..64).map(|i| (i / 4 * side as i32) + i % 4 / (4 / side as i32)).collect();
            x = made.rearrange(x, &index, &[4, 4, 4]);
        }
        let window = Window { input: [4, 4, 4], stride: [1, 1], pads: [1; 4], dilation: [1, 1], groups };
        made.add(Kind::ConvLive { kernel: shape, window }, &[x, w], &[6, 4, 4]);
        made
    }

    fn has(made: &Made, kind: &str) -> usize {
        made.kinds().iter().filter(|k| *k == kind).count()
    }

    #[test]
    fn it_fires_for_styles_in_groups_of_any_size_with_and_without_demodulation() {
        for groups in [1, 2] {
            for (demodulated, divided) in [(false, false), (true, false), (true, true)] {
                for constant in [false, true] {
                    let way = Way { groups, demodulated, divided, constant, ..PLAIN };
                    let mut made = styled(way);
                    made.fires(&FUSION, 1);
                    assert_eq!((has(&made, "conv"), has(&made, "conv_live")), (1, 0));
                    let mut made = styled(way);
                    made.fires(&demodulation::FUSION, usize::from(demodulated));
                    made.fires(&FUSION, 1);
                    let before = made.value();
                    apply(&mut made.graph, &FUSIONS.iter().collect::<Vec<_>>());
                    let largest = before.iter().fold(0f32, |a, v| a.max(v.abs()));
                    assert!(before.iter().zip(made.value()).all(|(a, b)| (a - b).abs() < 2e-6 * largest));
                    // Nothing of the size of the weight is left.
                    let sizes = made.graph.nodes.iter().map(|n| n.shape.iter().product::<usize>());
                    assert!(sizes.max() <= Some(6 * 16), "{:?}", made.kinds());
                }
            }
        }
    }

    #[test]
    fn the_style_is_taken_before_an_enlargement() {
        let mut made = styled(Way { side: 2, ..PLAIN });
        made.fires(&FUSION, 1);
        let product = |node: &Built, size: usize| {
            matches!(node.kind, Kind::Product) && node.shape.iter().product::<usize>() == size
        };
        assert!(made.graph.nodes.iter().any(|n| product(n, 16)), "{:?}", made.kinds());
        // Something else reads the enlarged value.
        let mut made = styled(Way { side: 2, demodulated: false, ..PLAIN });
        let enlarged = made.graph.nodes.last().unwrap().inputs[0];
        made.output_also(enlarged);
        made.fires(&FUSION, 1);
        assert!(made.graph.nodes.iter().any(|n| product(n, 64)), "{:?}", made.kinds());
    }

    #[test]
    fn it_does_not_fire_for_other_weights() {
        styled(Way { wrong: true, ..PLAIN }).fires(&FUSION, 0);
        // A weight to which something is added.
        let mut made = styled(Way { demodulated: false, ..PLAIN });
        let node = made.graph.nodes.pop().unwrap();
        let w = made.line(node.inputs[1], 1.0, 0.5);
        made.add(node.kind, &[node.inputs[0], w], &node.shape);
        made.fires(&FUSION, 0);
        // The weight is the output too.
        let mut made = styled(PLAIN);
        let weight = made.graph.nodes.last().unwrap().inputs[1];
        made.output(weight);
        made.fires(&FUSION, 0);
    }

    #[test]
    fn sums_of_squares_with_other_readers_stay() {
        let mut made = styled(PLAIN);
        made.output_also(5);
        made.fires(&demodulation::FUSION, 0);
        // A style for each place of the kernel is one too.
        styled(Way { wrong: true, ..PLAIN }).fires(&demodulation::FUSION, 1);
        styled(Way { demodulated: false, ..PLAIN }).fires(&demodulation::FUSION, 0);
    }
}
