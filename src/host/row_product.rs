//! Products of two matrices whose entries are rows: lane by lane, y[i, j] = Σ over k of a[i, k] · b[k, j].

// In blocks of registers, indices show what iterators would hide.
#![allow(clippy::needless_range_loop)]

use super::HostRows;
use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// Rows of y that are computed together.
pub const TOGETHER: usize = 4;

/// Some rows of one product, at most [`TOGETHER`].
pub struct RowProduct<'a> {
    /// All rows of a and of b; every feature has one.
    pub sides: [&'a HostRows; 2],
    /// The features of the first row of a that is wanted: its entries follow one another, k for each row.
    pub first: usize,
    /// The first feature of b: its entries follow one another, n for each k.
    pub second: usize,
    /// The sizes k and n.
    pub sizes: [usize; 2],
    /// Where y goes, `[rows, n, lanes]`.
    pub out: &'a mut [f32],
}

impl RowProduct<'_> {
    /// Computes y, on the calling thread.
    pub fn run(self) {
        AutoArch::new().dispatch(self);
    }

    /// `M` rows from row 0 on, by `N` columns from column `j` on, in the lanes of one register from `lane` on.
    #[inline(always)]
    fn block<S: Simd, const M: usize, const N: usize>(&mut self, j: usize, lane: usize) {
        let (w, [k, n]) = (f32::lanes::<S>(), self.sizes);
        let [a, b] = self.sides;
        let mut sums = [[0f32.splat::<S>(); N]; M];
        for c in 0..k {
            let mut right = [0f32.splat::<S>(); N];
            for y in 0..N {
                right[y] = load::<S>(b, self.second + c * n + j + y, lane);
            }
            for x in 0..M {
                let left = load::<S>(a, self.first + x * k + c, lane);
                for y in 0..N {
                    sums[x][y] = left.fma(right[y], sums[x][y]);
                }
            }
        }
        for x in 0..M {
            for y in 0..N {
                let at = (x * n + j + y) * a.lanes() + lane;
                self.out[at..at + w].copy_from_slice(bytemuck::cast_slice(bytemuck::bytes_of(&sums[x][y])));
            }
        }
    }

    #[inline(always)]
    fn columns<S: Simd, const M: usize>(&mut self, lane: usize) {
        let n = self.sizes[1];
        for j in (0..n).step_by(4) {
            match n - j {
                1 => self.block::<S, M, 1>(j, lane),
                2 => self.block::<S, M, 2>(j, lane),
                3 => self.block::<S, M, 3>(j, lane),
                _ => self.block::<S, M, 4>(j, lane),
            }
        }
    }
}

#[inline(always)]
fn load<S: Simd>(rows: &HostRows, feature: usize, lane: usize) -> Vector<S, f32> {
    let at = rows.place(feature).unwrap_or(0) as usize * rows.lanes() + lane;
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&rows.rows()[at..at + f32::lanes::<S>()]))
}

impl WithSimd for RowProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        let lanes = self.sides[0].lanes();
        let rows = self.out.len() / (self.sizes[1] * lanes);
        for lane in (0..lanes).step_by(f32::lanes::<S>()) {
            match rows {
                1 => self.columns::<S, 1>(lane),
                2 => self.columns::<S, 2>(lane),
                3 => self.columns::<S, 3>(lane),
                _ => self.columns::<S, TOGETHER>(lane),
            }
        }
    }
}
