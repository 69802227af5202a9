//! The inner loops, in the widest vector instructions the processor has.
//!
//! Each output value is one accumulator that takes fused multiply-adds in the order of the list, on every
//! processor and for every blocking: the same bits everywhere.

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// A row of tangents (or a value) that counts, and the row of the weights that belongs to it.
#[derive(Clone, Copy)]
pub struct Term {
    /// Row of the tangents.
    pub row: u32,
    /// Row of the weights.
    pub weight: u32,
}

/// out[i, :] = Σ over `terms` of weights[weight, wanted[i]] · rows[row, :].
pub struct TangentProduct<'a> {
    /// What is summed.
    pub terms: &'a [Term],
    /// `[_, lanes]`
    pub rows: &'a [f32],
    /// Values in a row, a multiple of 16.
    pub lanes: usize,
    /// `[_, width]`
    pub weights: &'a [f32],
    /// Values in a row of weights.
    pub width: usize,
    /// Columns of the weights that are wanted.
    pub wanted: &'a [u32],
    /// `[wanted, lanes]`
    pub out: &'a mut [f32],
}

impl TangentProduct<'_> {
    /// Computes `out`.
    pub fn run(self) {
        AutoArch::new().dispatch(self);
    }
}

#[inline(always)]
fn load<S: Simd>(values: &[f32]) -> Vector<S, f32> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
}

/// A block of `M` wanted columns by `N` registers of lanes.
#[inline(always)]
fn block<S: Simd, const M: usize, const N: usize>(p: &mut TangentProduct, first: usize, lane: usize) {
    let w = f32::lanes::<S>();
    let (rows, lanes, weights, width) = (p.rows, p.lanes, p.weights, p.width);
    let mut sums = [[0f32.splat::<S>(); N]; M];
    let mut columns = [0usize; M];
    for (column, wanted) in columns.iter_mut().zip(&p.wanted[first..first + M]) {
        *column = *wanted as usize;
        assert!(*column < width);
    }
    for term in p.terms {
        let row = &rows[term.row as usize * lanes + lane..][..N * w];
        let weight = &weights[term.weight as usize * width..][..width];
        let mut t = [0f32.splat::<S>(); N];
        for j in 0..N {
            t[j] = load::<S>(&row[j * w..(j + 1) * w]);
        }
        for i in 0..M {
            let factor = weight[columns[i]].splat::<S>();
            for j in 0..N {
                sums[i][j] = factor.fma(t[j], sums[i][j]);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        let out = &mut p.out[(first + i) * lanes + lane..][..N * w];
        for j in 0..N {
            out[j * w..(j + 1) * w].copy_from_slice(bytemuck::cast_slice(bytemuck::bytes_of(&sums[j])));
        }
    }
}

/// All wanted columns for `N` registers of lanes, in blocks of `A`, `B`, `C` and 1.
#[inline(always)]
fn stripe<S: Simd, const A: usize, const B: usize, const C: usize, const N: usize>(p: &mut TangentProduct, at: usize) {
    let n = p.wanted.len();
    let mut i = 0;
    while i + A <= n {
        block::<S, A, N>(p, i, at);
        i += A;
    }
    while i + B <= n {
        block::<S, B, N>(p, i, at);
        i += B;
    }
    while i + C <= n {
        block::<S, C, N>(p, i, at);
        i += C;
    }
    while i < n {
        block::<S, 1, N>(p, i, at);
        i += 1;
    }
}

impl WithSimd for TangentProduct<'_> {
    type Output = ();

    // Block sizes: as many accumulators as the registers hold, measured (benches/notes.md).
    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        let w = f32::lanes::<S>();
        let mut at = 0;
        while at < self.lanes {
            let registers = match (self.lanes - at) / w {
                1 => 1,
                2 => 2,
                3 | 5 => 3,
                _ => 4,
            };
            match (registers, w >= 16) {
                (1, true) => stripe::<S, 8, 4, 2, 1>(&mut self, at),
                (2, true) => stripe::<S, 8, 4, 2, 2>(&mut self, at),
                (3, true) => stripe::<S, 6, 3, 2, 3>(&mut self, at),
                (_, true) => stripe::<S, 6, 3, 2, 4>(&mut self, at),
                (1, false) => stripe::<S, 8, 4, 2, 1>(&mut self, at),
                (2, false) => stripe::<S, 6, 3, 2, 2>(&mut self, at),
                (3, false) => stripe::<S, 4, 3, 2, 3>(&mut self, at),
                (_, false) => stripe::<S, 3, 2, 2, 4>(&mut self, at),
            }
            at += registers * w;
        }
    }
}

/// out[m] += Σ over `terms` of x · weights[weight, m], for all m.
pub struct ValueProduct<'a> {
    /// (value, row of the weights)
    pub terms: &'a [(f32, u32)],
    /// `[_, width]`
    pub weights: &'a [f32],
    /// Values in a row of weights, a multiple of 16.
    pub width: usize,
    /// `[width]`, holds the start values.
    pub out: &'a mut [f32],
}

impl ValueProduct<'_> {
    /// Adds to `out`.
    pub fn run(self) {
        AutoArch::new().dispatch(self);
    }
}

#[inline(always)]
fn value_block<S: Simd, const N: usize>(p: &mut ValueProduct, at: usize) {
    let w = f32::lanes::<S>();
    let (weights, width) = (p.weights, p.width);
    let mut sums = [0f32.splat::<S>(); N];
    for j in 0..N {
        sums[j] = load::<S>(&p.out[at + j * w..at + (j + 1) * w]);
    }
    for (x, weight) in p.terms {
        let weight = &weights[*weight as usize * width + at..][..N * w];
        let x = x.splat::<S>();
        for j in 0..N {
            sums[j] = x.fma(load::<S>(&weight[j * w..(j + 1) * w]), sums[j]);
        }
    }
    for j in 0..N {
        p.out[at + j * w..at + (j + 1) * w].copy_from_slice(bytemuck::cast_slice(bytemuck::bytes_of(&sums[j])));
    }
}

impl WithSimd for ValueProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        let w = f32::lanes::<S>();
        let mut at = 0;
        while at + 8 * w <= self.width {
            value_block::<S, 8>(&mut self, at);
            at += 8 * w;
        }
        while at + 2 * w <= self.width {
            value_block::<S, 2>(&mut self, at);
            at += 2 * w;
        }
        while at < self.width {
            value_block::<S, 1>(&mut self, at);
            at += w;
        }
    }
}
