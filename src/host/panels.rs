//! Products of tangents with a small dense matrix, one part at a time: what attention and products of two matrices need.

use super::HostRows;
use super::product::{PANEL, TangentPart, TangentProduct, Term};

/// A matrix `[height, columns]`, with the entries `at(row, column)`, in the panels that a [`TangentProduct`] reads.
pub fn panels(height: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut all = vec![0.0; columns.div_ceil(PANEL) * height * PANEL];
    for column in 0..columns {
        for row in 0..height {
            all[(column / PANEL * height + row) * PANEL + column % PANEL] = at(row, column);
        }
    }
    all
}

/// The rows of those `features` whose tangents are not zero. Each is paired with its position in the list, which is the
/// row of weights it is multiplied by.
pub fn terms(t: &HostRows, features: impl Iterator<Item = usize>) -> Vec<Term> {
    features.enumerate().filter_map(|(i, f)| t.place(f).map(|row| Term { row, weight: i as u32 })).collect()
}

/// Runs a [`TangentProduct`] of a single part, for `count` directions.
pub fn product(
    rows: &[f32],
    count: usize,
    terms: &[Term],
    (weights, height): (&[f32], usize),
    wanted: &[u32],
    out: &mut [f32],
) {
    let parts = &mut [TangentPart { terms, wanted, out }];
    TangentProduct { parts, rows, lanes: HostRows::lanes_for(count), count, weights, height }.run();
}
