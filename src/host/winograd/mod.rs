//! Convolutions with fewer products, by Winograd's minimal filters (Lavin and Gray 2016, arXiv 1509.09308).
//!
//! Two neighbouring sums of a kernel of three, y₀ = d₀g₀ + d₁g₁ + d₂g₂ and y₁ = d₁g₀ + d₂g₁ + d₃g₂, need four products
//! instead of six, and with a kernel of two three instead of four:
//!
//! ```text
//! three: m = [(d₀ − d₂)·g₀, (d₁ + d₂)·(g₀ + g₁ + g₂)/2, (d₂ − d₁)·(g₀ − g₁ + g₂)/2, (d₁ − d₃)·g₂]
//!        y = [(m₀ + m₁) + m₂, (m₁ − m₂) − m₃]
//! two:   m = [(d₀ − d₁)·g₀, d₁·(g₀ + g₁), (d₁ − d₂)·g₁],   y = [m₀ + m₁, m₁ − m₂]
//! ```
//!
//! Along both axes, a *tile* of 2×2 outputs takes 16 products for each pair of channels instead of 36, or 9 instead of 16. A
//! kernel of 3×3 with stride 1 is of the first kind. A transposed convolution of 4×4 with stride 2, and a kernel of 3×3 behind
//! an enlargement by two, are four kernels of 2×2, one for each *phase*: the outputs whose places leave the same remainders.
//!
//! Values lie in lanes as everywhere here. A sum has one order, whatever lies in the other lanes.

mod kernel;
mod task;

use super::buffer::Buffer;
use super::gather::Gather;
use super::product::PANEL;
use super::rows::CLOSED;
use super::{HostLayer, HostRows, Linearisation};
use crate::nn::{Grid, PlainGather};
use kernel::Kernel;
use rayon::prelude::*;
use std::sync::OnceLock;
use task::{Scratch, Task};

/// Lanes that are transformed together.
const BLOCK: usize = 16;

/// Blocks whose products are computed together, so that a weight is read once for all.
const BLOCKS: usize = 4;

/// With fewer input or output channels the transforms cost more than the products they save.
const LEAST: [usize; 2] = [8, 16];

/// Whether a convolution may be one of these kinds, and has channels enough.
pub fn is_worth_it(plain: &PlainGather) -> bool {
    let fits = |grid: Grid| {
        let area = |[h, w]: [usize; 2]| h * w;
        let places = area(grid.input) == plain.area && area(grid.output) == plain.taps.len();
        places && grid.output.iter().all(|n| *n >= 2)
    };
    plain.channels >= LEAST[0] && plain.outputs >= LEAST[1] && plain.grid.is_some_and(fits)
}

/// A convolution whose values are computed by tiles, where it is one of these kinds. Its tangents are not: the direct way is as fast
/// for many directions, and leaves out rows that are closed or not wanted.
pub struct Convolution {
    direct: Gather,
    plain: PlainGather,
    /// Made when values are first asked for.
    tiles: OnceLock<Option<Tiles>>,
}

impl Convolution {
    /// Both ways of `plain`.
    pub fn new(plain: PlainGather) -> Self {
        Self { direct: Gather::new(plain.clone()), plain, tiles: OnceLock::new() }
    }

    fn tiles(&self) -> Option<&Tiles> {
        self.tiles.get_or_init(|| Tiles::of(&self.plain)).as_ref()
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
        match self.tiles() {
            Some(tiles) => tiles.values(&x),
            None => self.direct.values(x),
        }
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        self.direct.fold(scale, shift) && {
            self.plain.fold(scale, shift);
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
    fn of(plain: &PlainGather) -> Option<Self> {
        let grid = plain.grid?;
        let (step, r) = [(1, 3), (2, 2)].into_iter().find(|(step, r)| {
            (0..step * step).all(|f| Kernel::of(plain, &grid, [f / step, f % step], *step, *r).is_some())
        })?;
        let phases = (0..step * step)
            .map(|f| {
                let first = [f / step, f % step];
                let kernel = Kernel::of(plain, &grid, first, step, r)?;
                Some(Phase { first, offset: kernel.offset, weights: kernel.transformed(plain, r) })
            })
            .collect::<Option<_>>()?;
        let (channels, outputs) = (plain.channels, plain.outputs);
        let bias = plain.bias.clone().unwrap_or_else(|| vec![0.0; outputs]);
        Some(Self { channels, outputs, grid, step, kernel: r, phases, bias })
    }

    /// Number of values of a transformed tile.
    fn positions(&self) -> usize {
        (self.kernel + 1) * (self.kernel + 1)
    }

    /// Rows and columns of a phase's tiles.
    fn tiles(&self, phase: &Phase) -> [usize; 2] {
        [0, 1].map(|axis| (self.grid.output[axis] - phase.first[axis]).div_ceil(self.step).div_ceil(2))
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
        let together = (BLOCKS * BLOCK / lanes).max(1) * packed;
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

    fn cases() -> Vec<PlainGather> {
        let grid = |input, output| Grid { input, output };
        vec![
            plain([8, 16], grid([5, 7], [5, 7]), 3, 1, [1, 1], false),
            plain([9, 33], grid([4, 6], [3, 7]), 3, 1, [0, 2], false),
            plain([8, 17], grid([3, 2], [6, 4]), 4, 2, [1, 1], true),
            plain([16, 16], grid([4, 5], [9, 11]), 4, 2, [0, 0], true),
        ]
    }

    /// The sums in f64 for one sample, and the sums of their absolute terms.
    fn sums(p: &PlainGather, x: &[f32]) -> Vec<(f64, f64)> {
        let of = |m: usize, taps: &[Tap]| {
            let terms = taps.iter().flat_map(|t| {
                (0..p.channels).map(move |c| {
                    let w = p.weight[t.matrix * p.strides[0] + c * p.strides[1] + m * p.strides[2]];
                    f64::from(w) * f64::from(x[c * p.area + t.place])
                })
            });
            terms.fold((0.0, 0.0), |(sum, size), v| (sum + v, size + v.abs()))
        };
        (0..p.outputs).flat_map(|m| p.taps.iter().map(move |taps| of(m, taps))).collect()
    }

    /// Against sums in f64, for one sample, a few that share blocks, a block and more than one. What a transform adds up is
    /// at most four values along each axis, so the rounding of a sum of n terms is bounded by 16·(n + 12) units of the last
    /// place of its absolute terms.
    #[test]
    fn tiles_are_the_sums() {
        for p in cases() {
            let tiles = Tiles::of(&p).expect("one of the kinds");
            let (width, bias) = (p.channels * p.area, p.bias.clone().unwrap());
            for count in [1, 3, 7, 16, 40] {
                let x = values(width * count, 11);
                let rows = HostRows::directions(&x, count);
                let made = tiles.values(&rows).columns();
                for (i, x) in x.chunks_exact(width).enumerate() {
                    for (f, (sum, size)) in sums(&p, x).into_iter().enumerate() {
                        let at = i * p.outputs * p.taps.len() + f;
                        let bound = 16.0 * (p.channels + 12) as f64 * f64::from(f32::EPSILON) / 2.0 * (size + 1.0);
                        let with = sum + f64::from(bias[f / p.taps.len()]);
                        assert!((f64::from(made[at]) - with).abs() <= bound, "{count} {i} {f}: {} {with}", made[at]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_sample_has_the_same_bits_in_any_company() {
        for p in cases() {
            let (tiles, width) = (Tiles::of(&p).expect("one of the kinds"), p.channels * p.area);
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
            let (tiles, width) = (Tiles::of(&p).expect("one of the kinds"), p.channels * p.area);
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
            let plain = Tiles::of(&p).expect("one of the kinds").values(&x).columns();
            let places = p.taps.len();
            let mut both = Convolution::new(p);
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
        let mut missing = plain([8, 16], grid([4, 4], [4, 4]), 3, 1, [1, 1], false);
        missing.taps[5].pop();
        let mut unknown = plain([8, 16], grid([4, 4], [4, 4]), 3, 1, [1, 1], false);
        unknown.grid = None;
        assert!(!is_worth_it(&narrow) && !is_worth_it(&unknown));
        for p in [strided, single, missing] {
            let x = HostRows::directions(&values(p.channels * p.area, 6), 1);
            assert!(is_worth_it(&p) && Tiles::of(&p).is_none());
            let both = Convolution::new(p);
            assert_eq!(both.values(x.clone()).columns(), both.direct.values(x).columns());
        }
    }
}
