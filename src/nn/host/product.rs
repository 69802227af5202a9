//! The inner loops, in the widest vector instructions the processor has.
//!
//! Each output value is one accumulator that takes fused multiply-adds in the order of the list, on every
//! processor and for every blocking: the same bits everywhere.

// Blocks of registers and parts of rows: indices say what iterators would hide.
#![allow(clippy::needless_range_loop)]

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// A row of tangents (or a value) that counts, and the row of the weights that belongs to it.
#[derive(Clone, Copy, Default)]
pub struct Term {
    /// Row of the tangents.
    pub row: u32,
    /// Row of the weights.
    pub weight: u32,
}

/// Columns of weights that lie together: `[panel, rows, PANEL]`. A block of tangents takes its factors from one
/// panel, so that they come from memory as one stream.
pub const PANEL: usize = 32;

/// Terms that a block takes before the next block has its turn: their tangents stay in the innermost cache.
const TURN: usize = 64;

/// out[i, :] += Σ over `terms` of weights[weight, wanted[i]] · rows[row, :].
pub struct TangentProduct<'a> {
    /// What is summed.
    pub terms: &'a [Term],
    /// `[_, lanes]`
    pub rows: &'a [f32],
    /// Values in a row, a multiple of 16.
    pub lanes: usize,
    /// `[panel, height, PANEL]`
    pub weights: &'a [f32],
    /// Rows of the weights.
    pub height: usize,
    /// Columns of the weights that are wanted, ascending.
    pub wanted: &'a [u32],
    /// `[wanted, lanes]`
    pub out: &'a mut [f32],
}

impl TangentProduct<'_> {
    /// Adds to `out`.
    pub fn run(self) {
        AutoArch::new().dispatch(self);
    }
}

#[inline(always)]
fn load<S: Simd>(values: &[f32]) -> Vector<S, f32> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
}

#[inline(always)]
fn store<S: Simd>(into: &mut [f32], values: &Vector<S, f32>) {
    into.copy_from_slice(bytemuck::cast_slice(bytemuck::bytes_of(values)));
}

/// A block of `M` wanted columns of one panel by `N` registers of lanes.
#[inline(always)]
fn block<S: Simd, const M: usize, const N: usize>(p: &mut TangentProduct, terms: &[Term], first: usize, lane: usize) {
    let w = f32::lanes::<S>();
    let (rows, lanes) = (p.rows, p.lanes);
    let panel = p.wanted[first] as usize / PANEL;
    let weights = &p.weights[panel * p.height * PANEL..][..p.height * PANEL];
    let mut sums = [[0f32.splat::<S>(); N]; M];
    let mut columns = [0usize; M];
    for i in 0..M {
        columns[i] = p.wanted[first + i] as usize % PANEL;
        let out = &p.out[(first + i) * lanes + lane..][..N * w];
        for j in 0..N {
            sums[i][j] = load::<S>(&out[j * w..(j + 1) * w]);
        }
    }
    for term in terms {
        let row = &rows[term.row as usize * lanes + lane..][..N * w];
        let weight = &weights[term.weight as usize * PANEL..][..PANEL];
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
            store(&mut out[j * w..(j + 1) * w], &sums[j]);
        }
    }
}

/// All wanted columns for `N` registers of lanes, in blocks of nearly equal size, `most` columns each.
#[inline(always)]
fn stripe<S: Simd, const N: usize>(p: &mut TangentProduct, lane: usize, most: usize) {
    let terms = p.terms;
    for turn in terms.chunks(TURN) {
        let mut first = 0;
        while first < p.wanted.len() {
            let panel = p.wanted[first] as usize / PANEL;
            let mut left = p.wanted[first..].iter().take_while(|c| **c as usize / PANEL == panel).count();
            while left > 0 {
                let m = left.div_ceil(left.div_ceil(most));
                match m {
                    1 => block::<S, 1, N>(p, turn, first, lane),
                    2 => block::<S, 2, N>(p, turn, first, lane),
                    3 => block::<S, 3, N>(p, turn, first, lane),
                    4 => block::<S, 4, N>(p, turn, first, lane),
                    5 => block::<S, 5, N>(p, turn, first, lane),
                    6 => block::<S, 6, N>(p, turn, first, lane),
                    7 => block::<S, 7, N>(p, turn, first, lane),
                    _ => block::<S, 8, N>(p, turn, first, lane),
                }
                first += m;
                left -= m;
            }
        }
    }
}

impl WithSimd for TangentProduct<'_> {
    type Output = ();

    // Block sizes: as many accumulators as the registers hold, measured (benches/notes.md).
    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        let w = f32::lanes::<S>();
        let wide = w >= 16;
        let mut lane = 0;
        while lane < self.lanes {
            let registers = match (self.lanes - lane) / w {
                1 => 1,
                2 => 2,
                3 | 5 => 3,
                _ => 4,
            };
            match registers {
                1 => stripe::<S, 1>(&mut self, lane, 8),
                2 => stripe::<S, 2>(&mut self, lane, if wide { 8 } else { 6 }),
                3 => stripe::<S, 3>(&mut self, lane, if wide { 6 } else { 4 }),
                _ => stripe::<S, 4>(&mut self, lane, if wide { 6 } else { 3 }),
            }
            lane += registers * w;
        }
    }
}

/// out[m] += Σ over `terms` of x · weights[weight, m], for all m.
pub struct ValueProduct<'a> {
    /// (value, row of the weights)
    pub terms: &'a [(f32, u32)],
    /// `[panel, height, PANEL]`
    pub weights: &'a [f32],
    /// Rows of the weights.
    pub height: usize,
    /// `[panels·PANEL]`
    pub out: &'a mut [f32],
}

impl ValueProduct<'_> {
    /// Adds to `out`.
    pub fn run(self) {
        AutoArch::new().dispatch(self);
    }
}

/// `P` panels of `N` registers each.
#[inline(always)]
fn panels<S: Simd, const P: usize, const N: usize>(p: &mut ValueProduct, first: usize) {
    let w = f32::lanes::<S>();
    let (weights, size) = (&p.weights[first * p.height * PANEL..], p.height * PANEL);
    let mut sums = [[0f32.splat::<S>(); N]; P];
    for i in 0..P {
        for j in 0..N {
            sums[i][j] = load::<S>(&p.out[(first + i) * PANEL + j * w..][..w]);
        }
    }
    for (x, weight) in p.terms {
        let x = x.splat::<S>();
        for i in 0..P {
            let weight = &weights[i * size + *weight as usize * PANEL..][..N * w];
            for j in 0..N {
                sums[i][j] = x.fma(load::<S>(&weight[j * w..(j + 1) * w]), sums[i][j]);
            }
        }
    }
    for i in 0..P {
        for j in 0..N {
            store(&mut p.out[(first + i) * PANEL + j * w..][..w], &sums[i][j]);
        }
    }
}

/// All panels, `N` registers each.
#[inline(always)]
fn all_panels<S: Simd, const N: usize>(p: &mut ValueProduct) {
    let count = p.out.len() / PANEL;
    let mut first = 0;
    while first + 4 <= count {
        panels::<S, 4, N>(p, first);
        first += 4;
    }
    while first < count {
        panels::<S, 1, N>(p, first);
        first += 1;
    }
}

impl WithSimd for ValueProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        match f32::lanes::<S>() {
            16 => all_panels::<S, 2>(&mut self),
            8 => all_panels::<S, 4>(&mut self),
            4 => all_panels::<S, 8>(&mut self),
            _ => all_panels::<S, PANEL>(&mut self),
        }
    }
}
