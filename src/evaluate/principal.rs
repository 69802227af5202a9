//! Principal axes of features: the few directions in which they vary most, without a covariance matrix.
//!
//! Subspace iteration: an orthonormal basis Q, somewhat wider than asked for, is replaced by that of XᵀXQ, X being the
//! centred rows, until the variance within it grows no more; the eigenvectors of QᵀXᵀXQ turn Q into axes. Where the
//! spectrum is flat, axes at the edge of the subspace mix, and the variance that they hold is still the largest.

use super::{Features, steps};
use crate::linalg::{GramSum, orthonormal_columns};
use crate::noise::{self, Stream};
use nalgebra::DMatrix;
use rayon::prelude::*;

/// How many directions are iterated beyond those asked for. The surplus makes the others converge.
const SURPLUS: usize = 16;
/// The iteration ends when the variance grows by less than this part of it, or after [`ROUNDS`].
const GROWTH: f64 = 1e-9;
const ROUNDS: usize = 200;
/// Rows or columns in a strip; not a power of two, see [`super::neighbours::Points`].
const STRIP: usize = 240;

/// A mean and the leading principal axes around it.
pub struct Axes {
    mean: Vec<f64>,
    /// `[width, lanes]`, padded with zeros.
    vectors: Vec<f32>,
    lanes: usize,
    count: usize,
}

impl Axes {
    /// The `count` leading axes of the rows of `features`, at most its width. `seed` chooses where the search begins.
    pub fn of(features: &Features, count: usize, seed: u64) -> Self {
        let width = features.width;
        let count = count.min(width);
        let mean = features.mean();
        let x = centred(features, &mean);
        let strips = packed(&x, width);
        let used = (count + SURPLUS).min(width);
        let lanes = used.next_multiple_of(16);
        let noise = noise::normals(seed, 0, Stream::Bootstrap, steps::AXES, width * used);
        let start: Vec<f64> = noise.into_iter().map(f64::from).collect();
        let mut q = orthonormal_columns(&start, width, used);
        let mut held = 0.0;
        for round in 1.. {
            let y = covered(&x, &strips, &padded(&q, used, lanes), width, lanes);
            let y: Vec<f64> = y.chunks_exact(lanes).flat_map(|row| &row[..used]).copied().collect();
            let (turn, variance) = turned(&q, &y, used, count);
            if variance - held <= GROWTH * variance || round == ROUNDS || used == width {
                let along =
                    |row: &[f64], a: usize| row.iter().zip(turn.column(a).iter()).map(|(q, t)| q * t).sum::<f64>();
                q = q.chunks_exact(used).flat_map(|row| (0..count).map(move |a| along(row, a))).collect();
                break;
            }
            held = variance;
            q = orthonormal_columns(&y, width, used);
        }
        let lanes = count.next_multiple_of(16);
        Self { mean, vectors: padded(&q, count, lanes), lanes, count }
    }

    /// Coordinates of rows along the axes, `[rows, count]`: features as narrow as these axes are many. Like the axes
    /// themselves they are rounded to f32.
    pub fn project(&self, features: &Features) -> Features {
        let x = centred(features, &self.mean);
        let along = products(&packed(&x, features.width), &self.vectors, features.rows(), self.lanes);
        let kept = along.chunks_exact(self.lanes).flat_map(|row| &row[..self.count]).copied().collect();
        Features { values: kept, width: self.count }
    }
}

/// The eigenvectors of QᵀY for its `count` largest eigenvalues, `[used, count]`, and the sum of these. Q and Y are
/// `[width, used]`, and QᵀY is symmetric up to rounding.
fn turned(q: &[f64], y: &[f64], used: usize, count: usize) -> (DMatrix<f64>, f64) {
    let [q, y] = [q, y].map(|m| DMatrix::from_row_slice(m.len() / used, used, m));
    let dot = |i: usize, j: usize| q.column(i).dot(&y.column(j));
    let eigen = DMatrix::from_fn(used, used, |i, j| 0.5 * (dot(i, j) + dot(j, i))).symmetric_eigen();
    let mut order: Vec<usize> = (0..used).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let leading = DMatrix::from_fn(used, count, |i, a| eigen.eigenvectors[(i, order[a])]);
    (leading, order[..count].iter().map(|i| eigen.eigenvalues[*i]).sum())
}

/// The rows less `mean`, `[rows, lanes]` with `lanes` the next multiple of 16, padded with zeros.
fn centred(features: &Features, mean: &[f64]) -> Vec<f32> {
    let lanes = features.width.next_multiple_of(16);
    let mut x = vec![0.0; features.rows() * lanes];
    x.par_chunks_mut(lanes).zip(features.values.par_chunks(features.width)).for_each(|(x, row)| {
        x.iter_mut().zip(row.iter().zip(mean)).for_each(|(x, (v, m))| *x = (f64::from(*v) - m) as f32);
    });
    x
}

/// Rows as [`centred`] gives them in strips of [`STRIP`], each `[width, STRIP]`.
fn packed(x: &[f32], width: usize) -> Vec<Vec<f32>> {
    let lanes = width.next_multiple_of(16);
    let pack = |rows: &[f32]| {
        let mut strip = vec![0.0; width * STRIP];
        for from in (0..width).step_by(16) {
            for (i, row) in rows.chunks_exact(lanes).enumerate() {
                for c in from..(from + 16).min(width) {
                    strip[c * STRIP + i] = row[c];
                }
            }
        }
        strip
    };
    x.par_chunks(lanes * STRIP).map(pack).collect()
}

/// `[n, columns]` in f64 to `[n, lanes]` in f32, padded with zeros.
fn padded(values: &[f64], columns: usize, lanes: usize) -> Vec<f32> {
    let mut all = vec![0.0; values.len() / columns * lanes];
    for (into, row) in all.chunks_exact_mut(lanes).zip(values.chunks_exact(columns)) {
        into.iter_mut().zip(row).for_each(|(into, v)| *into = *v as f32);
    }
    all
}

/// XQ, `[rows, lanes]` in f32, from X in strips and Q `[width, lanes]`.
fn products(strips: &[Vec<f32>], q: &[f32], rows: usize, lanes: usize) -> Vec<f32> {
    let product = |strip: &Vec<f32>| {
        let mut sum = GramSum::new([STRIP, lanes], false);
        strip.chunks_exact(STRIP).zip(q.chunks_exact(lanes)).for_each(|(x, q)| sum.push(x, q));
        sum.finish().into_iter().map(|v| v as f32).collect::<Vec<f32>>()
    };
    let mut all: Vec<f32> = strips.par_iter().flat_map_iter(product).collect();
    all.truncate(rows * lanes);
    all
}

/// XᵀXQ, `[width, lanes]`, from X as [`centred`] and as [`packed`] give it and Q `[width, lanes]`.
fn covered(x: &[f32], strips: &[Vec<f32>], q: &[f32], width: usize, lanes: usize) -> Vec<f64> {
    let wide = width.next_multiple_of(16);
    let along = products(strips, q, x.len() / wide, lanes);
    let columns: Vec<usize> = (0..wide).step_by(STRIP).collect();
    let product = |from: &usize| {
        let part = *from..(from + STRIP).min(wide);
        let mut sum = GramSum::new([part.len(), lanes], false);
        x.chunks_exact(wide).zip(along.chunks_exact(lanes)).for_each(|(x, along)| sum.push(&x[part.clone()], along));
        sum.finish()
    };
    let mut all: Vec<f64> = columns.par_iter().flat_map_iter(product).collect();
    all.truncate(width * lanes);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{features, normals, on_any_threads};

    /// 300 rows of 80 values with deviations 0.98^j.
    fn wide() -> Features {
        let values = normals(300, 80, 0);
        features(values.into_iter().enumerate().map(|(i, v)| v * 0.98f64.powi((i % 80) as i32)), 80)
    }

    /// Sum of the squares of all coordinates less their mean.
    fn variance(f: &Features) -> f64 {
        let mean = f.mean();
        f.values
            .chunks_exact(f.width)
            .flat_map(|row| row.iter().zip(&mean))
            .map(|(v, m)| (f64::from(*v) - m).powi(2))
            .sum()
    }

    /// Against numpy.linalg.eigvalsh of the covariance in f64, neighbours/meehan.py. With 64 axes the subspace is the
    /// whole space and what is off is f32's rounding of axes and coordinates, 2⁻²⁴ of each. With 10 the iteration ends
    /// on a growth of 1e-9, and an error that shrinks by (λ₂₇/λ₁₀)² ≈ 1/4 a round leaves less than that outside.
    #[test]
    fn hold_the_most_variance() {
        let x = wide();
        for (count, expected) in [(64, 7045.202822300646), (10, 2888.708392092591), (80, 7231.340905532648)] {
            let found = on_any_threads(|| Axes::of(&x, count, 0).project(&x));
            assert_eq!((found.width, found.rows()), (count, 300));
            assert!((variance(&found) / expected - 1.0).abs() < 1e-6, "{count}: {} {expected}", variance(&found));
        }
    }

    /// All axes together turn the rows and change no distance, up to f32's rounding.
    #[test]
    fn all_axes_keep_distances() {
        let x = wide();
        let y = Axes::of(&x, 100, 3).project(&x);
        let d = |f: &Features, i, j| -> f64 {
            f.row(i).iter().zip(f.row(j)).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
        };
        assert!((1..300).all(|i| (d(&x, 0, i) / d(&y, 0, i) - 1.0).abs() < 1e-6));
    }

    /// A spectrum in which the largest eigenvalue is there 5 times; rows that span fewer directions than asked for; and
    /// rows that are all equal.
    #[test]
    fn degenerate_spectra() {
        let unit = |i: usize, j: usize| f64::from(u8::from(i % 5 == j)) + if i >= 5 { -1.0 } else { 1.0 };
        let x = features((0..10).flat_map(|i| (0..40).map(move |j| if j < 5 { unit(i, j) } else { 0.0 })), 40);
        let y = Axes::of(&x, 6, 0).project(&x);
        assert!((variance(&y) / variance(&x) - 1.0).abs() < 1e-6);
        let equal = features(vec![3.5; 70 * 4], 70);
        assert_eq!(Axes::of(&equal, 64, 0).project(&equal).values, vec![0.0; 64 * 4]);
    }
}
