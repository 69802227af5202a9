//! The work of one thread: tiles of values in, their transforms, the products, and the outputs.

// In blocks of registers, indices show what iterators would hide.
#![allow(clippy::needless_range_loop)]

use super::{BLOCK, BLOCKS, HostRows, Phase, Tiles};
use crate::host::product::{TangentPart, TangentProduct, Term, load, store};
use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// Memory of the tasks that one thread does one after another.
pub struct Scratch {
    /// Transformed input, `[position, channel, lanes]`.
    input: Vec<f32>,
    /// Its products, `[position, output, lanes]`.
    output: Vec<f32>,
    terms: Vec<Term>,
    wanted: Vec<u32>,
}

impl Scratch {
    /// Room for the blocks of `tiles`.
    pub fn new(tiles: &Tiles) -> Self {
        let values = tiles.positions() * BLOCKS * BLOCK;
        Self {
            input: vec![0.0; values * tiles.channels],
            output: vec![0.0; values * tiles.outputs],
            terms: (0..tiles.channels as u32).map(|c| Term { row: c, weight: c }).collect(),
            wanted: (0..tiles.outputs as u32).collect(),
        }
    }
}

/// Some neighbouring tiles of a phase, and where their rows go: tile by tile, place by place, output by output.
pub struct Task<'a> {
    /// The convolution.
    pub of: &'a Tiles,
    /// The phase.
    pub phase: &'a Phase,
    /// The input.
    pub x: &'a HostRows,
    /// The tiles.
    pub tiles: std::ops::Range<usize>,
    /// How many tiles share a block.
    pub packed: usize,
    /// Where the rows go, `[rows, lanes]`.
    pub out: &'a mut [f32],
}

/// The lanes `lane..lane + BLOCK` of a tile, or with several tiles all samples of each, one tile after another.
struct Block {
    tiles: std::ops::Range<usize>,
    lane: usize,
}

impl Task<'_> {
    /// Computes them.
    pub fn run(mut self, scratch: &mut Scratch) {
        let mut blocks = Vec::with_capacity(BLOCKS);
        for first in self.tiles.clone().step_by(self.packed) {
            let tiles = first..(first + self.packed).min(self.tiles.end);
            for lane in (0..self.x.lanes()).step_by(BLOCK) {
                blocks.push(Block { tiles: tiles.clone(), lane });
                if blocks.len() == BLOCKS {
                    self.turn(&blocks, scratch);
                    blocks.clear();
                }
            }
        }
        if !blocks.is_empty() {
            self.turn(&blocks, scratch);
        }
    }

    fn turn(&mut self, blocks: &[Block], scratch: &mut Scratch) {
        let of = self.of;
        let (lanes, side) = (blocks.len() * BLOCK, of.kernel + 1);
        AutoArch::new().dispatch(Enter { task: &*self, blocks, into: &mut scratch.input });
        let products = &mut scratch.output[..side * side * of.outputs * lanes];
        products.fill(0.0);
        let weights = self.phase.weights.chunks_exact(self.phase.weights.len() / (side * side));
        let rows = scratch.input.chunks_exact(of.channels * lanes);
        for ((weights, rows), out) in weights.zip(rows).zip(products.chunks_exact_mut(of.outputs * lanes)) {
            let part = TangentPart { terms: &scratch.terms, wanted: &scratch.wanted, out };
            TangentProduct { parts: &mut [part], rows, lanes, count: lanes, weights, height: of.channels }.run();
        }
        AutoArch::new().dispatch(Leave { task: self, blocks, from: &scratch.output });
    }
}

type Lanes<S> = Vector<S, f32>;

/// The transform of a tile's values along one axis.
#[inline(always)]
fn entering<S: Simd, const SIDE: usize>(d: [Lanes<S>; SIDE]) -> [Lanes<S>; SIDE] {
    let mut t = d;
    if SIDE == 3 {
        t[0] = d[0] - d[1];
        t[2] = d[1] - d[2];
    } else {
        t[0] = d[0] - d[2];
        t[1] = d[1] + d[2];
        t[2] = d[2] - d[1];
        t[3] = d[1] - d[3];
    }
    t
}

/// The two sums along one axis, from their products.
#[inline(always)]
fn leaving<S: Simd, const SIDE: usize>(m: [Lanes<S>; SIDE]) -> [Lanes<S>; 2] {
    if SIDE == 3 { [m[0] + m[1], m[1] - m[2]] } else { [m[0] + m[1] + m[2], m[1] - m[2] - m[3]] }
}

/// Reads the values of some blocks and writes their transforms.
struct Enter<'a, 'b> {
    task: &'a Task<'b>,
    blocks: &'a [Block],
    into: &'a mut [f32],
}

impl Enter<'_, '_> {
    #[inline(always)]
    fn transform<S: Simd, const SIDE: usize>(&mut self) {
        let (of, phase, x) = (self.task.of, self.task.phase, self.task.x);
        let (lanes, w) = (self.blocks.len() * BLOCK, f32::lanes::<S>());
        let area = of.grid.input[0] * of.grid.input[1];
        let zeros = [0.0; BLOCK];
        for (b, block) in self.blocks.iter().enumerate() {
            let sources: Vec<[Option<usize>; 16]> = block.tiles.clone().map(|tile| of.sources(phase, tile)).collect();
            let mut packed = [[0.0; BLOCK]; 16];
            for c in 0..of.channels {
                // The lanes of each place: a part of its row, or the samples of several tiles side by side.
                let mut from: [&[f32]; 16] = [&zeros; 16];
                if let [sources] = &sources[..] {
                    for i in 0..SIDE * SIDE {
                        let row = sources[i].and_then(|place| x.row(c * area + place));
                        from[i] = row.map_or(&zeros[..], |row| &row[block.lane..block.lane + BLOCK]);
                    }
                } else {
                    pack(x, c * area, &sources, &mut packed);
                    from = std::array::from_fn(|i| &packed[i][..]);
                }
                for lane in (0..BLOCK).step_by(w) {
                    let mut d = [[0f32.splat::<S>(); SIDE]; SIDE];
                    for y in 0..SIDE {
                        let row = std::array::from_fn(|x| load::<S>(&from[y * SIDE + x][lane..lane + w]));
                        d[y] = entering::<S, SIDE>(row);
                    }
                    for x in 0..SIDE {
                        let column = entering::<S, SIDE>(std::array::from_fn(|y| d[y][x]));
                        for y in 0..SIDE {
                            let at = ((y * SIDE + x) * of.channels + c) * lanes + b * BLOCK + lane;
                            store(&mut self.into[at..at + w], &column[y]);
                        }
                    }
                }
            }
        }
    }
}

/// Lays the samples of several tiles side by side, for each place of a tile.
fn pack(x: &HostRows, first: usize, sources: &[[Option<usize>; 16]], into: &mut [[f32; BLOCK]; 16]) {
    let count = x.count();
    for (t, sources) in sources.iter().enumerate() {
        for (into, place) in into.iter_mut().zip(sources) {
            let into = &mut into[t * count..(t + 1) * count];
            match place.and_then(|place| x.row(first + place)) {
                Some(row) => into.copy_from_slice(&row[..count]),
                None => into.fill(0.0),
            }
        }
    }
}

impl WithSimd for Enter<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        if self.task.of.kernel == 2 { self.transform::<S, 3>() } else { self.transform::<S, 4>() }
    }
}

/// Reads the products of some blocks and writes the rows of their outputs.
struct Leave<'a, 'b, 'c> {
    task: &'a mut Task<'b>,
    blocks: &'a [Block],
    from: &'c [f32],
}

impl Leave<'_, '_, '_> {
    #[inline(always)]
    fn transform<S: Simd, const SIDE: usize>(&mut self) {
        let Task { of, phase, x, ref tiles, ref mut out, .. } = *self.task;
        let (lanes, width, w) = (self.blocks.len() * BLOCK, x.lanes(), f32::lanes::<S>());
        for (b, block) in self.blocks.iter().enumerate() {
            let starts = starts(of, phase, tiles.start, &block.tiles);
            for m in 0..of.outputs {
                let mut whole = [[0.0; BLOCK]; 4];
                for lane in (0..BLOCK).step_by(w) {
                    let mut rows = [[0f32.splat::<S>(); 2]; SIDE];
                    for y in 0..SIDE {
                        rows[y] = leaving::<S, SIDE>(std::array::from_fn(|x| {
                            let at = ((y * SIDE + x) * of.outputs + m) * lanes + b * BLOCK + lane;
                            load::<S>(&self.from[at..at + w])
                        }));
                    }
                    for x in 0..2 {
                        let column = leaving::<S, SIDE>(std::array::from_fn(|y| rows[y][x]));
                        for y in 0..2 {
                            let value = column[y] + of.bias[m].splat::<S>();
                            store(&mut whole[2 * y + x][lane..lane + w], &value);
                        }
                    }
                }
                for (t, starts) in starts.iter().enumerate() {
                    for (start, values) in starts.iter().zip(&whole) {
                        let Some(start) = start else { continue };
                        let row = &mut out[(start + m) * width..(start + m + 1) * width];
                        if block.tiles.len() == 1 {
                            row[block.lane..block.lane + BLOCK].copy_from_slice(values);
                        } else {
                            let count = x.count();
                            row[..count].copy_from_slice(&values[t * count..(t + 1) * count]);
                            row[count..].fill(0.0);
                        }
                    }
                }
            }
        }
    }
}

/// In the output of a task whose first tile is `before`, where the rows of each place of each of some `tiles` begin.
fn starts(of: &Tiles, phase: &Phase, before: usize, tiles: &std::ops::Range<usize>) -> Vec<[Option<usize>; 4]> {
    let mut next = (before..tiles.start).flat_map(|tile| of.places(phase, tile)).flatten().count() * of.outputs;
    let mut each = |place: Option<usize>| {
        let start = place.map(|_| next);
        next += if place.is_some() { of.outputs } else { 0 };
        start
    };
    tiles.clone().map(|tile| of.places(phase, tile).map(&mut each)).collect()
}

impl WithSimd for Leave<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        if self.task.of.kernel == 2 { self.transform::<S, 3>() } else { self.transform::<S, 4>() }
    }
}
