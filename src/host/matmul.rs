//! Products of two matrices that both depend on the latent.

use super::panels::{panels, product, terms};
use super::{HostOperator, HostTangents, Linearisation};
use rayon::prelude::*;

/// y = A·B for each of a batch of matrices: A is `[batch, m, k]`, B `[batch, k, n]`, y `[batch, m, n]`. The linearisation
/// holds A, then B.
pub struct Matmul {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
}

impl Matmul {
    /// From the sizes batch, m, k and n.
    pub fn new([batch, m, k, n]: [usize; 4]) -> Self {
        Self { batch, m, k, n }
    }

    /// Adds ∂A·B and A·∂B of matrix `b` to `into`, `[m, n, lanes]`.
    fn one(&self, b: usize, values: &[f32], t: &[Option<HostTangents>], into: &mut [f32]) {
        let Self { batch, m, k, n } = *self;
        let (left, right) = values.split_at(batch * m * k);
        let (left, right) = (&left[b * m * k..][..m * k], &right[b * k * n..][..k * n]);
        if let Some(t) = &t[0] {
            let (matrix, columns) = (panels(k, n, |row, column| right[row * n + column]), columns(n));
            for (i, into) in into.chunks_exact_mut(n * t.lanes()).enumerate() {
                let rows = terms(t, (0..k).map(|c| (b * m + i) * k + c));
                product(t.rows(), t.count(), &rows, (&matrix, k), &columns, into);
            }
        }
        if let Some(t) = &t[1] {
            let (matrix, columns) = (panels(k, m, |row, column| left[column * k + row]), columns(m));
            let lanes = t.lanes();
            let mut column = vec![0.0; m * lanes];
            for j in 0..n {
                column.fill(0.0);
                let rows = terms(t, (0..k).map(|c| (b * k + c) * n + j));
                product(t.rows(), t.count(), &rows, (&matrix, k), &columns, &mut column);
                for (i, moved) in column.chunks_exact(lanes).enumerate() {
                    into[(i * n + j) * lanes..][..lanes].iter_mut().zip(moved).for_each(|(y, m)| *y += m);
                }
            }
        }
    }
}

fn columns(n: usize) -> Vec<u32> {
    (0..n as u32).collect()
}

impl HostOperator for Matmul {
    fn value(&self, x: &[&[f32]]) -> (Vec<f32>, Linearisation) {
        let Self { batch, m, k, n } = *self;
        let mut y = vec![0.0f32; batch * m * n];
        for (row, y) in y.chunks_exact_mut(n).enumerate() {
            let (a, b) = (&x[0][row * k..][..k], &x[1][row / m * k * n..][..k * n]);
            for (a, b) in a.iter().zip(b.chunks_exact(n)) {
                y.iter_mut().zip(b).for_each(|(y, b)| *y += a * b);
            }
        }
        (y, Linearisation { values: [x[0], x[1]].concat(), inner: Vec::new() })
    }

    fn tangent(&self, point: &Linearisation, t: Vec<Option<HostTangents>>, _: Option<&[bool]>) -> HostTangents {
        let Some(any) = t.iter().flatten().next() else { return HostTangents::units(0, 0, 0) };
        let size = self.m * self.n * any.lanes();
        let mut data = vec![0.0; self.batch * size];
        data.par_chunks_mut(size).enumerate().for_each(|(b, into)| self.one(b, &point.values, &t, into));
        any.with_rows((0..(self.batch * self.m * self.n) as u32).map(Some).collect(), data)
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + 2 * self.batch * self.m * self.n
    }

    fn features(&self, _: &[usize]) -> usize {
        self.batch * self.m * self.n
    }
}
