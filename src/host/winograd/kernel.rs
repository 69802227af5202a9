//! Which convolutions are of the kinds that are computed by tiles, and the transforms of their weights.

use super::PANEL;
use crate::nn::{Grid, PlainGather};

/// A kernel's matrices by place, and where it starts.
pub struct Kernel {
    /// The place under its first place, where u = v = 0.
    pub offset: [isize; 2],
    matrices: [[Option<usize>; 3]; 3],
}

impl Kernel {
    /// The kernel of side `r` that all outputs of a phase are sums by; `None` if there is none.
    pub fn of(plain: &PlainGather, grid: &Grid, first: [usize; 2], step: usize, r: usize) -> Option<Self> {
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
        let inside = |at: [usize; 2], y: usize, x: usize| {
            let [u, v] = steps(at);
            let (y, x) = (u + offset[0] + y as isize, v + offset[1] + x as isize);
            (0..height as isize).contains(&y) && (0..width as isize).contains(&x)
        };
        let expected = |at: [usize; 2]| {
            let all = (0..r).flat_map(|y| (0..r).map(move |x| (y, x)));
            all.filter(|(y, x)| inside(at, *y, *x)).count()
        };
        let mut seen = Vec::new();
        for at in places() {
            seen.clear();
            seen.extend(taps(at).iter().map(|t| t.place));
            seen.sort_unstable();
            seen.dedup();
            if seen.len() != taps(at).len() || seen.len() != expected(at) {
                return None;
            }
        }
        Some(Self { offset, matrices })
    }

    /// Its weights transformed: for each position of a transformed tile `[panel, channels, PANEL]`.
    pub fn transformed(&self, plain: &PlainGather, r: usize) -> Vec<f32> {
        let (channels, outputs, side) = (plain.channels, plain.outputs, r + 1);
        let size = outputs.div_ceil(PANEL) * channels * PANEL;
        let mut weights = vec![0.0; side * side * size];
        for c in 0..channels {
            for m in 0..outputs {
                let at = |matrix: usize| {
                    plain.weight[matrix * plain.strides[0] + c * plain.strides[1] + m * plain.strides[2]]
                };
                let value = |y: usize, x: usize| self.matrices[y][x].map_or(0.0, |matrix| f64::from(at(matrix)));
                let rows: Vec<Vec<f64>> =
                    (0..r).map(|y| of_kernel(&(0..r).map(|x| value(y, x)).collect::<Vec<_>>())).collect();
                for x in 0..side {
                    let column = of_kernel(&rows.iter().map(|row| row[x]).collect::<Vec<_>>());
                    for (y, value) in column.into_iter().enumerate() {
                        let place = (m / PANEL * channels + c) * PANEL + m % PANEL;
                        weights[(y * side + x) * size + place] = value as f32;
                    }
                }
            }
        }
        weights
    }
}

/// The transform of a kernel's values along one axis.
fn of_kernel(g: &[f64]) -> Vec<f64> {
    match *g {
        [a, b] => vec![a, a + b, b],
        [a, b, c] => vec![a, (a + b + c) / 2.0, (a - b + c) / 2.0, c],
        _ => Vec::new(),
    }
}
