//! Values in another order, repeated, left out or surrounded by a constant: changes of shape, transpositions, slices,
//! nearest-neighbour enlargement, borders.

use super::{Index, Made, OperatorKind};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Layer, OneInput, Operator, Pass, Plain, Rows, Tangents};
use burn::tensor::{Int, Tensor, TensorData};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "rearrange",
    inputs: Some(1),
    about: "y[i] = x[index[i]], or fill where that is -1; keys: index (the same values in another shape), fill = 0",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    index: Option<Index>,
    #[serde(default)]
    fill: f32,
}

/// How the values are moved on tensors.
enum Way {
    /// Not at all.
    Same,
    /// The input, viewed in the first sizes, with its axes in the order of the second list; then some are repeated.
    Permuted { view: [usize; AXES], order: [usize; AXES], repeats: [usize; AXES] },
    /// Picked one by one, from the list with 0 in place of none; then 0 or 1 for what is not from the input, if any.
    Picked { from: Vec<i32>, kept: Option<Vec<f32>> },
}

/// Axes of a permutation that are moved at once.
const AXES: usize = 6;

struct Rearrange {
    index: Option<Index>,
    before: usize,
    after: usize,
    fill: f32,
    way: Way,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let (before, after) = (made.size(0), made.shape.iter().product::<usize>());
    let way = match &c.index {
        Some(index) => Way::of(index, after, before, &made)?,
        None => {
            made.same_size()?;
            Way::Same
        }
    };
    Ok(OneInput::of(Box::new(Rearrange { index: c.index, before, after, fill: c.fill, way, shape: made.shape })))
}

impl Way {
    /// The list itself is written out only where its values are picked one by one.
    fn of(index: &Index, after: usize, before: usize, made: &Made) -> Result<Self> {
        if let Index::Loops { first: 0, loops } = index
            && loops.iter().try_fold(1usize, |n, (count, _)| n.checked_mul(*count as usize)) == Some(after)
            && let Some(way) = Self::permuted(loops, before)
        {
            return Ok(way);
        }
        let from = made.list(index, 1)?;
        if after == before && from.iter().enumerate().all(|(i, f)| *f as usize == i) {
            return Ok(Self::Same);
        }
        let none = from.contains(&u32::MAX);
        let kept = none.then(|| from.iter().map(|f| f32::from(u8::from(*f != u32::MAX))).collect());
        let from = from.into_iter().map(|f| if f == u32::MAX { 0 } else { f as i32 }).collect();
        Ok(Self::Picked { from, kept })
    }

    /// Loops that visit every value of the input equally often, as axes that are moved and repeated.
    fn permuted(loops: &[(u32, i64)], before: usize) -> Option<Self> {
        if loops.len() > AXES {
            return None;
        }
        // The loops that move, from the longest step to the shortest, must be the input's own axes.
        let mut moving: Vec<usize> = (0..loops.len()).filter(|i| loops[*i].1 != 0).collect();
        moving.sort_by_key(|i| std::cmp::Reverse(loops[*i].1));
        let mut step = 1;
        for i in moving.iter().rev() {
            if loops[*i].1 != step {
                return None;
            }
            step = step.checked_mul(i64::from(loops[*i].0))?;
        }
        if step != before as i64 {
            return None;
        }
        let still = (0..loops.len()).filter(|i| loops[*i].1 == 0);
        let axes: Vec<usize> = moving.iter().copied().chain(still).collect();
        let (mut view, mut order, mut repeats) = ([1; AXES], std::array::from_fn(|i| i), [1; AXES]);
        for (place, loop_) in axes.iter().enumerate() {
            let (count, step) = loops[*loop_];
            if step == 0 {
                repeats[*loop_] = count as usize
            } else {
                view[place] = count as usize
            }
            order[*loop_] = place;
        }
        Some(Self::Permuted { view, order, repeats })
    }
}

impl Rearrange {
    /// Moves the values of each row; what comes from nowhere is `fill`.
    fn apply(&self, x: Rows, fill: f32) -> Rows {
        let [n, _] = x.dims();
        match &self.way {
            Way::Same => x,
            Way::Permuted { view, order, repeats } => {
                let [a, b, c, d, e, f] = *view;
                let [p, q, r, s, t, u] = order.map(|axis| axis as isize + 1);
                let mut y = x.reshape([n, a, b, c, d, e, f]).permute([0, p, q, r, s, t, u]);
                for (axis, times) in repeats.iter().enumerate().filter(|(_, times)| **times > 1) {
                    y = y.repeat_dim(axis + 1, *times);
                }
                y.reshape([n, self.after])
            }
            Way::Picked { from, kept } => {
                let device = x.device();
                let count = from.len();
                let index: Tensor<1, Int> = Tensor::from_data(TensorData::new(from.clone(), [count]), &device);
                let dtype = x.dtype();
                let y = x.select(1, index);
                match kept {
                    None => y,
                    Some(kept) => {
                        let kept: Rows =
                            Rows::from_data(TensorData::new(kept.clone(), [1, count]), &device).cast(dtype);
                        let y = y * kept.clone();
                        if fill == 0.0 { y } else { y + (kept.neg() + 1.0) * fill }
                    }
                }
            }
        }
    }
}

impl Layer for Rearrange {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        self.apply(x, self.fill)
    }

    fn tangent(&self, x: Rows, t: Tangents, _: &Pass) -> (Rows, Tangents) {
        (self.apply(x, self.fill), t.map(|t| self.apply(t, 0.0)))
    }

    fn character(&self) -> Character {
        Character::Rearranges
    }

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        let from = match &self.index {
            Some(index) => index.list(self.after, self.before).ok()?,
            None => (0..self.before as u32).collect(),
        };
        Some(Plain::Rearrange { from, fill: self.fill })
    }

    fn describe(&self) -> String {
        match self.way {
            Way::Same => format!("rearrange, shape {:?}", self.shape),
            _ => format!("rearrange → {:?}", self.shape),
        }
    }
}
