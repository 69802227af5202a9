//! The product of two matrices, for each of a batch.

use super::{Made, OperatorKind};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Operator, Pass, Plain, Rows, Tangents};
use burn::tensor::Tensor;
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "matmul",
    inputs: Some(2),
    about: "A·B of [batch, m, k] and [batch, k, n]; keys: batch, m, k, n",
    build,
};

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
}

struct Matmul {
    sizes: Sizes,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let sizes @ Sizes { batch, m, k, n } = made.keys()?;
    made.reads(0, "m", &[batch, m, k])?;
    made.reads(1, "n", &[batch, k, n])?;
    made.makes(batch.saturating_mul(m).saturating_mul(n))?;
    Ok(Arc::new(Matmul { sizes, shape: made.shape }))
}

impl Matmul {
    fn left(&self, a: Rows) -> Tensor<4> {
        let rows = a.dims()[0];
        a.reshape([rows, self.sizes.batch, self.sizes.m, self.sizes.k])
    }

    fn right(&self, b: Rows) -> Tensor<4> {
        let rows = b.dims()[0];
        b.reshape([rows, self.sizes.batch, self.sizes.k, self.sizes.n])
    }

    fn joined(&self, y: Tensor<4>) -> Rows {
        let [rows, ..] = y.dims();
        y.reshape([rows, self.shape.iter().product()])
    }

    /// ∂A·B: the directions stand beside the rows of A, so that one product serves all of them.
    fn by_left(&self, t: Tangents, b: Tensor<4>) -> Tangents {
        let Sizes { batch, m, k, n } = self.sizes;
        let ([samples, ..], directions) = (b.dims(), t.directions());
        let moved = t.expanded(samples).reshape([samples, directions, batch, m, k]).swap_dims(1, 2);
        let y = moved.reshape([samples, batch, directions * m, k]).matmul(b);
        let y = y.reshape([samples, batch, directions, m, n]).swap_dims(1, 2);
        Tangents::from_cube(y.reshape([samples, directions, batch * m * n]))
    }

    /// A·∂B: the directions stand beside the columns of B.
    fn by_right(&self, a: Tensor<4>, t: Tangents) -> Tangents {
        let Sizes { batch, m, k, n } = self.sizes;
        let ([samples, ..], directions) = (a.dims(), t.directions());
        let moved = t.expanded(samples).reshape([samples, directions, batch, k, n]).permute([0, 2, 3, 1, 4]);
        let y = a.matmul(moved.reshape([samples, batch, k, directions * n]));
        let y = y.reshape([samples, batch, m, directions, n]).permute([0, 3, 1, 2, 4]);
        Tangents::from_cube(y.reshape([samples, directions, batch * m * n]))
    }
}

impl Operator for Matmul {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Vec<Rows>, _: &Pass) -> Rows {
        self.joined(self.left(x[0].clone()).matmul(self.right(x[1].clone())))
    }

    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, pass: &Pass) -> (Rows, Option<Tangents>) {
        let (a, b) = (self.left(x[0].clone()), self.right(x[1].clone()));
        let mut t = t.into_iter();
        let left = t.next().flatten().map(|t| self.by_left(t, b));
        let right = t.next().flatten().map(|t| self.by_right(a, t));
        let moved = left.into_iter().chain(right).reduce(Tangents::plus);
        (self.forward(x, pass), moved)
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn plain(&self, _: &HostParameters) -> Option<Vec<Plain>> {
        let Sizes { batch, m, k, n } = self.sizes;
        Some(vec![Plain::Matmul([batch, m, k, n])])
    }

    fn describe(&self) -> String {
        let Sizes { batch, m, k, n } = self.sizes;
        format!("matmul {m}×{k}·{k}×{n}, {batch} times")
    }
}
