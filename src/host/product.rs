//! The inner loops: sparse matrix products with the widest vector instructions of the processor.
//!
//! ```text
//! tangents:  out[i, lane] += Σ over terms (row, weight) of W[weight, wanted[i]] · rows[row, lane]
//! values:    out[m]       += Σ over terms (x, weight)   of W[weight, m] · x
//! ```
//!
//! Each output value is one accumulator that takes fused multiply-adds in the order of the terms, on every processor
//! and for every blocking, so the bits are the same everywhere. Weights are stored in panels of [`PANEL`] columns,
//! `[panel, height, PANEL]`, so that a block reads them as one stream.

// In blocks of registers, indices show what iterators would hide.
#![allow(clippy::needless_range_loop)]

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};
use std::ops::Range;

/// One term of a sum: a row of tangents that is not zero, and the row of weights it is multiplied by.
#[derive(Clone, Copy, Default)]
pub struct Term {
    /// Index of the row of tangents.
    pub row: u32,
    /// Index of the row of weights.
    pub weight: u32,
}

/// How many columns of weights are stored together, as `[panel, height, PANEL]`; the last panel is padded with zeros.
pub const PANEL: usize = 32;

/// How many terms one block sums before it is the next block's turn: few enough for their tangents to stay in the
/// innermost cache.
const TURN: usize = 64;

/// Sums of tangents: for each part, `out[i, :] += Σ W[weight, wanted[i]] · rows[row, :]` over its terms.
pub struct TangentProduct<'a> {
    /// Sums that use the same weights. A panel of weights serves all parts before the next one is read from memory.
    pub parts: &'a mut [TangentPart<'a>],
    /// The tangents, `[_, lanes]` row-major.
    pub rows: &'a [f32],
    /// Number of values in a row, a multiple of 16.
    pub lanes: usize,
    /// How many of them are tangents; the others are padding, and stay 0.
    pub count: usize,
    /// The weights W, `[panel, height, PANEL]`.
    pub weights: &'a [f32],
    /// Number of rows of W.
    pub height: usize,
}

/// One sum of a [`TangentProduct`].
pub struct TangentPart<'a> {
    /// The terms, summed in this order.
    pub terms: &'a [Term],
    /// The columns of W that are wanted, ascending.
    pub wanted: &'a [u32],
    /// Where the sums are added to, `[wanted.len(), lanes]` row-major.
    pub out: &'a mut [f32],
}

impl<'a> TangentProduct<'a> {
    /// Adds the sums to `out` of each part, on the calling thread.
    pub fn run(self) {
        AutoArch::new().dispatch(self);
    }

    #[inline(always)]
    fn panel(&self, panel: usize) -> Panel<'a> {
        let size = self.height * PANEL;
        let weights = self.weights[panel * size..][..size].as_chunks().0;
        Panel { rows: self.rows, lanes: self.lanes, weights }
    }
}

#[inline(always)]
pub(super) fn load<S: Simd>(values: &[f32]) -> Vector<S, f32> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
}

#[inline(always)]
pub(super) fn store<S: Simd>(into: &mut [f32], values: &Vector<S, f32>) {
    into.copy_from_slice(bytemuck::cast_slice(bytemuck::bytes_of(values)));
}

/// One panel of weights, and the tangents.
#[derive(Clone, Copy)]
struct Panel<'a> {
    rows: &'a [f32],
    lanes: usize,
    weights: &'a [[f32; PANEL]],
}

/// A block of sums held in registers: `M` wanted columns of one panel, starting at `first`, by `N` registers of lanes. With
/// `NEXT` the columns are known to be neighbours.
#[inline(always)]
fn block<S: Simd, const M: usize, const N: usize, const NEXT: bool>(
    p: Panel,
    part: &mut TangentPart,
    terms: &[Term],
    first: usize,
    lane: usize,
) {
    let w = f32::lanes::<S>();
    let Panel { rows, lanes, weights } = p;
    let mut sums = [[0f32.splat::<S>(); N]; M];
    let mut columns = [0usize; M];
    for i in 0..M {
        columns[i] = part.wanted[first + i] as usize % PANEL;
        let out = &part.out[(first + i) * lanes + lane..][..N * w];
        for j in 0..N {
            sums[i][j] = load::<S>(&out[j * w..(j + 1) * w]);
        }
    }
    let start = columns[0].min(PANEL - M);
    for term in terms {
        // Neither product can overflow: rows and weights are in memory.
        let row = &rows[(term.row as usize).wrapping_mul(lanes).wrapping_add(lane)..][..N * w];
        let weight = &weights[term.weight as usize];
        let mut t = [0f32.splat::<S>(); N];
        for j in 0..N {
            t[j] = load::<S>(&row[j * w..(j + 1) * w]);
        }
        for i in 0..M {
            let factor = weight[if NEXT { start + i } else { columns[i] }].splat::<S>();
            for j in 0..N {
                sums[i][j] = factor.fma(t[j], sums[i][j]);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        let out = &mut part.out[(first + i) * lanes + lane..][..N * w];
        for j in 0..N {
            store(&mut out[j * w..(j + 1) * w], &sums[j]);
        }
    }
}

/// [`block`] for `m` columns: at most 8, or with `next`, for neighbours in one register of lanes, a power of two up to 16.
#[inline(always)]
fn sized<S: Simd, const N: usize>(
    p: Panel,
    part: &mut TangentPart,
    terms: &[Term],
    (first, m, next): (usize, usize, bool),
    lane: usize,
) {
    macro_rules! of {
        ($($size:literal)* or $most:literal, $next:literal) => {
            match m {
                $($size => block::<S, $size, N, $next>(p, part, terms, first, lane),)*
                _ => block::<S, $most, N, $next>(p, part, terms, first, lane),
            }
        };
    }
    if N == 1 && next { of!(1 2 4 8 or 16, true) } else { of!(1 2 3 4 5 6 7 or 8, false) }
}

/// The wanted columns of one part that lie in one panel.
struct Stretch {
    panel: usize,
    part: usize,
    /// Positions in the part's `wanted`.
    wanted: Range<usize>,
}

/// All stretches, panel by panel, so that a panel of weights serves all parts before the next one is read.
fn stretches(p: &TangentProduct) -> Vec<Stretch> {
    let panels = p.weights.len() / (p.height * PANEL).max(1);
    let mut all = Vec::with_capacity(panels * p.parts.len());
    let mut begun = vec![0; p.parts.len()];
    for panel in 0..panels {
        for (part, begun) in begun.iter_mut().enumerate() {
            let rest = &p.parts[part].wanted[*begun..];
            let of_panel = rest.iter().take_while(|c| **c as usize / PANEL == panel).count();
            all.push(Stretch { panel, part, wanted: *begun..*begun + of_panel });
            *begun += of_panel;
        }
    }
    all
}

/// Computes all wanted columns for `N` registers of lanes, in blocks of nearly equal size with at most `most` columns
/// each.
#[inline(always)]
fn stripe<S: Simd, const N: usize>(p: &mut TangentProduct, stretches: &[Stretch], lane: usize, most: usize) {
    for stretch in stretches {
        let view = p.panel(stretch.panel);
        upright::<S, N>(view, &mut p.parts[stretch.part], stretch.wanted.clone(), lane, most);
    }
}

/// The sums of some wanted columns of one panel, tangents in the lanes of `N` registers from `lane` on.
#[inline(always)]
fn upright<S: Simd, const N: usize>(
    view: Panel,
    part: &mut TangentPart,
    wanted: Range<usize>,
    lane: usize,
    most: usize,
) {
    // Columns that are neighbours need no list of their places, so with one register of lanes more of them fit in.
    let whole = wanted.len() > 1 && part.wanted[wanted.end - 1] - part.wanted[wanted.start] == wanted.len() as u32 - 1;
    let next = N == 1 && whole && f32::lanes::<S>() >= 16;
    for turn in part.terms.chunks(TURN) {
        let mut first = wanted.start;
        while first < wanted.end {
            let left = wanted.end - first;
            let m = if next { 1 << left.min(16).ilog2() } else { left.div_ceil(left.div_ceil(most)) };
            sized::<S, N>(view, part, turn, (first, m, next), lane);
            first += m;
        }
    }
}

/// The sums of a panel's columns for the `count` tangents from `lane` on, which do not fill a register: here columns lie
/// in the lanes, and tangents take turns. All columns are summed, and the wanted ones are kept.
#[inline(always)]
fn across<S: Simd>(view: Panel, part: &mut TangentPart, wanted: Range<usize>, lane: usize, count: usize, most: usize) {
    let pair = 2 * f32::lanes::<S>();
    let mut sums = [[0f32; PANEL]; 16];
    let columns = part.wanted[wanted.clone()].iter().map(|c| *c as usize % PANEL);
    let out = &mut part.out[wanted.start * view.lanes..wanted.end * view.lanes];
    for (column, out) in columns.clone().zip(out.chunks_exact(view.lanes)) {
        out[lane..lane + count].iter().zip(&mut sums).for_each(|(out, sums)| sums[column] = *out);
    }
    for turn in part.terms.chunks(TURN) {
        for column in (0..PANEL).step_by(pair) {
            let mut first = 0;
            while first < count {
                let left = count - first;
                let m = left.div_ceil(left.div_ceil(most));
                let sums = &mut sums[first..first + m];
                match m {
                    1 => lying::<S, 1>(view, turn, sums, lane + first, column),
                    2 => lying::<S, 2>(view, turn, sums, lane + first, column),
                    3 => lying::<S, 3>(view, turn, sums, lane + first, column),
                    4 => lying::<S, 4>(view, turn, sums, lane + first, column),
                    5 => lying::<S, 5>(view, turn, sums, lane + first, column),
                    6 => lying::<S, 6>(view, turn, sums, lane + first, column),
                    7 => lying::<S, 7>(view, turn, sums, lane + first, column),
                    _ => lying::<S, 8>(view, turn, sums, lane + first, column),
                }
                first += m;
            }
        }
    }
    for (column, out) in columns.zip(out.chunks_exact_mut(view.lanes)) {
        out[lane..lane + count].iter_mut().zip(&sums).for_each(|(out, sums)| *out = sums[column]);
    }
}

/// A block of sums held in registers: `M` tangents from `lane` on, by two registers of columns from `column` on.
#[inline(always)]
fn lying<S: Simd, const M: usize>(p: Panel, terms: &[Term], into: &mut [[f32; PANEL]], lane: usize, column: usize) {
    let w = f32::lanes::<S>();
    let mut sums = [[0f32.splat::<S>(); 2]; M];
    for i in 0..M {
        for j in 0..2 {
            sums[i][j] = load::<S>(&into[i][column + j * w..][..w]);
        }
    }
    for term in terms {
        let row = &p.rows[term.row as usize * p.lanes + lane..][..M];
        let weight = &p.weights[term.weight as usize][column..column + 2 * w];
        let weight = [load::<S>(&weight[..w]), load::<S>(&weight[w..])];
        for i in 0..M {
            let t = row[i].splat::<S>();
            for j in 0..2 {
                sums[i][j] = weight[j].fma(t, sums[i][j]);
            }
        }
    }
    for i in 0..M {
        for j in 0..2 {
            store(&mut into[i][column + j * w..][..w], &sums[i][j]);
        }
    }
}

impl WithSimd for TangentProduct<'_> {
    type Output = ();

    // Block sizes: as many accumulators as fit into the registers, chosen by measurement (benches/notes.md).
    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        let w = f32::lanes::<S>();
        let wide = w >= 16;
        // The tangents that do not fill a register cost a whole register of lanes, or as many registers of columns as
        // they are.
        let rest = self.count % w;
        let lies = w > 1 && rest > 0 && 5 * rest * (PANEL / w) <= 4 * PANEL;
        let end = if lies { self.count - rest } else { self.count.next_multiple_of(w).min(self.lanes) };
        let stretches = stretches(&self);
        let mut lane = 0;
        while lane < end {
            let registers = match (end - lane) / w {
                1 => 1,
                2 => 2,
                3 | 5 => 3,
                _ => 4,
            };
            match registers {
                1 => stripe::<S, 1>(&mut self, &stretches, lane, 8),
                2 => stripe::<S, 2>(&mut self, &stretches, lane, if wide { 8 } else { 6 }),
                3 => stripe::<S, 3>(&mut self, &stretches, lane, if wide { 6 } else { 4 }),
                _ => stripe::<S, 4>(&mut self, &stretches, lane, if wide { 6 } else { 3 }),
            }
            lane += registers * w;
        }
        for Stretch { panel, part, wanted } in stretches.into_iter().filter(|_| lies) {
            let (view, part) = (self.panel(panel), &mut self.parts[part]);
            if 5 * rest * (PANEL / w) <= 4 * wanted.len() {
                across::<S>(view, part, wanted, end, rest, if wide { 8 } else { 5 });
            } else {
                upright::<S, 1>(view, part, wanted, end, 8);
            }
        }
    }
}

/// Sums of values: for each part, `out[m] += Σ W[weight, m] · x` over its terms, for all columns m.
pub struct ValueProduct<'a> {
    /// Sums that use the same weights, which are read from memory once for all of them.
    pub parts: &'a mut [ValuePart<'a>],
    /// The weights W, `[panel, height, PANEL]`.
    pub weights: &'a [f32],
    /// Number of rows of W.
    pub height: usize,
}

/// One sum of a [`ValueProduct`].
pub struct ValuePart<'a> {
    /// The terms (x, row of W), summed in this order.
    pub terms: &'a [(f32, u32)],
    /// Where the sums are added to, one per column of W, padding included: `[panels·PANEL]`.
    pub out: &'a mut [f32],
}

impl ValueProduct<'_> {
    /// Adds the sums to `out` of each part, on the calling thread.
    pub fn run(self) {
        AutoArch::new().dispatch(self);
    }
}

/// Computes the sums of one part over `P` panels of `N` registers each, starting at panel `first`.
#[inline(always)]
fn panels<S: Simd, const P: usize, const N: usize>(weights: &[f32], height: usize, part: &mut ValuePart, first: usize) {
    let w = f32::lanes::<S>();
    let (weights, size) = (&weights[first * height * PANEL..], height * PANEL);
    let mut sums = [[0f32.splat::<S>(); N]; P];
    for i in 0..P {
        for j in 0..N {
            sums[i][j] = load::<S>(&part.out[(first + i) * PANEL + j * w..][..w]);
        }
    }
    for (x, weight) in part.terms {
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
            store(&mut part.out[(first + i) * PANEL + j * w..][..w], &sums[i][j]);
        }
    }
}

/// Computes the sums of all parts over all panels, of `N` registers each.
#[inline(always)]
fn all_panels<S: Simd, const N: usize>(p: &mut ValueProduct) {
    let count = p.parts.first().map_or(0, |part| part.out.len()) / PANEL;
    let mut first = 0;
    while first < count {
        let four = first + 4 <= count;
        for part in p.parts.iter_mut() {
            if four {
                panels::<S, 4, N>(p.weights, p.height, part, first);
            } else {
                panels::<S, 1, N>(p.weights, p.height, part, first);
            }
        }
        first += if four { 4 } else { 1 };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Stream, normals};

    /// Every sum is one chain of fused multiply-adds in the order of the terms, whichever way it lies in registers.
    #[test]
    fn the_way_through_the_registers_leaves_no_trace() {
        for (count, columns, every) in
            [(1, 32usize, 1), (4, 70, 1), (10, 32, 1), (12, 65, 2), (20, 784, 1), (37, 40, 3)]
        {
            let (lanes, height, terms) = (count_to_lanes(count), 150, 131);
            let values = |stream, n| normals(1, count as u64, stream, 0, n);
            let mut rows = values(Stream::Latent, height * lanes);
            rows.chunks_exact_mut(lanes).for_each(|row| row[count..].fill(0.0));
            let weights = values(Stream::Frame, columns.div_ceil(PANEL) * height * PANEL);
            let terms: Vec<Term> = (0..terms).map(|i| Term { row: i * 7 % 150, weight: i * 11 % 150 }).collect();
            let wanted: Vec<u32> = (0..columns as u32).step_by(every).collect();
            let mut out = vec![0.5f32; wanted.len() * lanes];
            let parts = &mut [TangentPart { terms: &terms, wanted: &wanted, out: &mut out }];
            TangentProduct { parts, rows: &rows, lanes, count, weights: &weights, height }.run();
            for (i, column) in wanted.iter().enumerate() {
                let column = *column as usize;
                for lane in 0..count {
                    let sum = terms.iter().fold(0.5f32, |sum, term| {
                        let weight = weights[(column / PANEL * height + term.weight as usize) * PANEL + column % PANEL];
                        weight.mul_add(rows[term.row as usize * lanes + lane], sum)
                    });
                    assert_eq!(out[i * lanes + lane].to_bits(), sum.to_bits(), "{count} tangents, {i}, {lane}");
                }
            }
        }
    }

    fn count_to_lanes(count: usize) -> usize {
        count.next_multiple_of(16)
    }
}
