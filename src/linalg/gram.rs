//! Gram matrices in f64 from rows in f32, added up row by row.

// Blocks of registers and parts of rows: indices say what iterators would hide.
#![allow(clippy::needless_range_loop)]

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// Rows that are collected before the sums go on.
const ROWS: usize = 32;

/// Σ aᵀb over pairs of rows, `[a lanes, b lanes]` row-major. Products of f32 values are exact in f64; each
/// entry is one sum over the rows in the order of [`push`](Self::push), whatever the processor.
pub struct GramSum {
    lanes: [usize; 2],
    same: bool,
    held: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    sums: Vec<f64>,
}

impl GramSum {
    /// For rows of `lanes[0]` and `lanes[1]` values, both multiples of 16. With `same`, the two rows of a
    /// pair are one, and only the part on and above the diagonal is formed and then mirrored.
    pub fn new(lanes: [usize; 2], same: bool) -> Self {
        let buffer = |lanes: usize| vec![0.0; ROWS * lanes];
        let b = if same { Vec::new() } else { buffer(lanes[1]) };
        Self { lanes, same, held: 0, a: buffer(lanes[0]), b, sums: vec![0.0; lanes[0] * lanes[1]] }
    }

    /// Adds a pair of rows.
    pub fn push(&mut self, a: &[f32], b: &[f32]) {
        let place = |lanes: usize| self.held * lanes..(self.held + 1) * lanes;
        let widen = |into: &mut [f64], from: &[f32]| into.iter_mut().zip(from).for_each(|(i, f)| *i = f64::from(*f));
        let (at, bt) = (place(self.lanes[0]), place(self.lanes[1]));
        widen(&mut self.a[at], a);
        if !self.same {
            widen(&mut self.b[bt], b);
        }
        self.held += 1;
        if self.held == ROWS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let b = if self.same { &self.a } else { &self.b };
        AutoArch::new().dispatch(Add {
            rows: self.held,
            lanes: self.lanes,
            same: self.same,
            a: &self.a,
            b,
            sums: &mut self.sums,
        });
        self.held = 0;
    }

    /// The sums.
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

struct Add<'a> {
    rows: usize,
    lanes: [usize; 2],
    same: bool,
    a: &'a [f64],
    b: &'a [f64],
    sums: &'a mut [f64],
}

#[inline(always)]
fn load<S: Simd>(values: &[f64]) -> Vector<S, f64> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
}

#[inline(always)]
fn block<S: Simd, const M: usize, const N: usize>(p: &mut Add, i: usize, j: usize) {
    let w = f64::lanes::<S>();
    let [la, lb] = p.lanes;
    let (a, b) = (p.a, p.b);
    let mut sums = [[0f64.splat::<S>(); N]; M];
    for m in 0..M {
        for n in 0..N {
            sums[m][n] = load::<S>(&p.sums[(i + m) * lb + j + n * w..][..w]);
        }
    }
    for r in 0..p.rows {
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

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        let w = f64::lanes::<S>();
        let [la, lb] = self.lanes;
        for i in (0..la).step_by(4) {
            // From the register that holds the diagonal on.
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

    /// Against the plain triple loop: each entry is a sum of `count` products, exact but for the rounding of the sum.
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
