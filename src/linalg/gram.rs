//! Gram matrices in f64 of matrices in f32, summed row by row.
//!
//! The product of two f32 values is exact in f64, so only the sums round. Each entry is one running sum over the rows
//! in order, whatever the width of the processor's registers, so the bits are the same on every machine.

// In blocks of registers, indices show what iterators would hide.
#![allow(clippy::needless_range_loop)]

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// How many rows are collected before they are added to the sums. A block of sums then stays in registers for all of
/// them.
const ROWS: usize = 32;

/// A running sum Σ aᵀb over pairs of rows (a, b). The result is AᵀB, `[lanes of a, lanes of b]` row-major, of two
/// matrices whose rows arrive one pair at a time. Each entry is summed in the order of the calls to
/// [`push`](Self::push).
pub struct GramSum {
    lanes: [usize; 2],
    same: bool,
    held: usize,
    rows: [Vec<f32>; 2],
    wide: [Vec<f64>; 2],
    sums: Vec<f64>,
}

impl GramSum {
    /// An empty sum for rows a of `lanes[0]` values and b of `lanes[1]` values, both multiples of 16 (pad with zeros).
    /// `same` says that b is a: AᵀA is symmetric, so only its upper triangle is summed, and [`finish`](Self::finish)
    /// mirrors it.
    pub fn new(lanes: [usize; 2], same: bool) -> Self {
        let sizes = [ROWS * lanes[0], if same { 0 } else { ROWS * lanes[1] }];
        let (rows, wide) = (sizes.map(|n| vec![0.0; n]), sizes.map(|n| vec![0.0; n]));
        Self { lanes, same, held: 0, rows, wide, sums: vec![0.0; lanes[0] * lanes[1]] }
    }

    /// Adds aᵀb for one pair of rows, a of `lanes[0]` and b of `lanes[1]` values. With `same`, b is not read.
    pub fn push(&mut self, a: &[f32], b: &[f32]) {
        let place = |lanes: usize| self.held * lanes..(self.held + 1) * lanes;
        let (at, bt) = (place(self.lanes[0]), place(self.lanes[1]));
        self.rows[0][at].copy_from_slice(a);
        if !self.same {
            self.rows[1][bt].copy_from_slice(b);
        }
        self.held += 1;
        if self.held == ROWS {
            self.flush();
        }
    }

    /// Adds the collected rows to the sums.
    fn flush(&mut self) {
        let Self { lanes, same, held, rows, wide, sums } = self;
        AutoArch::new().dispatch(Addition { count: *held, lanes: *lanes, same: *same, rows, wide, sums });
        *held = 0;
    }

    /// The matrix AᵀB, `[lanes[0], lanes[1]]` row-major, of all rows pushed.
    pub fn finish(mut self) -> Vec<f64> {
        self.flush();
        if self.same {
            let n = self.lanes[0];
            for i in 0..n {
                for j in 0..i {
                    self.sums[i * n + j] = self.sums[j * n + i];
                }
            }
        }
        self.sums
    }
}

/// R·Rᵀ, `[count, count]` row-major, of a matrix R with `count` rows of equal length, `[count, width]` row-major.
pub fn gram_of_rows(rows: &[f32], count: usize) -> Vec<f64> {
    let width = rows.len() / count.max(1);
    let lanes = count.next_multiple_of(16);
    let mut sum = GramSum::new([lanes, lanes], true);
    let mut column = vec![0.0; lanes];
    for i in 0..width {
        column.iter_mut().zip(rows.chunks_exact(width)).for_each(|(c, row)| *c = row[i]);
        sum.push(&column, &column);
    }
    trimmed(&sum.finish(), lanes, count)
}

/// RᵀR, `[width, width]` row-major, of a matrix R with rows of `width` values, `[n, width]` row-major.
pub fn gram_of_columns(rows: &[f32], width: usize) -> Vec<f64> {
    let lanes = width.next_multiple_of(16);
    let mut sum = GramSum::new([lanes, lanes], true);
    let mut padded = vec![0.0; lanes];
    for row in rows.chunks_exact(width.max(1)) {
        padded[..width].copy_from_slice(row);
        sum.push(&padded, &padded);
    }
    trimmed(&sum.finish(), lanes, width)
}

/// The leading `[n, n]` block of a matrix with rows of `lanes` values: the part without padding.
fn trimmed(sums: &[f64], lanes: usize, n: usize) -> Vec<f64> {
    sums.chunks_exact(lanes.max(1)).take(n).flat_map(|row| &row[..n]).copied().collect()
}

/// Adds `count` collected rows to the sums, in the widest registers of the processor.
struct Addition<'a> {
    count: usize,
    lanes: [usize; 2],
    same: bool,
    rows: &'a [Vec<f32>; 2],
    wide: &'a mut [Vec<f64>; 2],
    sums: &'a mut [f64],
}

#[inline(always)]
fn load<S: Simd>(values: &[f64]) -> Vector<S, f64> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
}

/// Adds to a block of the sums, `M` rows by `N` registers of columns, starting at row `i` and column `j`.
#[inline(always)]
fn block<S: Simd, const M: usize, const N: usize>(p: &mut Addition, i: usize, j: usize) {
    let w = f64::lanes::<S>();
    let [la, lb] = p.lanes;
    let (a, b) = (&p.wide[0], &p.wide[usize::from(!p.same)]);
    let mut sums = [[0f64.splat::<S>(); N]; M];
    for m in 0..M {
        for n in 0..N {
            sums[m][n] = load::<S>(&p.sums[(i + m) * lb + j + n * w..][..w]);
        }
    }
    for r in 0..p.count {
        let left = &a[r * la + i..][..M];
        let right = &b[r * lb + j..][..N * w];
        let mut t = [0f64.splat::<S>(); N];
        for n in 0..N {
            t[n] = load::<S>(&right[n * w..(n + 1) * w]);
        }
        for m in 0..M {
            let factor = left[m].splat::<S>();
            for n in 0..N {
                sums[m][n] = factor.fma(t[n], sums[m][n]);
            }
        }
    }
    for m in 0..M {
        for n in 0..N {
            let out = &mut p.sums[(i + m) * lb + j + n * w..][..w];
            out.copy_from_slice(bytemuck::cast_slice(bytemuck::bytes_of(&sums[m][n])));
        }
    }
}

impl WithSimd for Addition<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        let w = f64::lanes::<S>();
        let [la, lb] = self.lanes;
        for (wide, rows) in self.wide.iter_mut().zip(self.rows) {
            wide.iter_mut().zip(rows).for_each(|(wide, v)| *wide = f64::from(*v));
        }
        for i in (0..la).step_by(4) {
            // A symmetric sum starts at the register that holds the diagonal.
            let mut j = if self.same { i / (2 * w) * (2 * w) } else { 0 };
            while j < lb {
                if w >= 8 && j + 4 * w <= lb {
                    block::<S, 4, 4>(&mut self, i, j);
                    j += 4 * w;
                } else {
                    block::<S, 4, 2>(&mut self, i, j);
                    j += 2 * w;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_without_their_padding() {
        // R = [1 2 0; 0 1 -1]
        let r = [1.0, 2.0, 0.0, 0.0, 1.0, -1.0];
        assert_eq!(gram_of_rows(&r, 2), [5.0, 2.0, 2.0, 2.0]);
        assert_eq!(gram_of_columns(&r, 3), [1.0, 2.0, 0.0, 2.0, 5.0, -1.0, 0.0, -1.0, 1.0]);
        assert_eq!((gram_of_columns(&[], 1), gram_of_rows(&[], 1)), (vec![0.0], vec![0.0]));
    }

    /// Against the plain triple loop: each entry is a sum of `count` products, exact except for the rounding of the
    /// sum.
    #[test]
    fn equals_the_plain_sum() {
        let count = 77;
        let value = |r: usize, l: usize, s: usize| (((r * 31 + l * 17 + s) % 97) as f32 - 48.0) * 0.37;
        for (la, lb, same) in [(16, 16, true), (48, 48, true), (32, 80, false)] {
            let mut sum = GramSum::new([la, lb], same);
            for r in 0..count {
                let a: Vec<f32> = (0..la).map(|l| value(r, l, 0)).collect();
                let b: Vec<f32> = (0..lb).map(|l| value(r, l, if same { 0 } else { 5 })).collect();
                sum.push(&a, &b);
            }
            let found = sum.finish();
            for i in 0..la {
                for j in 0..lb {
                    let product = |r| f64::from(value(r, i, 0)) * f64::from(value(r, j, if same { 0 } else { 5 }));
                    let (plain, size) = (0..count).map(product).fold((0.0, 0.0), |(s, m), p| (s + p, m + f64::abs(p)));
                    assert!((found[i * lb + j] - plain).abs() <= count as f64 * f64::EPSILON * size, "{i} {j}");
                }
            }
        }
    }
}
