//! Which convolutions are of the kinds that are computed by tiles, and the transforms of their weights.

use super::{LEAST, PANEL};
use crate::nn::{Grid, PlainGather};

/// The kernels of all phases of a convolution.
pub struct Kernels {
    /// Rows and columns of its input and output.
    pub grid: Grid,
    /// Number of phases along each axis.
    pub step: usize,
    /// Side of each kernel.
    pub side: usize,
    /// For each phase the place of its first output, and its kernel.
    pub phases: Vec<([usize; 2], Kernel)>,
}

impl Kernels {
    /// Those of `plain`; `None` if it is no convolution of these kinds, or has too few channels or places for tiles to save anything.
    pub fn of(plain: &PlainGather) -> Option<Self> {
        let grid = plain.grid?;
        let area = |[h, w]: [usize; 2]| h * w;
        let fits = area(grid.input) == plain.area && area(grid.output) == plain.taps.len();
        if !fits || plain.channels < LEAST[0] || plain.outputs < LEAST[1] || grid.output.iter().any(|n| *n < 2) {
            return None;
        }
        let kinds = [(1, 3), (2, 2)].into_iter();
        let found = kinds.filter_map(|(step, side)| {
            let phase = |f: usize| {
                let first = [f / step, f % step];
                Some((first, Kernel::of(plain, &grid, first, step, side)?))
            };
            let phases = (0..step * step).map(phase).collect::<Option<_>>()?;
            Some(Self { grid, step, side, phases })
        });
        let products: usize = plain.taps.iter().map(Vec::len).sum();
        found.into_iter().find(|kernels| kernels.products() < products)
    }

    /// Products for each pair of channels.
    fn products(&self) -> usize {
        let tiles = self.phases.iter().map(|(first, _)| tiles(&self.grid, self.step, *first));
        (self.side + 1).pow(2) * tiles.map(|[down, across]| down * across).sum::<usize>()
    }
}

/// Rows and columns of the tiles of a phase.
pub fn tiles(grid: &Grid, step: usize, first: [usize; 2]) -> [usize; 2] {
    [0, 1].map(|axis| (grid.output[axis] - first[axis]).div_ceil(step).div_ceil(2))
}

/// For each place of a kernel the index of its weight matrix, and where it starts.
pub struct Kernel {
    /// The place of the input, possibly outside it, under the first place of the kernel at u = v = 0.
    pub offset: [isize; 2],
    matrices: [[usize; 3]; 3],
}

impl Kernel {
    /// The kernel of side `r` by which all outputs of a phase are computed; `None` if there is none.
    fn of(plain: &PlainGather, grid: &Grid, first: [usize; 2], step: usize, r: usize) -> Option<Self> {
        let ([height, width], [rows, columns]) = (grid.input, grid.output);
        let places = || {
            let across = move |i: usize| (first[1]..columns).step_by(step).map(move |j| [i, j]);
            (first[0]..rows).step_by(step).flat_map(across)
        };
        let steps = |[i, j]: [usize; 2]| [((i - first[0]) / step) as isize, ((j - first[1]) / step) as isize];
        let taps = |[i, j]: [usize; 2]| &plain.taps[i * columns + j];
        let reads = |at: [usize; 2]| {
            let [u, v] = steps(at);
            taps(at).iter().map(move |t| ((t.place / width) as isize - u, (t.place % width) as isize - v, t.matrix))
        };
        let mut offset = [isize::MAX; 2];
        for (y, x, _) in places().flat_map(reads) {
            offset = [offset[0].min(y), offset[1].min(x)];
        }
        let mut matrices = [[None; 3]; 3];
        for (y, x, matrix) in places().flat_map(reads) {
            let [y, x] = [(y - offset[0]) as usize, (x - offset[1]) as usize];
            if y >= r || x >= r || matrices[y][x].is_some_and(|m| m != matrix) {
                return None;
            }
            matrices[y][x] = Some(matrix);
        }
        if matrices.iter().take(r).any(|row| row[..r].contains(&None)) {
            return None;
        }
        // Each output has all taps whose places there are, each once.
        let inside = |[u, v]: [isize; 2], y: usize, x: usize| {
            let (y, x) = (u + offset[0] + y as isize, v + offset[1] + x as isize);
            (0..height as isize).contains(&y) && (0..width as isize).contains(&x)
        };
        for at in places() {
            let mut seen = [[false; 3]; 3];
            for (y, x, _) in reads(at) {
                let seen = &mut seen[(y - offset[0]) as usize][(x - offset[1]) as usize];
                if std::mem::replace(seen, true) {
                    return None;
                }
            }
            let at = steps(at);
            if (0..r).any(|y| (0..r).any(|x| seen[y][x] != inside(at, y, x))) {
                return None;
            }
        }
        Some(Self { offset, matrices: matrices.map(|row| row.map(Option::unwrap_or_default)) })
    }

    /// Its weights transformed: for each position of a transformed tile `[panel, channels, PANEL]`.
    pub fn transformed(&self, plain: &PlainGather, r: usize) -> Vec<f32> {
        let (channels, outputs, side) = (plain.channels, plain.outputs, r + 1);
        let size = outputs.div_ceil(PANEL) * channels * PANEL;
        let mut weights = vec![0.0; side * side * size];
        for c in 0..channels {
            for m in 0..outputs {
                let value = |y: usize, x: usize| {
                    let at = self.matrices[y][x] * plain.strides[0] + c * plain.strides[1] + m * plain.strides[2];
                    f64::from(plain.weight[at])
                };
                let rows: [[f64; 4]; 3] = std::array::from_fn(|y| match y < r {
                    true => along(std::array::from_fn(|x| if x < r { value(y, x) } else { 0.0 }), r),
                    false => [0.0; 4],
                });
                let place = (m / PANEL * channels + c) * PANEL + m % PANEL;
                for x in 0..side {
                    let column = along(rows.map(|row| row[x]), r);
                    (0..side).for_each(|y| weights[(y * side + x) * size + place] = column[y] as f32);
                }
            }
        }
        weights
    }
}

/// The transform of the first `r` values along one axis: r + 1 values.
fn along([a, b, c]: [f64; 3], r: usize) -> [f64; 4] {
    if r == 2 { [a, a + b, b, 0.0] } else { [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c] }
}
