//! A factor and a summand for each channel after a convolution or a matrix go into its weight and bias, and those
//! before it where that is exact: a summand is not where the input has a border of zeros. Products are in 64 bits and
//! rounded once.

use super::super::kind::{Kind, View, Window};
use super::super::tensor::Constant;
use super::super::value::Built;
use super::Fusion;
use super::places::by_place;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion = Fusion {
    name: "affine_weight",
    about: "a convolution or a matrix takes the factor and the summand after it or before it",
    rule,
};

/// Readers of an affine map that take it in at most.
const READERS: usize = 256;

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    match &scene.node(at)?.kind {
        Kind::Affine { .. } => after(scene, at),
        Kind::Conv { .. } | Kind::ConvTranspose { .. } | Kind::Dense { .. } => before(scene, at),
        _ => None,
    }
}

/// A node with a weight.
struct Weighted<'a> {
    kind: &'a Kind,
    weight: &'a Constant,
    bias: Option<&'a Constant>,
    /// The first two sides of the weight.
    sides: [usize; 2],
    /// Channels that go in and come out.
    channels: [usize; 2],
    /// Entries that go in and come out.
    features: [usize; 2],
}

impl<'a> Weighted<'a> {
    fn of(scene: &Scene<'a>, id: usize) -> Option<Self> {
        let (kind, x) = scene.made(id)?;
        let features = [scene.features(x), scene.features(id)];
        let (weight, bias, groups) = match kind {
            Kind::Dense { weight, bias, .. } => (weight, bias, None),
            Kind::Conv { weight, bias, window } | Kind::ConvTranspose { weight, bias, window, .. } => {
                (weight, bias, Some((window.input[0], window.groups)))
            }
            _ => return None,
        };
        let sides = [*weight.shape.first()?, *weight.shape.get(1)?];
        let channels = match (kind, groups) {
            (Kind::ConvTranspose { .. }, Some((input, groups))) => [input, sides[1] * groups],
            (_, Some((input, _))) => [input, sides[0]],
            _ => [sides[1], sides[0]],
        };
        let whole = channels.iter().zip(&features).all(|(&c, &f)| c > 0 && f.is_multiple_of(c));
        let fits = bias.as_ref().is_none_or(|b| b.len() == channels[1]);
        (whole && fits && !scene.shared(weight)).then_some(Self {
            kind,
            weight,
            bias: bias.as_ref(),
            sides,
            channels,
            features,
        })
    }

    /// What goes in (side 0) or comes out (side 1), with its channels as the middle axis.
    fn view(&self, side: usize) -> View {
        let (mid, area) = (self.channels[side], self.features[side] / self.channels[side].max(1));
        match self.kind {
            Kind::Dense { .. } => View { outer: area, mid, inner: 1 },
            _ => View { outer: 1, mid, inner: area },
        }
    }

    fn bias(&self) -> Vec<f64> {
        self.bias.map_or(vec![0.0; self.channels[1]], |b| b.as_floats().iter().map(|v| f64::from(*v)).collect())
    }

    /// Numbers for each channel from those of an affine map.
    fn channel(&self, side: usize, constant: Option<&Constant>, view: View, missing: f32) -> Option<Vec<f32>> {
        by_place(constant, view, missing, self.view(side))
    }

    /// For each entry of the weight the channel that goes in and the one that comes out.
    fn ends(&self, i: usize) -> [usize; 2] {
        let [first, second] = self.sides;
        let tap = self.weight.len() / (first * second).max(1);
        let group = |a: usize, groups: usize| a / (first / groups.max(1)).max(1);
        let (a, b) = (i / (tap * second).max(1), i / tap.max(1) % second);
        match self.kind {
            Kind::Conv { window, .. } => [group(a, window.groups) * second + b, a],
            Kind::ConvTranspose { window, .. } => [a, group(a, window.groups) * second + b],
            _ => [b, a],
        }
    }

    /// The same kind with another weight and bias, if all numbers are finite.
    fn with(&self, weight: &[f64], bias: Option<&[f64]>) -> Option<Kind> {
        let narrow = |v: &[f64]| -> Option<Vec<f32>> {
            let v: Vec<f32> = v.iter().map(|v| *v as f32).collect();
            v.iter().all(|v| v.is_finite()).then_some(v)
        };
        let new_weight = Constant::floats(self.weight.shape.clone(), narrow(weight)?);
        let new_bias = match bias {
            Some(bias) => Some(Constant::floats(vec![bias.len()], narrow(bias)?)),
            None => None,
        };
        let mut kind = self.kind.clone();
        match &mut kind {
            Kind::Dense { weight, bias, .. }
            | Kind::Conv { weight, bias, .. }
            | Kind::ConvTranspose { weight, bias, .. } => (*weight, *bias) = (new_weight, new_bias),
            _ => return None,
        }
        Some(kind)
    }
}

/// An affine map into the node before it. A summand that is not one for each channel stays behind.
fn after(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Affine { view, scale, shift }, [before]) = (&node.kind, &node.inputs[..]) else { return None };
    if !scene.only(*before, at) {
        return None;
    }
    let weighted = Weighted::of(scene, *before)?;
    let maker = scene.maker(*before)?;
    let factor = weighted.channel(1, scale.as_ref(), *view, 1.0)?;
    let summand = weighted.channel(1, shift.as_ref(), *view, 0.0);
    if scale.is_none() && summand.is_none() {
        return None;
    }
    let values = weighted.weight.as_floats();
    let scaled = |(i, v): (usize, &f32)| Some(f64::from(*v) * f64::from(*factor.get(weighted.ends(i)[1])?));
    let weight = values.iter().enumerate().map(scaled).collect::<Option<Vec<f64>>>()?;
    let mut bias: Vec<f64> = weighted.bias().iter().zip(&factor).map(|(b, s)| b * f64::from(*s)).collect();
    if let Some(summand) = &summand {
        bias.iter_mut().zip(summand).for_each(|(b, t)| *b += f64::from(*t));
    }
    let biased = weighted.bias.is_some() || (shift.is_some() && summand.is_some());
    let kind = weighted.with(&weight, biased.then_some(&bias))?;
    let mut draft = Draft::new(scene, at, *before);
    let y = draft.add(kind, maker.inputs.clone(), &maker.shape);
    if summand.is_none() {
        draft.add(Kind::Affine { view: *view, scale: None, shift: shift.clone() }, vec![y], &node.shape);
    }
    draft.done()
}

/// Whether a node can take in the affine map before it: factor and summand of each channel.
fn takes(scene: &Scene, at: usize, affine: usize) -> Option<(Vec<f32>, Vec<f32>)> {
    let weighted = Weighted::of(scene, at + 1)?;
    let (Kind::Affine { view, scale, shift }, _) = scene.made(affine)? else { return None };
    let bordered = match weighted.kind {
        Kind::Dense { .. } => false,
        Kind::Conv { window: Window { pads, .. }, .. } => *pads != [0; 4],
        _ => true,
    };
    let still = shift.as_ref().is_none_or(|c| c.uniform() == Some(0.0));
    if bordered && !still {
        return None;
    }
    let factor = weighted.channel(0, scale.as_ref(), *view, 1.0)?;
    Some((factor, weighted.channel(0, shift.as_ref(), *view, 0.0)?))
}

/// An affine map into the node after it, if all its readers take it in.
fn before(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let affine = *node.inputs.first()?;
    let (Kind::Affine { shift, .. }, x) = scene.made(affine)? else { return None };
    let goes_back = scene.only(x, affine - 1) && Weighted::of(scene, x).is_some();
    if goes_back || scene.leaves(affine) {
        return None;
    }
    let readers = scene.readers(affine);
    if readers.len() > READERS {
        return None;
    }
    let others = readers.iter().filter(|&&reader| reader != at);
    if others.into_iter().any(|&reader| takes(scene, reader, affine).is_none()) {
        return None;
    }
    let (factor, summand) = takes(scene, at, affine)?;
    let weighted = Weighted::of(scene, at + 1)?;
    let mut bias = weighted.bias();
    let mut weight = Vec::with_capacity(weighted.weight.len());
    for (i, v) in weighted.weight.as_floats().iter().enumerate() {
        let [from, to] = weighted.ends(i);
        weight.push(f64::from(*v) * f64::from(*factor.get(from)?));
        *bias.get_mut(to)? += f64::from(*v) * f64::from(*summand.get(from)?);
    }
    let biased = weighted.bias.is_some() || shift.is_some();
    let kind = weighted.with(&weight, biased.then_some(&bias))?;
    let mut draft = Draft::new(scene, at, at + 1);
    draft.add(kind, vec![x], &node.shape);
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    const CHANNELS: View = View { outer: 1, mid: 4, inner: 9 };

    fn numbers(shape: &[usize]) -> Constant {
        let count = shape.iter().product();
        Constant::floats(shape.to_vec(), (0..count).map(|i: usize| ((i * 7) % 13) as f32 / 6.0 - 0.9).collect())
    }

    fn window(pads: [usize; 4], groups: usize) -> Window {
        Window { input: [4, 3, 3], stride: [1, 1], pads, dilation: [1, 1], groups }
    }

    fn conv(pads: [usize; 4], groups: usize) -> Kind {
        let side = if pads == [0; 4] { 1 } else { 3 };
        Kind::Conv { weight: numbers(&[4, 4 / groups, side, side]), bias: None, window: window(pads, groups) }
    }

    fn transposed(groups: usize) -> Kind {
        let (weight, bias) = (numbers(&[4, 4 / groups, 3, 3]), Some(numbers(&[4])));
        Kind::ConvTranspose { weight, bias, window: window([1; 4], groups), output: [3, 3] }
    }

    fn dense() -> Kind {
        Kind::Dense { weight: numbers(&[5, 4]), bias: None, rows: 9 }
    }

    fn affine(view: View, scale: bool, shift: bool) -> Kind {
        let values = || numbers(&[view.mid]);
        let part = |there: bool, by: f32| {
            there.then(|| Constant::floats(vec![view.mid], values().as_floats().iter().map(|v| v + by).collect()))
        };
        Kind::Affine { view, scale: part(scale, 0.1), shift: part(shift, 0.2) }
    }

    #[test]
    fn what_follows_goes_into_weight_and_bias() {
        for kind in [conv([1; 4], 1), conv([0; 4], 2), transposed(1), transposed(2)] {
            for (scale, shift) in [(true, true), (true, false), (false, true)] {
                let mut made = Made::new(36);
                let x = made.add(kind.clone(), &[0], &[4, 3, 3]);
                made.add(affine(CHANNELS, scale, shift), &[x], &[4, 3, 3]);
                made.fires(&FUSION, 1);
                assert_eq!(made.kinds().len(), 1);
            }
        }
        for (view, left) in [
            (View { outer: 9, mid: 5, inner: 1 }, 1),
            (View { outer: 1, mid: 1, inner: 45 }, 1),
            (View { outer: 3, mid: 15, inner: 1 }, 2),
        ] {
            let mut made = Made::new(36);
            let x = made.add(dense(), &[0], &[9, 5]);
            made.add(affine(view, true, true), &[x], &[9, 5]);
            made.fires(&FUSION, 2 - left);
            assert_eq!(made.kinds().len(), left);
        }
    }

    #[test]
    fn a_summand_for_each_entry_stays_behind() {
        let mut made = Made::new(36);
        let x = made.add(conv([1; 4], 1), &[0], &[4, 3, 3]);
        let Kind::Affine { shift, .. } = affine(View { outer: 1, mid: 36, inner: 1 }, false, true) else { panic!() };
        let scale = Some(Constant::floats(vec![36], (0..36).map(|i| (i / 9) as f32 + 0.5).collect()));
        let view = View { outer: 1, mid: 36, inner: 1 };
        made.add(Kind::Affine { view, scale, shift }, &[x], &[4, 3, 3]);
        made.fires(&FUSION, 1);
        assert_eq!(made.kinds(), ["conv", "affine"]);
        assert!(matches!(made.graph.nodes[1].kind, Kind::Affine { scale: None, shift: Some(_), .. }));
    }

    #[test]
    fn what_precedes_goes_in_where_it_is_exact() {
        for (kind, shift, times) in [
            (conv([0; 4], 1), true, 1),
            (conv([0; 4], 2), true, 1),
            (conv([1; 4], 1), false, 1),
            (conv([1; 4], 1), true, 0),
            (conv([0, 0, 1, 0], 1), true, 0),
            (transposed(2), false, 1),
            (transposed(1), true, 0),
        ] {
            let shape = match &kind {
                Kind::Conv { weight, window, .. } => {
                    let [h, w] = window.output(weight.shape[2], weight.shape[3]);
                    vec![4, h, w]
                }
                _ => vec![4, 3, 3],
            };
            let mut made = Made::new(36);
            let x = made.unary("sin", 0);
            let x = made.add(affine(CHANNELS, true, shift), &[x], &[4, 3, 3]);
            made.add(kind.clone(), &[x], &shape);
            made.fires(&FUSION, times);
        }
        for view in [View { outer: 9, mid: 4, inner: 1 }, View { outer: 1, mid: 1, inner: 36 }] {
            let mut made = Made::new(36);
            let x = made.add(affine(view, true, true), &[0], &[9, 4]);
            let (a, b) = (made.add(dense(), &[x], &[9, 5]), made.add(dense(), &[x], &[9, 5]));
            made.add(Kind::Product, &[a, b], &[9, 5]);
            made.fires(&FUSION, 2);
            assert_eq!(made.kinds(), ["dense", "dense", "product"]);
        }
    }

    #[test]
    fn nothing_fires_with_other_readers_shared_weights_or_numbers_too_large() {
        let mut made = Made::new(36);
        let x = made.add(conv([1; 4], 1), &[0], &[4, 3, 3]);
        let y = made.add(affine(CHANNELS, true, true), &[x], &[4, 3, 3]);
        made.add(Kind::Product, &[x, y], &[4, 3, 3]);
        made.fires(&FUSION, 0);
        // Not all readers take it in.
        let mut made = Made::new(36);
        let x = made.add(affine(View { outer: 9, mid: 4, inner: 1 }, true, true), &[0], &[9, 4]);
        let a = made.add(dense(), &[x], &[9, 5]);
        let a = made.rearrange(a, &(0..36).collect::<Vec<i32>>(), &[9, 4]);
        made.add(Kind::Product, &[a, x], &[9, 4]);
        made.fires(&FUSION, 0);
        // One weight for two nodes.
        let mut made = Made::new(36);
        let kind = conv([1; 4], 1);
        let x = made.add(kind.clone(), &[0], &[4, 3, 3]);
        let x = made.add(affine(CHANNELS, true, true), &[x], &[4, 3, 3]);
        made.add(kind, &[x], &[4, 3, 3]);
        made.fires(&FUSION, 0);
        let mut made = Made::new(36);
        let x = made.add(dense(), &[0], &[9, 5]);
        made.line(x, 3.4e38, 0.0);
        made.fires(&FUSION, 0);
    }
}
