//! Inner products of rows, block by block, through [`GramSum`]. Distances are in [`neighbours`](super::neighbours).
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, width: usize, of: impl Fn(usize, usize) -> f32) -> Features {
        Features { values: (0..n * width).map(|v| of(v / width, v % width)).collect(), width }
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
