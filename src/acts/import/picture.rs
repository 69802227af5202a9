//! What of a graph's output is the picture: its shape, its order of axes and its range.

use crate::error::{Error, Result};
use crate::nn::operators::Index;
use crate::nn::{GraphFile, GraphNode};
use crate::onnx::{Lowered, range};
use serde_json::{Map, json};

/// The picture's shape, `[channels, height, width]`, and what was done to the output to get it.
pub struct Shaped {
    /// The shape.
    pub shape: [usize; 3],
    /// A remark, if the axes were put into another order.
    pub remark: Option<String>,
}

/// Ends the graph in a picture: gives its output the shape `[channels, height, width]`, from `given` if there is one.
///
/// # Errors
/// [`Error::Key`] at `picture` if the shape does not follow from the output, or does not fit it.
pub fn shape(file: &mut GraphFile, given: Option<[usize; 3]>) -> Result<Shaped> {
    let last = match file.output {
        0 => file.inputs[0].shape.clone(),
        n => file.nodes[n - 1].shape.clone(),
    };
    let size: usize = last.iter().product();
    // Without the batch.
    let own = if last.len() > 1 && last[0] == 1 { &last[1..] } else { &last[..] };
    if let Some(shape) = given {
        if shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b)) != Some(size) {
            let message = format!("expected a shape of {size} values, as the output {own:?} has, found {shape:?}");
            return Err(Error::key("picture", message));
        }
        push(file, shape, None);
        return Ok(Shaped { shape, remark: None });
    }
    match *own {
        [c @ (1 | 3), h, w] => {
            push(file, [c, h, w], None);
            Ok(Shaped { shape: [c, h, w], remark: None })
        }
        [h, w, c @ (1 | 3)] if h > 4 && w > 4 => {
            let loops = vec![(c as u32, 1), (h as u32, (w * c) as i64), (w as u32, c as i64)];
            push(file, [c, h, w], Some(Index::Loops { first: 0, loops }));
            let remark = format!("the output is [height, width, channels] {own:?}, turned to [{c}, {h}, {w}]");
            Ok(Shaped { shape: [c, h, w], remark: Some(remark) })
        }
        [4, h, w] | [8, h, w] | [16, h, w] if h > 1 && w > 1 => Err(Error::key(
            "picture",
            format!(
                "the output {own:?} has {} channels, which looks like codes of an autoencoder; export it together with its decoder",
                own[0]
            ),
        )),
        [h, w] if h > 1 && w > 1 => {
            push(file, [1, h, w], None);
            Ok(Shaped { shape: [1, h, w], remark: None })
        }
        _ => Err(Error::key(
            "picture",
            format!("the output has the shape {own:?}; say which picture its {size} values are, as in 1x28x28"),
        )),
    }
}

fn push(file: &mut GraphFile, shape: [usize; 3], index: Option<Index>) {
    let keys = index.map_or_else(Map::new, |index| Map::from_iter([("index".to_owned(), json!(index))]));
    let node = GraphNode {
        name: "picture".to_owned(),
        kind: "rearrange".to_owned(),
        inputs: vec![file.output],
        shape: shape.to_vec(),
        keys,
    };
    file.nodes.push(node);
    file.output = file.nodes.len();
}

/// The values of black and of white, and where they are from.
pub struct Range {
    /// Black and white.
    pub ends: [f32; 2],
    /// Where they are from, in words.
    pub from: String,
    /// Whether they are a guess that the user should look at.
    pub guessed: bool,
}

/// Ranges that pictures usually have.
const USUAL: [[f32; 2]; 3] = [[0.0, 1.0], [-1.0, 1.0], [0.0, 255.0]];
/// How far an end of a measured range may lie from a usual one, as a part of that range.
const NEAR: f32 = 0.2;

/// The range of the picture: what its last activation says, or what pictures of `count` latents reach from `low` to
/// `high`, moved to a usual range if one is near.
pub fn range_of(lowered: &Lowered, measured: impl FnOnce() -> Result<([f32; 2], usize)>) -> Result<Range> {
    if let Some(found) = range::of(lowered) {
        let node = &lowered.nodes[found.node];
        let from = format!("{} (node \"{}\")", node.operator, node.name.escape_debug());
        return Ok(Range { ends: [found.low, found.high], from, guessed: false });
    }
    let ([low, high], count) = measured()?;
    let near = |usual: &&[f32; 2]| {
        let width = usual[1] - usual[0];
        (low - usual[0]).abs() <= NEAR * width && (high - usual[1]).abs() <= NEAR * width
    };
    let about = format!("measured {} to {} on {count} latents", rounded(low), rounded(high));
    Ok(match USUAL.iter().find(near) {
        Some(usual) => Range { ends: *usual, from: format!("{about}, a usual range is near"), guessed: true },
        None => Range { ends: [rounded(low), rounded(high)], from: about, guessed: true },
    })
}

/// Two digits are enough for the ends of a range that was measured.
fn rounded(v: f32) -> f32 {
    if v == 0.0 || !v.is_finite() {
        return v;
    }
    let unit = 10f64.powi(f64::from(v.abs()).log10().floor() as i32 - 1);
    ((f64::from(v) / unit).round() * unit) as f32
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_digits() {
        assert_eq!([3.8, -0.012, 255.0, 0.0].map(super::rounded), [3.8, -0.012, 260.0, 0.0]);
    }
}
