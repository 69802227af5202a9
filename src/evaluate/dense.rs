//! Products and Cholesky factors of dense matrices in f64, on all threads.
//!
//! `linalg::GramSum` takes f32 values, which rows of features are; covariances and factors are not. Each entry of a
//! product here is one running sum in the order of the summed index, whatever the width of the processor's registers
//! and however many threads there are, so the bits are the same on every machine.

// In blocks of registers, indices show what iterators would hide.
#![allow(clippy::needless_range_loop)]

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};
use rayon::prelude::*;

/// Rows and columns of a tile of a product: a multiple of every block of registers below.
const EDGE: usize = 128;

/// Terms of the sums that are copied side by side before they are added to a tile.
const DEPTH: usize = 64;

/// Columns that the factor is made by before the rest of the matrix is updated.
const PANEL: usize = 64;

/// Which entries of a product AᵀB are wanted, and which terms of the sums are zero by construction.
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    /// B is lower triangular: its rows before j hold zeros in column j.
    RightLower,
    /// AᵀB is symmetric; half of it is summed and mirrored.
    Symmetric,
    /// AᵀB is symmetric, and A is lower triangular.
    SymmetricLower,
}

/// AᵀB, `[m, n]` row-major, of A `[depth, m]` and B `[depth, n]`, both row-major.
pub fn transposed_product(a: &[f64], m: usize, b: &[f64], n: usize, form: Form) -> Vec<f64> {
    let depth = a.len().checked_div(m).unwrap_or(0);
    let symmetric = matches!(form, Form::Symmetric | Form::SymmetricLower);
    let starts = |n: usize| (0..n).step_by(EDGE);
    // Of a symmetric product the tiles on and under the diagonal, where a lower triangular A leaves the fewest terms.
    let tiles: Vec<(usize, usize)> =
        starts(m).flat_map(|i| starts(n).map(move |j| (i, j))).filter(|(i, j)| !symmetric || i >= j).collect();
    let of = |(i, j): &(usize, usize)| {
        let first = match form {
            Form::Symmetric => 0,
            Form::RightLower => *j,
            Form::SymmetricLower => *i,
        };
        tile([a, b], [m, n], [*i, *j], first..depth)
    };
    let mut out = vec![0.0; m * n];
    // One band of tiles after the other, so that no more than a band is held beside the result.
    for band in tiles.chunk_by(|x, y| x.0 == y.0) {
        let found: Vec<Vec<f64>> = band.par_iter().map(of).collect();
        for ((i, j), values) in band.iter().zip(found) {
            let columns = EDGE.min(n - j);
            for r in 0..EDGE.min(m - i) {
                let row = &values[r * EDGE..][..columns];
                out[(i + r) * n + j..][..columns].copy_from_slice(row);
                if symmetric {
                    row.iter().enumerate().for_each(|(c, v)| out[(j + c) * n + i + r] = *v);
                }
            }
        }
    }
    out
}

/// The tile of AᵀB at row `at[0]` and column `at[1]`, `[EDGE, EDGE]`, with zeros beyond the edges of the matrices.
fn tile(sources: [&[f64]; 2], lanes: [usize; 2], at: [usize; 2], depth: std::ops::Range<usize>) -> Vec<f64> {
    let mut sums = vec![0.0; EDGE * EDGE];
    let mut packed = [vec![0.0; DEPTH * EDGE], vec![0.0; DEPTH * EDGE]];
    for first in depth.clone().step_by(DEPTH) {
        let count = DEPTH.min(depth.end - first);
        for s in 0..2 {
            let width = EDGE.min(lanes[s] - at[s]);
            for k in 0..count {
                let row = &sources[s][(first + k) * lanes[s] + at[s]..][..width];
                packed[s][k * EDGE..][..width].copy_from_slice(row);
            }
        }
        AutoArch::new().dispatch(Addition { count, packed: &packed, sums: &mut sums });
    }
    sums
}

/// Adds `count` terms to each sum of a tile.
struct Addition<'a> {
    count: usize,
    packed: &'a [Vec<f64>; 2],
    sums: &'a mut [f64],
}

#[inline(always)]
fn load<S: Simd>(values: &[f64]) -> Vector<S, f64> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
}

/// A block of `R` rows by `C` registers of a tile, at row `i` and column `j`.
#[inline(always)]
fn block<S: Simd, const R: usize, const C: usize>(job: &mut Addition, i: usize, j: usize) {
    let w = f64::lanes::<S>();
    let mut sums = [[0f64.splat::<S>(); C]; R];
    for r in 0..R {
        for c in 0..C {
            sums[r][c] = load::<S>(&job.sums[(i + r) * EDGE + j + c * w..][..w]);
        }
    }
    for k in 0..job.count {
        let (left, right) = (&job.packed[0][k * EDGE + i..][..R], &job.packed[1][k * EDGE + j..][..C * w]);
        let mut columns = [0f64.splat::<S>(); C];
        for c in 0..C {
            columns[c] = load::<S>(&right[c * w..][..w]);
        }
        for r in 0..R {
            let factor = left[r].splat::<S>();
            for c in 0..C {
                sums[r][c] = factor.fma(columns[c], sums[r][c]);
            }
        }
    }
    for r in 0..R {
        for c in 0..C {
            let out = &mut job.sums[(i + r) * EDGE + j + c * w..][..w];
            out.copy_from_slice(bytemuck::cast_slice(bytemuck::bytes_of(&sums[r][c])));
        }
    }
}

impl WithSimd for Addition<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        let w = f64::lanes::<S>();
        let columns = if w >= 8 { 4 } else { 2 };
        for i in (0..EDGE).step_by(4) {
            for j in (0..EDGE).step_by(columns * w) {
                match columns {
                    4 => block::<S, 4, 4>(&mut self, i, j),
                    _ => block::<S, 4, 2>(&mut self, i, j),
                }
            }
        }
    }
}

/// A factor of a positive semidefinite matrix M: entry (`order[i]`, `order[j]`) of M is Σₖ LᵢₖLⱼₖ.
pub struct Factor {
    /// L, lower trapezoidal, `[n, rank]` row-major.
    pub lower: Vec<f64>,
    /// Columns of L: the numerical rank of M.
    pub rank: usize,
    /// Which row of M each row of L belongs to.
    pub order: Vec<usize>,
}

/// The Cholesky factor of a positive semidefinite matrix M, `[n, n]`, with pivots (Golub & Van Loan, 4.2.8). It ends
/// where every diagonal entry that is left is below n·eps(f64) of what it was at first: what is there is rounding, on
/// whatever scale the feature is. Takes about n²·rank operations.
pub fn pivoted_cholesky(mut m: Vec<f64>, n: usize) -> Factor {
    let mut left: Vec<f64> = (0..n).map(|i| m[i * n + i]).collect();
    let mut floor: Vec<f64> = left.iter().map(|d| n as f64 * f64::EPSILON * d.max(0.0)).collect();
    let mut order: Vec<usize> = (0..n).collect();
    let mut lower = vec![0.0; n * n];
    let mut rank = n;
    'panels: for start in (0..n).step_by(PANEL) {
        let end = n.min(start + PANEL);
        for k in start..end {
            let best = (k..n).filter(|i| left[*i] > floor[*i]).max_by(|a, b| left[*a].total_cmp(&left[*b]));
            let Some(pivot) = best else {
                rank = k;
                break 'panels;
            };
            exchange(&mut m, &mut lower, n, k, pivot);
            left.swap(k, pivot);
            floor.swap(k, pivot);
            order.swap(k, pivot);
            let root = left[k].sqrt();
            let (above, below) = lower.split_at_mut((k + 1) * n);
            let own = &mut above[k * n..];
            own[k] = root;
            let own = &own[start..k];
            let of_m = &m[k * n + k + 1..(k + 1) * n];
            for ((row, entry), left) in below.chunks_exact_mut(n).zip(of_m).zip(&mut left[k + 1..]) {
                let known: f64 = row[start..k].iter().zip(own).map(|(a, b)| a * b).sum();
                let value = (entry - known) / root;
                row[k] = value;
                *left -= value * value;
            }
        }
        subtract_panel(&mut m, &lower, n, start, end);
    }
    let lower = lower.chunks_exact(n.max(1)).flat_map(|row| &row[..rank]).copied().collect();
    Factor { lower, rank, order }
}

/// Exchanges row and column `k` of the matrix with row and column `pivot`, and these rows of the factor.
fn exchange(m: &mut [f64], lower: &mut [f64], n: usize, k: usize, pivot: usize) {
    if k == pivot {
        return;
    }
    for matrix in [&mut *m, lower] {
        let (above, below) = matrix.split_at_mut(pivot * n);
        above[k * n..(k + 1) * n].swap_with_slice(&mut below[..n]);
    }
    m.chunks_exact_mut(n).for_each(|row| row.swap(k, pivot));
}

/// Subtracts Σ LᵢₖLⱼₖ over the columns k of a finished panel from the rows and columns i, j ≥ `end` of the matrix.
fn subtract_panel(m: &mut [f64], lower: &[f64], n: usize, start: usize, end: usize) {
    let rest = n - end;
    // The panel with the summed index first, as `tile` reads it.
    let panel: Vec<f64> = (start..end).flat_map(|k| lower[end * n..].chunks_exact(n).map(move |row| row[k])).collect();
    m[end * n..].par_chunks_mut(EDGE * n).enumerate().for_each(|(band, rows)| {
        for j in (0..rest).step_by(EDGE) {
            let sums = tile([&panel, &panel], [rest, rest], [band * EDGE, j], 0..end - start);
            for (row, sums) in rows.chunks_exact_mut(n).zip(sums.chunks_exact(EDGE)) {
                row[end + j..].iter_mut().zip(sums).for_each(|(v, s)| *v -= s);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{Tridiagonal, eigenvalues_along};
    use crate::noise::{Stream, normals};

    fn matrix(rows: usize, columns: usize, seed: u64) -> Vec<f64> {
        normals(seed, 0, Stream::Probe, 0, rows * columns).into_iter().map(f64::from).collect()
    }

    /// Each entry is a sum of `depth` products: off by at most depth·eps times the sum of their sizes.
    fn check(found: &[f64], a: &[f64], m: usize, b: &[f64], n: usize) {
        let depth = a.len() / m;
        for i in 0..m {
            for j in 0..n {
                let terms = || (0..depth).map(|k| a[k * m + i] * b[k * n + j]);
                let (plain, size): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
                assert!((found[i * n + j] - plain).abs() <= depth as f64 * f64::EPSILON * size, "{i} {j}");
            }
        }
    }

    #[test]
    fn products_equal_the_plain_sums() {
        for (depth, n) in [(1, 1), (70, 5), (130, 129), (65, 257)] {
            let a = matrix(depth, n, 1);
            check(&transposed_product(&a, n, &a, n, Form::Symmetric), &a, n, &a, n);
        }
        // Lower triangular, with a leading part that the sums leave out.
        let n = 300;
        let mut low = matrix(n, n, 3);
        (0..n).for_each(|i| low[i * n + i + 1..(i + 1) * n].fill(0.0));
        let b = matrix(n, n, 4);
        check(&transposed_product(&b, n, &low, n, Form::RightLower), &b, n, &low, n);
        check(&transposed_product(&b[..n * 40], 40, &low, n, Form::RightLower), &b[..n * 40], 40, &low, n);
        let product = transposed_product(&low, n, &low, n, Form::SymmetricLower);
        check(&product, &low, n, &low, n);
    }

    /// M = JᵀJ of rank r from J with r rows; L·Lᵀ gives M back, off by a small multiple of n·eps·max M, and L has as
    /// many columns as the rank is. One feature is a million times as large as the others, one is constant.
    #[test]
    fn factors_give_the_matrix_back() {
        for (n, r) in [(1, 1), (6, 6), (40, 12), (150, 150), (200, 90)] {
            let mut j = matrix(r, n, 5);
            if n > 5 {
                j.chunks_exact_mut(n).for_each(|row| (row[2], row[4]) = (row[2] * 1e6, 0.0));
            }
            let m = transposed_product(&j, n, &j, n, Form::Symmetric);
            let factor = pivoted_cholesky(m.clone(), n);
            let expected = if n > 5 { r.min(n - 1) } else { r };
            assert_eq!(factor.rank, expected, "{n} {r}");
            let row = |i: usize| &factor.lower[i * factor.rank..(i + 1) * factor.rank];
            for i in 0..n {
                for k in 0..n {
                    let found: f64 = row(i).iter().zip(row(k)).map(|(a, b)| a * b).sum();
                    let (at_i, at_k) = (factor.order[i], factor.order[k]);
                    let size = (m[at_i * n + at_i] * m[at_k * n + at_k]).sqrt();
                    let off = (found - m[at_i * n + at_k]).abs();
                    assert!(off <= 4.0 * n as f64 * f64::EPSILON * size, "{n} {r}: {i} {k} {off:e} {size:e}");
                }
            }
        }
        assert_eq!(pivoted_cholesky(vec![0.0; 9], 3).rank, 0);
    }

    /// The eigenvalues of LᵀL are those of M = LLᵀ that are not zero.
    #[test]
    fn both_sides_of_a_factor_have_the_same_eigenvalues() {
        let (n, r) = (60, 25);
        let j = matrix(r, n, 8);
        let m = transposed_product(&j, n, &j, n, Form::Symmetric);
        let factor = pivoted_cholesky(m.clone(), n);
        let small = transposed_product(&factor.lower, r, &factor.lower, r, Form::SymmetricLower);
        let solve = |a: Vec<f64>, n: usize| eigenvalues_along(&[Tridiagonal::of(a, vec![0.0; n])]).remove(0).0;
        let (large, small) = (solve(m, n), solve(small, r));
        let bound = 16.0 * n as f64 * f64::EPSILON * large[0];
        assert!(small.iter().zip(&large).all(|(a, b)| (a - b).abs() <= bound));
        assert!(large[r..].iter().all(|v| v.abs() <= bound));
    }
}
