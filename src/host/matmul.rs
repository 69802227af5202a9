//! Products of two matrices that both depend on the latent.

use super::buffer::Buffer;
use super::panels::{panels, terms};
use super::product::{TangentPart, TangentProduct};
use super::row_product::{RowProduct, TOGETHER};
use super::{HostOperator, HostRows, Linearisation};
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

    /// ∂A·B, `[batch, m, n, lanes]`.
    fn left(&self, t: &HostRows, right: &[f32]) -> Buffer {
        let Self { batch, m, k, n } = *self;
        let matrices: Vec<Vec<f32>> = right.chunks_exact(k * n).map(|b| panels(k, n, |c, j| b[c * n + j])).collect();
        self.sums(t, [batch, m, n], &matrices, |b, i, c| (b * m + i) * k + c)
    }

    /// A·∂B, `[batch, n, m, lanes]`.
    fn right(&self, t: &HostRows, left: &[f32]) -> Buffer {
        let Self { batch, m, k, n } = *self;
        let matrices: Vec<Vec<f32>> = left.chunks_exact(m * k).map(|a| panels(k, m, |c, i| a[i * k + c])).collect();
        self.sums(t, [batch, n, m], &matrices, |b, j, c| (b * k + c) * n + j)
    }

    /// Σ over c of t[entry(b, part, c)] times row c of matrix b, `[batch, parts, columns, lanes]`.
    fn sums(
        &self,
        t: &HostRows,
        [batch, parts, width]: [usize; 3],
        matrices: &[Vec<f32>],
        entry: impl Fn(usize, usize, usize) -> usize + Sync,
    ) -> Buffer {
        let (lanes, some) = (t.lanes(), parts.div_ceil(TASKS));
        let wanted: Vec<u32> = (0..width as u32).collect();
        let mut data = Buffer::any(batch * parts * width * lanes);
        let task = |b: usize, first: usize, out: &mut [f32]| {
            let of_part = |part: usize| terms(t, (0..self.k).map(|c| entry(b, part, c)));
            out.fill(0.0);
            let count = out.len() / (width * lanes);
            let terms: Vec<_> = (first..first + count).map(of_part).collect();
            let each = terms.iter().zip(out.chunks_exact_mut(width * lanes));
            let mut parts: Vec<_> = each.map(|(terms, out)| TangentPart { terms, wanted: &wanted, out }).collect();
            let (weights, height) = (&matrices[b], self.k);
            TangentProduct { parts: &mut parts, rows: t.rows(), lanes, count: t.count(), weights, height }.run();
        };
        data.par_chunks_mut(parts * width * lanes).enumerate().for_each(|(b, out)| {
            let tasks = out.par_chunks_mut(some * width * lanes).enumerate();
            tasks.for_each(|(i, out)| task(b, i * some, out));
        });
        data
    }
}

/// Into how many tasks each matrix is divided.
const TASKS: usize = 8;

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

    fn values(&self, x: Vec<HostRows>) -> HostRows {
        let Self { batch, m, k, n } = *self;
        let x: Vec<HostRows> = x.into_iter().map(|x| x.opened(0.0)).collect();
        let (lanes, mut data) = (x[0].lanes(), Buffer::any(batch * m * n * x[0].lanes()));
        data.par_chunks_mut((m * n * lanes).max(1)).enumerate().for_each(|(b, matrix)| {
            matrix.par_chunks_mut((TOGETHER * n * lanes).max(1)).enumerate().for_each(|(i, out)| {
                let (first, second) = ((b * m + i * TOGETHER) * k, b * k * n);
                RowProduct { sides: [&x[0], &x[1]], first, second, sizes: [k, n], out }.run();
            });
        });
        x[0].with_rows((0..(batch * m * n) as u32).collect(), data)
    }

    fn tangent(&self, point: &Linearisation, t: Vec<Option<HostRows>>, _: Option<&[bool]>) -> HostRows {
        let Some(any) = t.iter().flatten().next() else { return HostRows::units(0, 0, 0) };
        let (lanes, m, n) = (any.lanes(), self.m, self.n);
        let (left, right) = point.values.split_at(self.batch * m * self.k);
        let own = t[0].as_ref().map(|t| self.left(t, right));
        let other = t[1].as_ref().map(|t| self.right(t, left));
        let mut data = own.unwrap_or_else(|| Buffer::zeros(self.batch * m * n * lanes));
        if let Some(other) = other {
            data.par_chunks_mut(n * lanes).enumerate().for_each(|(row, into)| {
                let (b, i) = (row / m, row % m);
                for (j, into) in into.chunks_exact_mut(lanes).enumerate() {
                    let moved = &other[((b * n + j) * m + i) * lanes..][..lanes];
                    into.iter_mut().zip(moved).for_each(|(y, v)| *y += v);
                }
            });
        }
        any.with_rows((0..(self.batch * m * n) as u32).collect(), data)
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + 2 * self.batch * self.m * self.n
    }

    fn features(&self, _: &[usize]) -> usize {
        self.batch * self.m * self.n
    }
}
