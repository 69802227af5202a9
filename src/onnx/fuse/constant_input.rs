//! A matrix on values beside constants, such as the latent beside the embedding of a class: what the constants give is
//! part of the bias.

use super::super::kind::Kind;
use super::super::tensor::Constant;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion =
    Fusion { name: "constant_input", about: "what a matrix makes of constants is part of its bias", rule };

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let (Kind::Dense { weight, bias, rows }, [joined]) = (&node.kind, &node.inputs[..]) else { return None };
    let parts = scene.maker(*joined)?;
    let Kind::Concat { outer } = parts.kind else { return None };
    let alike = |reader: &usize| match scene.node(*reader).map(|node| &node.kind) {
        Some(Kind::Dense { rows: other, .. }) => other == rows,
        _ => false,
    };
    let others = scene.leaves(*joined) || !scene.readers(*joined).iter().all(alike);
    if outer != *rows || outer == 0 || others || scene.shared(weight) {
        return None;
    }
    let [out, width] = weight.shape[..] else { return None };
    let values = weight.as_floats();
    let mut sums: Vec<f64> = match bias {
        Some(bias) => bias.as_floats().iter().map(|v| f64::from(*v)).collect(),
        None => vec![0.0; out],
    };
    // The one part that is alive, and where its columns begin and end.
    let (mut live, mut start) = (None, 0);
    for &part in &parts.inputs {
        let end = start + scene.features(part) / outer;
        match &scene.maker(part).map(|maker| &maker.kind) {
            Some(Kind::Constant(c)) => {
                let c = c.as_floats();
                let line = c.get(..end - start)?;
                if c.chunks(line.len().max(1)).any(|other| other != line) {
                    return None;
                }
                for (o, sum) in sums.iter_mut().enumerate() {
                    let row = values.get(o * width + start..o * width + end)?;
                    *sum += row.iter().zip(line).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
                }
            }
            _ if live.is_none() => live = Some((part, start..end)),
            _ => return None,
        }
        start = end;
    }
    let (x, columns) = live?;
    if start != width || width == 0 || sums.len() != out || parts.inputs.len() < 2 {
        return None;
    }
    let kept = values.chunks(width).flat_map(|row| row.get(columns.clone()).unwrap_or(&[]).iter().copied()).collect();
    let sums: Vec<f32> = sums.into_iter().map(|v| v as f32).collect();
    if sums.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let weight = Constant::floats(vec![out, columns.len()], kept);
    let bias = Some(Constant::floats(vec![out], sums));
    let mut draft = Draft::new(scene, at, at + 1);
    draft.add(Kind::Dense { weight, bias, rows: *rows }, vec![x], &node.shape);
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    fn beside(constant: &[f32], rows: usize, more: bool) -> Made {
        let mut made = Made::new(3 * rows);
        let x = made.unary("sin", 0);
        let width = constant.len() / rows;
        let c = made.add(Kind::Constant(Constant::floats(vec![rows, width], constant.to_vec())), &[], &[rows, width]);
        let joined = if more { vec![x, c, x] } else { vec![c, x] };
        let wide = width + if more { 6 } else { 3 };
        let y = made.add(Kind::Concat { outer: rows }, &joined, &[rows, wide]);
        let weight = |o: usize| {
            let values = (0..o * wide).map(|i| ((i * 7 + o) % 11) as f32 - 5.0).collect();
            Constant::floats(vec![o, wide], values)
        };
        let bias = Some(Constant::floats(vec![2], vec![0.5, -0.5]));
        let a = made.add(Kind::Dense { weight: weight(2), bias, rows }, &[y], &[rows, 2]);
        let b = made.add(Kind::Dense { weight: weight(2), bias: None, rows }, &[y], &[rows, 2]);
        made.add(Kind::Product, &[a, b], &[rows, 2]);
        made
    }

    #[test]
    fn it_fires_where_one_part_lives_and_the_rest_is_the_same_in_all_rows() {
        let mut made = beside(&[2.0, -3.0], 1, false);
        made.fires(&FUSION, 2);
        assert_eq!(made.kinds(), ["unary sin", "dense", "dense", "product"]);
        beside(&[2.0, 2.0], 2, false).fires(&FUSION, 2);
        beside(&[2.0, 3.0], 2, false).fires(&FUSION, 0);
        beside(&[2.0, -3.0], 1, true).fires(&FUSION, 0);
        let mut made = beside(&[2.0, -3.0], 1, false);
        made.output_also(3);
        made.fires(&FUSION, 0);
    }
}
