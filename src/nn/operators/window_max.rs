//! The greatest value of each window: max pooling and the maximum along an axis.

use super::{Index, Made, OperatorKind};
use crate::error::{Error, Result};
use crate::nn::{Character, HostParameters, Layer, OneInput, Operator, Pass, Plain, Rows, Tangents};
use burn::tensor::{Int, Tensor, TensorData};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "window_max",
    inputs: Some(1),
    about: "y[i] = max of x[index[i, :]], the first of equal ones; keys: index ([outputs, width], -1 for none), width",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    index: Index,
    width: usize,
}

struct WindowMax {
    index: Vec<u32>,
    width: usize,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let index = made.list(&c.index, c.width)?;
    if c.width == 0 || index.chunks_exact(c.width).any(|window| window.iter().all(|i| *i == u32::MAX)) {
        return Err(Error::key("index", "expected at least one value in each window, found none"));
    }
    Ok(OneInput::of(Box::new(WindowMax { index, width: c.width, shape: made.shape })))
}

impl WindowMax {
    fn outputs(&self) -> usize {
        self.index.len() / self.width
    }

    /// The values of each window, `[rows, outputs, width]`. An empty place takes the first value of its window that is
    /// there, which wins over it in a tie.
    fn windows(&self, x: Rows) -> Tensor<3> {
        let (rows, device) = (x.dims()[0], x.device());
        let filled: Vec<i32> = self
            .index
            .chunks_exact(self.width)
            .flat_map(|window| {
                let first = window.iter().find(|i| **i != u32::MAX).copied().unwrap_or(0);
                window.iter().map(move |i| if *i == u32::MAX { first as i32 } else { *i as i32 })
            })
            .collect();
        let count = filled.len();
        let index: Tensor<1, Int> = Tensor::from_data(TensorData::new(filled, [count]), &device);
        x.select(1, index).reshape([rows, self.outputs(), self.width])
    }
}

impl Layer for WindowMax {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        let n = x.dims()[0];
        self.windows(x).max_dim(2).reshape([n, self.outputs()])
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let ([n, features], k, outputs) = (x.dims(), t.directions(), self.outputs());
        let best = self.windows(x.clone()).argmax(2);
        let best = best.reshape([n, 1, outputs, 1]).repeat_dim(1, k).reshape([n * k, outputs, 1]);
        let moved = self.windows(t.expanded(n).reshape([n * k, features])).gather(2, best);
        (self.forward(x, pass), Tangents::per_sample(moved.reshape([n * k, outputs]), k))
    }

    // Which of the values of a window is the greatest is told by the differences of all pairs; those of neighbours are
    // enough to see that it has changed in windows of two, and are a sample of them in larger ones.
    fn tap(&self, x: &Rows, _: &Pass, taps: &mut Vec<Rows>) {
        let (n, windows) = (x.dims()[0], self.windows(x.clone()));
        if self.width > 1 {
            let part = |from| windows.clone().narrow(2, from, self.width - 1);
            taps.push((part(0) - part(1)).reshape([n, self.outputs() * (self.width - 1)]));
        }
    }

    fn character(&self) -> Character {
        Character::PiecewiseLinear
    }

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        Some(Plain::WindowMax { index: self.index.clone(), width: self.width })
    }

    fn describe(&self) -> String {
        format!("window_max of {} values", self.width)
    }
}
