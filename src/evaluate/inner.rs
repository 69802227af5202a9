//! Inner products and distances of rows, block by block, through [`GramSum`].
//!
//! A panel is a block of rows stored value by value, as the sum wants it: entry (k, r) is value k of row r. The inner
//! products of two panels are then AᵀB, each one running sum in f64 over the values in order.

use super::Features;
use crate::linalg::GramSum;
use rayon::prelude::*;

/// Rows of a panel. The sums of two panels, 128 KiB, stay in the second cache.
pub const BLOCK: usize = 128;

/// A block of rows, `[width, lanes]`.
pub struct Panel {
    /// How many rows there are.
    pub rows: usize,
    lanes: usize,
    values: Vec<f32>,
}

impl Panel {
    /// The rows `rows` of `features`, less `origin` where there is one.
    pub fn of(features: &Features, rows: &[usize], origin: Option<&[f32]>) -> Self {
        let lanes = rows.len().next_multiple_of(16);
        let mut values = vec![0.0; features.width * lanes];
        for (lane, i) in rows.iter().enumerate() {
            let row = features.row(*i);
            for (k, value) in row.iter().enumerate() {
                values[k * lanes + lane] = value - origin.map_or(0.0, |o| o[k]);
            }
        }
        Self { rows: rows.len(), lanes, values }
    }
}

/// The rows `rows` of `features` in panels of [`BLOCK`] rows.
pub fn panels(features: &Features, rows: &[usize], origin: Option<&[f32]>) -> Vec<Panel> {
    rows.par_chunks(BLOCK).map(|part| Panel::of(features, part, origin)).collect()
}

/// Inner products of the rows of two panels, row by row: entry j of item i is xᵢ·yⱼ.
pub struct Inner {
    lanes: usize,
    rows: [usize; 2],
    values: Vec<f64>,
}

impl Inner {
    /// All products of rows of `a` with rows of `b`.
    pub fn of(a: &Panel, b: &Panel) -> Self {
        let mut sum = GramSum::new([a.lanes, b.lanes], false);
        for (a, b) in a.values.chunks_exact(a.lanes.max(1)).zip(b.values.chunks_exact(b.lanes.max(1))) {
            sum.push(a, b);
        }
        Self { lanes: b.lanes, rows: [a.rows, b.rows], values: sum.finish() }
    }

    /// For each row of the first panel its products with the rows of the second.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.lanes.max(1)).take(self.rows[0]).map(|row| &row[..self.rows[1]])
    }
}

/// |x|² of each row. The products are exact and summed in the order of [`Inner`], so that the distance between equal
/// rows is exactly 0.
pub fn squares(features: &Features) -> Vec<f64> {
    let square = |row: &[f32]| row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    features.values.par_chunks_exact(features.width).map(square).collect()
}

/// A distance below this part of |x|² + |y|² is computed again from the differences: above it |x|² + |y|² − 2x·y has
/// lost at most 20 of its 53 bits.
const NEAR: f64 = 1e-6;

/// Squared distances |x − y|², `[rows of x, rows of y]` row-major: the whole table, for sets that are small by rule.
pub fn squared_distances(x: &Features, y: &Features) -> Vec<f64> {
    let all = |features: &Features| (0..features.rows()).collect::<Vec<_>>();
    let (of_x, of_y) = (squares(x), squares(y));
    let columns = panels(y, &all(y), None);
    let mut table = vec![0.0; x.rows() * y.rows()];
    table.par_chunks_mut(BLOCK * y.rows()).enumerate().for_each(|(block, part)| {
        let rows: Vec<usize> = (block * BLOCK..x.rows().min((block + 1) * BLOCK)).collect();
        let panel = Panel::of(x, &rows, None);
        for (at, column) in columns.iter().enumerate() {
            let inner = Inner::of(&panel, column);
            for ((i, products), out) in rows.iter().zip(inner.rows()).zip(part.chunks_exact_mut(y.rows())) {
                for (j, product) in products.iter().enumerate() {
                    let j = at * BLOCK + j;
                    let scale = of_x[*i] + of_y[j];
                    let distance = scale - 2.0 * product;
                    out[j] = if distance < NEAR * scale { direct(x.row(*i), y.row(j)) } else { distance };
                }
            }
        }
    });
    table
}

/// |x − y|² from the differences.
fn direct(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, width: usize, of: impl Fn(usize, usize) -> f32) -> Features {
        Features { values: (0..n * width).map(|v| of(v / width, v % width)).collect(), width }
    }

    /// Against differences in f64, where |x|² + |y|² − 2x·y alone would have no digit left: rows that differ by 1e-6
    /// of their length, and equal ones.
    #[test]
    fn distances_of_near_and_far_rows() {
        let x = rows(150, 19, |i, k| 100.0 + ((i * 7 + k * 3) as f32).sin());
        let mut y = rows(140, 19, |i, k| 100.0 + ((i * 5 + k * 11) as f32).cos());
        y.values[..19].copy_from_slice(x.row(3));
        y.values[19..38].copy_from_slice(x.row(4));
        y.values[19] += 1e-3;
        let found = squared_distances(&x, &y);
        for i in 0..150 {
            for j in 0..140 {
                let expected = direct(x.row(i), y.row(j));
                // 2⁻⁵³ · 19 sums of terms up to |x|² + |y|², over a distance of at least 1e-6 of that.
                assert!((found[i * 140 + j] - expected).abs() <= 1e-8 * expected, "{i} {j}");
            }
        }
        assert_eq!(found[3 * 140], 0.0);
        let step = f64::from(y.values[19]) - f64::from(x.row(4)[0]);
        assert_eq!(found[4 * 140 + 1], step * step);
    }

    #[test]
    fn products_about_an_origin() {
        let x = rows(5, 3, |i, k| (i * 3 + k) as f32);
        let origin = [1.0, 1.0, 1.0];
        let (a, b) = (Panel::of(&x, &[1, 4], Some(&origin)), Panel::of(&x, &[0, 2, 3], Some(&origin)));
        let inner = Inner::of(&a, &b);
        let found: Vec<&[f64]> = inner.rows().collect();
        // Rows less the origin: 1 → (2, 3, 4), 4 → (11, 12, 13); 0 → (−1, 0, 1), 2 → (5, 6, 7), 3 → (8, 9, 10).
        assert_eq!(found, [[2.0, 56.0, 83.0], [2.0, 218.0, 326.0]]);
    }
}
