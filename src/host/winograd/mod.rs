//! Convolutions with fewer products, by Winograd's minimal filters (Lavin and Gray 2016, arXiv 1509.09308).
//!
//! Two neighbouring sums of a kernel of three, y₀ = d₀g₀ + d₁g₁ + d₂g₂ and y₁ = d₁g₀ + d₂g₁ + d₃g₂, need four products
//! instead of six, and those of a kernel of two need three instead of four:
//!
//! ```text
//! three: m = [(d₀ − d₂)·g₀, (d₁ + d₂)·(g₀ + g₁ + g₂)/2, (d₂ − d₁)·(g₀ − g₁ + g₂)/2, (d₁ − d₃)·g₂]
//!        y = [(m₀ + m₁) + m₂, (m₁ − m₂) − m₃]
//! two:   m = [(d₀ − d₁)·g₀, d₁·(g₀ + g₁), (d₁ − d₂)·g₁],   y = [m₀ + m₁, m₁ − m₂]
//! ```
//!
//! Along both axes, a *tile* of 2×2 outputs takes 16 products for each pair of channels instead of 36, or 9 instead of 16. A
//! kernel of 3×3 with stride 1 is of the first kind. A transposed convolution of 4×4 with stride 2, and a kernel of 3×3 behind
//! an enlargement by two, are four kernels of 2×2, one for each *phase*: the outputs whose row and column are both even, and so on.
//!
//! Values lie in lanes as everywhere here. A sum has one order, whatever lies in the other lanes. Its error is that of the largest
//! value under the kernel, not of its own terms, and an infinity may make its neighbours in the tile NaN.

mod kernel;
mod task;

use super::buffer::Buffer;
use super::gather::Gather;
use super::product::PANEL;
use super::rows::CLOSED;
use super::{HostLayer, HostRows, Linearisation};
use crate::nn::{Grid, PlainGather};
use kernel::{Kernel, Kernels};
use rayon::prelude::*;
use std::sync::OnceLock;
use task::{Scratch, Task};

/// Lanes that are transformed together.
const BLOCK: usize = 16;

/// Blocks whose products are computed together, so that a weight is read once for all.
const BLOCKS: usize = 4;

/// Tasks of a thread, where there are blocks enough.
const EACH: usize = 4;

/// With fewer input or output channels, `[input, output]`, the transforms cost more than the products they save.
const LEAST: [usize; 2] = [8, 16];

/// A convolution whose values are computed by tiles. Its tangents are not: the direct way is as fast for many directions, and leaves out
/// rows that are closed or not wanted.
pub struct Convolution {
    /// The other way.
    direct: Gather,
    /// The weights and the bias, without the places.
    plain: PlainGather,
    kernels: Kernels,
    /// Made when values are first asked for.
    tiles: OnceLock<Tiles>,
}

impl Convolution {
    /// Both ways of a convolution that is one of these kinds and is made faster by it; only the direct one of any other.
    pub fn new(mut plain: PlainGather) -> Result<Self, Box<Gather>> {
        let Some(kernels) = Kernels::of(&plain) else { return Err(Box::new(Gather::new(plain))) };
        let direct = Gather::new(plain.clone());
        plain.taps = Vec::new();
        Ok(Self { direct, plain, kernels, tiles: OnceLock::new() })
    }

    fn tiles(&self) -> &Tiles {
        self.tiles.get_or_init(|| Tiles::new(&self.plain, &self.kernels))
    }
}

impl HostLayer for Convolution {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        self.direct.value(x)
    }

    fn tangent(&self, point: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        self.direct.tangent(point, t, wanted)
    }

    fn values(&self, x: HostRows) -> HostRows {
        self.tiles().values(&x)
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        self.direct.fold(scale, shift) && {
            self.plain.fold(scale, shift);
            self.tiles.take();
            true
        }
    }

    fn peak_rows(&self, before: usize) -> usize {
        self.direct.peak_rows(before)
    }

    fn features(&self, before: usize) -> usize {
        HostLayer::features(&self.direct, before)
    }
}

/// A convolution as tiles of its output.
struct Tiles {
    channels: usize,
    outputs: usize,
    grid: Grid,
    /// Number of phases along each axis.
    step: usize,
    /// Side of each phase's kernel, 2 or 3.
    kernel: usize,
    phases: Vec<Phase>,
    bias: Vec<f32>,
}

/// The outputs at the places (a, b) + step·(u, v) for all u and v.
struct Phase {
    /// The first of them, (a, b).
    first: [usize; 2],
    /// The place of the input under the first place of the kernel at u = v = 0.
    offset: [isize; 2],
    /// The transformed weights: for each position of a transformed tile `[panel, channels, PANEL]`.
    weights: Vec<f32>,
}

impl Tiles {
    fn new(plain: &PlainGather, kernels: &Kernels) -> Self {
        let phase = |(first, kernel): &([usize; 2], Kernel)| Phase {
            first: *first,
            offset: kernel.offset,
            weights: kernel.transformed(plain, kernels.side),
        };
        Self {
            channels: plain.channels,
            outputs: plain.outputs,
            grid: kernels.grid,
            step: kernels.step,
            kernel: kernels.side,
            phases: kernels.phases.iter().map(phase).collect(),
            bias: plain.bias.clone().unwrap_or_else(|| vec![0.0; plain.outputs]),
        }
    }

    /// Number of values of a transformed tile.
    fn positions(&self) -> usize {
        (self.kernel + 1) * (self.kernel + 1)
    }

    /// Rows and columns of a phase's tiles.
    fn tiles(&self, phase: &Phase) -> [usize; 2] {
        kernel::tiles(&self.grid, self.step, phase.first)
    }

    /// The places of the output in a tile; `None` for one that lies outside.
    fn places(&self, phase: &Phase, tile: usize) -> [Option<usize>; 4] {
        let [rows, columns] = self.grid.output;
        let across = self.tiles(phase)[1];
        let (u, v) = (2 * (tile / across), 2 * (tile % across));
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, x)| {
            let (i, j) = (phase.first[0] + self.step * (u + y), phase.first[1] + self.step * (v + x));
            (i < rows && j < columns).then_some(i * columns + j)
        })
    }

    /// The places of the input in a tile, row by row; `None` for one that lies outside.
    fn sources(&self, phase: &Phase, tile: usize) -> [Option<usize>; 16] {
        let ([height, width], side, across) = (self.grid.input, self.kernel + 1, self.tiles(phase)[1]);
        let (u, v) = ((2 * (tile / across)) as isize, (2 * (tile % across)) as isize);
        let mut all = [None; 16];
        for (i, source) in all.iter_mut().enumerate().take(side * side) {
            let (y, x) = (u + phase.offset[0] + (i / side) as isize, v + phase.offset[1] + (i % side) as isize);
            let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
            *source = inside.then(|| y as usize * width + x as usize);
        }
        all
    }

    /// The rows of the output, from those of the input.
    fn values(&self, x: &HostRows) -> HostRows {
        let lanes = x.lanes();
        // Several tiles of few samples fit into a block.
        let packed = if lanes == BLOCK { BLOCK / x.count().clamp(1, BLOCK) } else { 1 };
        // Every thread has something to do, and a task no more blocks than share their weights.
        let tiles: usize = self.phases.iter().map(|phase| self.tiles(phase).iter().product::<usize>()).sum();
        let share = tiles.div_ceil(packed) / (EACH * rayon::current_num_threads());
        let together = share.clamp(1, (BLOCKS * BLOCK / lanes).max(1)) * packed;
        let mut index = vec![CLOSED; self.outputs * self.grid.output.iter().product::<usize>()];
        let (mut next, mut parts) = (0, Vec::new());
        for phase in &self.phases {
            let count = self.tiles(phase).iter().product();
            for first in (0..count).step_by(together) {
                let (tiles, start) = (first..(first + together).min(count), next);
                for place in tiles.clone().flat_map(|tile| self.places(phase, tile)).flatten() {
                    (0..self.outputs)
                        .for_each(|m| index[m * self.grid.output[0] * self.grid.output[1] + place] = next + m as u32);
                    next += self.outputs as u32;
                }
                parts.push((phase, tiles, (next - start) as usize * lanes));
            }
        }
        let mut data = Buffer::any(next as usize * lanes);
        let mut rest = &mut *data;
        let mut tasks = Vec::with_capacity(parts.len());
        for (phase, tiles, size) in parts {
            let (out, after) = rest.split_at_mut(size);
            rest = after;
            tasks.push(Task { of: self, phase, x, tiles, packed, out });
        }
        let room = || Scratch::new(self);
        match tasks.len() * self.channels * self.outputs >= 1 << 14 {
            true => tasks.into_par_iter().for_each_init(room, |scratch, task| task.run(scratch)),
            false => {
                let mut scratch = room();
                tasks.into_iter().for_each(|task| task.run(&mut scratch));
            }
        }
        x.with_rows(index, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Tap;

    fn values(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    /// A convolution of side `k`, or its transpose, that takes and makes pictures of these sides.
    fn plain(sizes: [usize; 2], grid: Grid, k: usize, stride: usize, pad: [usize; 2], transposed: bool) -> PlainGather {
        let [channels, outputs] = sizes;
        let reads = |axis: usize, out: usize, a: usize| {
            let i = match transposed {
                true => (out + pad[axis]).checked_sub(a).filter(|r| r % stride == 0)? / stride,
                false => (out * stride + a).checked_sub(pad[axis])?,
            };
            Some(i).filter(|i| *i < grid.input[axis])
        };
        let places = 0..grid.output[0] * grid.output[1];
        let taps = places.map(|p| {
            let (i, j) = (p / grid.output[1], p % grid.output[1]);
            let tap = |n: usize| Some((reads(0, i, n / k)?, reads(1, j, n % k)?, n));
            let taps = (0..k * k).filter_map(tap);
            taps.map(|(y, x, matrix)| Tap { place: y * grid.input[1] + x, matrix }).collect()
        });
        PlainGather {
            channels,
            area: grid.input[0] * grid.input[1],
            outputs,
            taps: taps.collect(),
            bias: Some(values(outputs, 5)),
            weight: values(k * k * channels * outputs, 3),
            strides: [1, k * k, channels * k * k],
            grid: Some(grid),
        }
    }

    fn tiles_of(p: &PlainGather) -> Tiles {
        Tiles::new(p, &Kernels::of(p).expect("one of the kinds"))
    }

    fn cases() -> Vec<PlainGather> {
        let grid = |input, output| Grid { input, output };
        vec![
            plain([8, 16], grid([5, 7], [5, 7]), 3, 1, [1, 1], false),
            plain([9, 33], grid([4, 6], [3, 7]), 3, 1, [0, 2], false),
            plain([8, 17], grid([5, 4], [10, 8]), 4, 2, [1, 1], true),
            plain([16, 16], grid([4, 5], [9, 11]), 4, 2, [0, 0], true),
            // With places of the output that no place of the input reaches.
            plain([8, 16], grid([8, 8], [20, 20]), 4, 2, [0, 0], true),
        ]
    }

    /// For one sample the sums in f64, and what their rounding is measured by: for each channel the largest value times the sum of
    /// the absolute weights.
    fn sums(p: &PlainGather, x: &[f32]) -> Vec<(f64, f64)> {
        let weight = |matrix: usize, c: usize, m: usize| {
            f64::from(p.weight[matrix * p.strides[0] + c * p.strides[1] + m * p.strides[2]])
        };
        let matrices = p.weight.len() / (p.channels * p.outputs);
        let size = |m: usize| -> f64 {
            let of = |c: usize| {
                let largest = x[c * p.area..(c + 1) * p.area].iter().fold(0.0, |a: f64, v| a.max(f64::from(v.abs())));
                largest * (0..matrices).map(|i| weight(i, c, m).abs()).sum::<f64>()
            };
            (0..p.channels).map(of).sum()
        };
        let of = |m: usize, taps: &[Tap]| {
            let terms = taps.iter().flat_map(|t| (0..p.channels).map(move |c| (t, c)));
            terms.map(|(t, c)| weight(t.matrix, c, m) * f64::from(x[c * p.area + t.place])).sum::<f64>()
        };
        let each = |m: usize| {
            let size = size(m);
            p.taps.iter().map(move |taps| (of(m, taps), size))
        };
        (0..p.outputs).flat_map(each).collect()
    }

    /// Against sums in f64, for one sample, a few that share blocks, a block and more than one. A transformed value is a sum of at
    /// most 4 values or of at most 9 weights, whose absolute sum the size bounds; a product of the two is rounded by a few units,
    /// its sum over n channels by n more, and an output adds up at most 9 of them: 9·(n + 12) units cover it.
    #[test]
    fn tiles_are_the_sums() {
        for p in cases() {
            let tiles = tiles_of(&p);
            let (width, bias) = (p.channels * p.area, p.bias.clone().unwrap());
            for count in [1, 3, 7, 16, 40] {
                let x = values(width * count, 11);
                let made = tiles.values(&HostRows::directions(&x, count)).columns();
                for (i, x) in x.chunks_exact(width).enumerate() {
                    for (f, (sum, size)) in sums(&p, x).into_iter().enumerate() {
                        let at = i * p.outputs * p.taps.len() + f;
                        let units = 9.0 * (p.channels + 12) as f64 * f64::from(f32::EPSILON) / 2.0;
                        let with = sum + f64::from(bias[f / p.taps.len()]);
                        let off = (f64::from(made[at]) - with).abs();
                        assert!(off <= units * (4.0 * size + 1.0), "{count} {i} {f}: {} {with}", made[at]);
                    }
                }
            }
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for p in cases() {
            let (tiles, x) = (tiles_of(&p), values(p.channels * p.area * 19, 2));
            let made = || tiles.values(&HostRows::directions(&x, 19)).columns();
            assert_eq!(one.install(made), made());
        }
    }

    #[test]
    fn a_sample_has_the_same_bits_in_any_company() {
        for p in cases() {
            let (tiles, width) = (tiles_of(&p), p.channels * p.area);
            let bits = |x: &[f32], n: usize| -> Vec<u32> {
                tiles.values(&HostRows::directions(x, n)).columns().iter().map(|v| v.to_bits()).collect()
            };
            let all = values(width * 19, 2);
            let each = p.outputs * p.taps.len();
            for n in [2, 5, 15, 16, 17, 19] {
                let some = bits(&all[..width * n], n);
                for (i, x) in all[..width * n].chunks_exact(width).enumerate() {
                    assert_eq!(some[i * each..(i + 1) * each], bits(x, 1), "{i} of {n}");
                }
            }
        }
    }

    #[test]
    fn closed_rows_are_zeros() {
        for p in cases() {
            let (tiles, width) = (tiles_of(&p), p.channels * p.area);
            let mut x = values(width, 4);
            let slopes: Vec<f32> = (0..width).map(|f| if f % 3 == 0 { 0.0 } else { 1.0 }).collect();
            let closed = HostRows::directions(&x, 1).scaled(&slopes, None);
            x.iter_mut().step_by(3).for_each(|v| *v = 0.0);
            assert_eq!(tiles.values(&closed).columns(), tiles.values(&HostRows::directions(&x, 1)).columns());
        }
    }

    #[test]
    fn a_scale_and_a_shift_fold_in() {
        for p in cases() {
            let (scale, shift) = (values(p.outputs, 7), values(p.outputs, 8));
            let x = HostRows::directions(&values(p.channels * p.area, 9), 1);
            let plain = tiles_of(&p).values(&x).columns();
            let places = p.taps.len();
            let mut both = Convolution::new(p).ok().expect("one of the kinds");
            assert!(both.fold(&scale, &shift));
            let direct = both.direct.values(x.clone()).columns();
            for (f, (y, before)) in both.values(x).columns().iter().zip(plain).enumerate() {
                let expected = before * scale[f / places] + shift[f / places];
                assert!((y - expected).abs() <= 1e-5, "{y} {expected}");
                assert!((y - direct[f]).abs() <= 1e-5);
            }
        }
    }

    #[test]
    fn other_convolutions_keep_the_direct_way() {
        let grid = |input, output| Grid { input, output };
        let strided = plain([8, 16], grid([6, 6], [3, 3]), 3, 2, [1, 1], false);
        let narrow = plain([8, 3], grid([4, 4], [4, 4]), 3, 1, [1, 1], false);
        let single = plain([8, 16], grid([4, 4], [4, 4]), 1, 1, [0, 0], false);
        // As many products either way, or fewer by the direct one.
        let small = plain([8, 16], grid([2, 2], [2, 2]), 3, 1, [1, 1], false);
        let first = plain([8, 16], grid([1, 1], [4, 4]), 4, 1, [0, 0], true);
        let mut missing = plain([8, 16], grid([4, 4], [4, 4]), 3, 1, [1, 1], false);
        missing.taps[5].pop();
        let mut twice = plain([8, 16], grid([4, 4], [4, 4]), 3, 1, [1, 1], false);
        twice.taps[5][1] = twice.taps[5][0];
        let mut unknown = plain([8, 16], grid([4, 4], [4, 4]), 3, 1, [1, 1], false);
        unknown.grid = None;
        for p in [strided, narrow, single, small, first, missing, twice, unknown] {
            assert!(Convolution::new(p).is_err());
        }
    }
}
