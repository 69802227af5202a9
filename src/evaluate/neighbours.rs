//! Squared Euclidean distances between rows of features, a block at a time, and the nearest neighbours found in them.
//!
//! |x − y|² = |x|² + |y|² − 2·xᵀy, all three summed in f64 over the coordinates in order, so a distance has the same
//! bits in whatever block it is computed, and the distance of two equal rows is exactly 0. The formula loses digits
//! where x ≈ y, which two things guard against. Coordinates are counted from a point amid the data ([`Origin`]), and
//! a distance that is small beside |x|² + |y|² is summed again from the differences. A distance that is not has a
//! relative error below width·2·eps(f64)/[`SMALL`].
//!
//! Only blocks exist at any time: memory is that of the features, a packed copy of them, and a block for each thread.

use super::Features;
use crate::error::{Error, Result};
use crate::linalg::GramSum;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A squared distance below this part of |x|² + |y|² is computed from the differences.
const SMALL: f64 = 1e-3;

/// A point from which coordinates are counted, so that lengths are not large beside distances.
///
/// It is the mean of the first set in f32, in each column where x − mean is exact to 2⁻⁵³ of x for every row of
/// every set, and 0 in the others. It is exact where it matters most, in columns whose spread is small beside their
/// mean. So packed rows have the distances of the rows themselves.
pub struct Origin(Vec<f32>);

impl Origin {
    /// An origin for `sets`, all of one width.
    ///
    /// # Errors
    /// [`Error::Bug`] when the widths differ; see [`super::Sets::check`].
    pub fn of(sets: &[&Features]) -> Result<Self> {
        let first = sets.first().ok_or_else(|| Error::Bug("no set of features to measure in".into()))?;
        if sets.iter().any(|s| s.width != first.width) {
            return Err(Error::Bug("sets of features of different width".into()));
        }
        Ok(Self::amid(first, sets))
    }

    /// An origin for `sets` of one width, amid the rows of `first`.
    fn amid(first: &Features, sets: &[&Features]) -> Self {
        let mut origin: Vec<f32> = first.mean().iter().map(|m| *m as f32).collect();
        let mut exact = vec![true; first.width];
        for row in sets.iter().flat_map(|s| s.values.chunks_exact(s.width)) {
            for ((exact, v), o) in exact.iter_mut().zip(row).zip(&origin) {
                *exact &= f64::from(*v - *o) + f64::from(*o) == f64::from(*v);
            }
        }
        origin.iter_mut().zip(exact).filter(|(_, exact)| !exact).for_each(|(o, _)| *o = 0.0);
        Self(origin)
    }
}

/// Rows of features, packed for products with others that count from the same [`Origin`].
pub struct Points<'a> {
    features: &'a Features,
    /// Rows of a strip, padded to a multiple of 16.
    lanes: usize,
    /// Strips of up to `lanes` rows, each `[width, lanes]`.
    strips: Vec<Vec<f32>>,
    /// |x|² of every row.
    squares: Vec<f64>,
}

impl<'a> Points<'a> {
    /// Packs `features` into strips of about `block` rows. The strips change the speed and nothing else.
    pub fn new(features: &'a Features, origin: &Origin, block: usize) -> Self {
        let width = features.width;
        let mut lanes = block.clamp(16, 1024).min(features.rows().max(1)).next_multiple_of(16);
        // Columns of sums that lie a power of two apart share few places in the processor's cache.
        if lanes.is_multiple_of(256) {
            lanes += 16;
        }
        let pack = |rows: &[f32]| {
            let mut strip = vec![0.0; width * lanes];
            // A few columns at a time, so that what is written stays in the cache.
            for from in (0..width).step_by(16) {
                for (i, row) in rows.chunks_exact(width).enumerate() {
                    for c in from..(from + 16).min(width) {
                        strip[c * lanes + i] = row[c] - origin.0[c];
                    }
                }
            }
            strip
        };
        let square =
            |row: &[f32]| row.iter().zip(&origin.0).map(|(v, o)| f64::from(v - o)).fold(0.0, |sum: f64, v| sum + v * v);
        Self {
            features,
            lanes,
            strips: features.values.par_chunks(width * lanes).map(pack).collect(),
            squares: features.values.par_chunks(width).map(square).collect(),
        }
    }

    /// The rows of strip s.
    fn strip(&self, s: usize) -> Range<usize> {
        s * self.lanes..((s + 1) * self.lanes).min(self.squares.len())
    }
}

/// Part of a table of squared distances.
pub struct Block {
    /// Its rows in the table.
    pub rows: Range<usize>,
    /// Its columns in the table.
    pub columns: Range<usize>,
    /// Which strip of the rows' set, and which of the columns'.
    strips: [usize; 2],
    /// `[rows, columns]` row-major.
    squared: Vec<f64>,
}

impl Block {
    /// The squared distances of the block's i-th row.
    pub fn row(&self, i: usize) -> &[f64] {
        let n = self.columns.len();
        &self.squared[i * n..(i + 1) * n]
    }

    /// The block of strip s of `a` and strip t of `b`.
    fn of(a: &Points, s: usize, b: &Points, t: usize) -> Self {
        let same = std::ptr::eq(a, b) && s == t;
        let mut sum = GramSum::new([a.lanes, b.lanes], same);
        let (left, right) = (a.strips[s].chunks_exact(a.lanes), b.strips[t].chunks_exact(b.lanes));
        left.zip(right).for_each(|(x, y)| sum.push(x, y));
        let mut squared = sum.finish();
        let (rows, columns) = (a.strip(s), b.strip(t));
        let n = columns.len();
        for (i, x) in rows.clone().enumerate() {
            for (j, y) in columns.clone().enumerate() {
                let size = a.squares[x] + b.squares[y];
                let mut d = size - 2.0 * squared[i * b.lanes + j];
                if d <= SMALL * size {
                    d = of_differences(a.features.row(x), b.features.row(y));
                }
                // What is written stands before everything that is still to be read.
                squared[i * n + j] = d;
            }
        }
        squared.truncate(rows.len() * n);
        Self { rows, columns, strips: [s, t], squared }
    }
}

/// |x − y|² from the differences, in eight partial sums.
fn of_differences(x: &[f32], y: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    for (x, y) in x.chunks(8).zip(y.chunks(8)) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            let d = f64::from(*x) - f64::from(*y);
            *sum += d * d;
        }
    }
    sums.iter().sum()
}

/// Visits every block of the table of distances from rows of `a` to rows of `b`, `[a, b]`, on all threads and in no
/// order: what `visit` collects may not depend on it.
pub fn between(a: &Points, b: &Points, visit: impl Fn(&Block) + Sync) {
    let pairs: Vec<[usize; 2]> = (0..a.strips.len()).flat_map(|s| (0..b.strips.len()).map(move |t| [s, t])).collect();
    pairs.into_par_iter().for_each(|[s, t]| visit(&Block::of(a, s, b, t)));
}

/// Visits the blocks on and above the diagonal of the table of distances among the rows of `a`, as [`between`] does.
/// A block on the diagonal, where `rows` is `columns`, is whole: it holds each pair twice, and each row with itself.
pub fn within(a: &Points, visit: impl Fn(&Block) + Sync) {
    let n = a.strips.len();
    let pairs: Vec<[usize; 2]> = (0..n).flat_map(|s| (s..n).map(move |t| [s, t])).collect();
    pairs.into_par_iter().for_each(|[s, t]| visit(&Block::of(a, s, a, t)));
}

/// Rows of a block where the whole table is wanted.
const ROWS: usize = 128;

/// The whole table of squared distances from rows of `x` to rows of `y`, `[x, y]`, for sets that are small by rule and of one
/// width.
pub fn squared_distances(x: &Features, y: &Features) -> Vec<f64> {
    let origin = Origin::amid(x, &[x, y]);
    let (a, b) = (Points::new(x, &origin, ROWS), Points::new(y, &origin, ROWS));
    let mut table = vec![0.0; x.rows() * y.rows()];
    table.par_chunks_mut((a.lanes * y.rows()).max(1)).enumerate().for_each(|(s, part)| {
        for block in (0..b.strips.len()).map(|t| Block::of(&a, s, &b, t)) {
            for (i, row) in part.chunks_exact_mut(y.rows()).enumerate() {
                row[block.columns.clone()].copy_from_slice(block.row(i));
            }
        }
    });
    table
}

/// Something kept for each strip of a set while blocks arrive from many threads.
pub struct PerStrip<T>(Vec<Mutex<T>>);

impl<T> PerStrip<T> {
    /// What `make` gives for the rows of each strip of `points`.
    pub fn new(points: &Points, make: impl Fn(Range<usize>) -> T) -> Self {
        Self((0..points.strips.len()).map(|s| Mutex::new(make(points.strip(s)))).collect())
    }

    /// What is kept for the strip of a block's rows.
    pub fn rows(&self, block: &Block) -> MutexGuard<'_, T> {
        self.at(block.strips[0])
    }

    /// What is kept for the strip of a block's columns.
    pub fn columns(&self, block: &Block) -> MutexGuard<'_, T> {
        self.at(block.strips[1])
    }

    fn at(&self, strip: usize) -> MutexGuard<'_, T> {
        self.0[strip].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was kept, in the order of the strips.
    pub fn into_inner(self) -> impl Iterator<Item = T> {
        self.0.into_iter().map(|kept| kept.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The nearest neighbours of rows, nearest first and of equally near ones the first: the same whatever the order in
/// which they were offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    count: usize,
    squared: Vec<f64>,
    index: Vec<u32>,
}

impl Nearest {
    /// `count` places, at least 1, for the neighbours of each of `rows` rows. An empty place is infinitely far.
    pub fn new(rows: usize, count: usize) -> Self {
        Self { count, squared: vec![f64::INFINITY; rows * count], index: vec![u32::MAX; rows * count] }
    }

    /// How many neighbours are kept of each row.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Squared distances of row i's neighbours, ascending.
    pub fn squared(&self, i: usize) -> &[f64] {
        &self.squared[i * self.count..(i + 1) * self.count]
    }

    /// Which rows row i's neighbours are, in the order of [`squared`](Self::squared).
    pub fn numbers(&self, i: usize) -> &[u32] {
        &self.index[i * self.count..(i + 1) * self.count]
    }

    /// The squared distance of every row's neighbour number k, counted from 1.
    pub fn kth(&self, k: usize) -> Vec<f64> {
        self.squared.chunks_exact(self.count).map(|row| row[k - 1]).collect()
    }

    /// Offers row i a neighbour.
    #[inline]
    pub fn offer(&mut self, i: usize, squared: f64, index: usize) {
        let last = (i + 1) * self.count - 1;
        let index = index as u32;
        if squared > self.squared[last] || (squared == self.squared[last] && index >= self.index[last]) {
            return;
        }
        let mut at = last;
        while at > i * self.count && (squared, index) < (self.squared[at - 1], self.index[at - 1]) {
            (self.squared[at], self.index[at]) = (self.squared[at - 1], self.index[at - 1]);
            at -= 1;
        }
        (self.squared[at], self.index[at]) = (squared, index);
    }

    /// Offers the rows of a block from [`within`] those of its columns which `counts` says may be neighbours; no row
    /// is its own.
    pub fn offer_rows(&mut self, block: &Block, counts: impl Fn(usize, usize) -> bool) {
        for (i, x) in block.rows.clone().enumerate() {
            for (d, y) in block.row(i).iter().zip(block.columns.clone()) {
                if x != y && counts(x, y) {
                    self.offer(i, *d, y);
                }
            }
        }
    }

    /// Offers the columns of a block from [`within`] its rows, unless the block lies on the diagonal, where
    /// [`offer_rows`](Self::offer_rows) has seen to it.
    pub fn offer_columns(&mut self, block: &Block, counts: impl Fn(usize, usize) -> bool) {
        if block.rows == block.columns {
            return;
        }
        for (i, x) in block.rows.clone().enumerate() {
            for (j, (d, y)) in block.row(i).iter().zip(block.columns.clone()).enumerate() {
                if counts(x, y) {
                    self.offer(j, *d, x);
                }
            }
        }
    }

    /// Those of all strips as one.
    pub fn joined(count: usize, strips: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::new(0, count);
        for strip in strips {
            all.squared.extend(strip.squared);
            all.index.extend(strip.index);
        }
        all
    }
}

/// The `count` nearest neighbours of each row among the others.
pub fn nearest_within(points: &Points, count: usize) -> Nearest {
    let kept = PerStrip::new(points, |rows| Nearest::new(rows.len(), count));
    within(points, |block| {
        kept.rows(block).offer_rows(block, |_, _| true);
        kept.columns(block).offer_columns(block, |_, _| true);
    });
    Nearest::joined(count, kept.into_inner())
}

/// The `count` nearest neighbours among the rows of `b` of each row of `a`, itself included if it is there.
pub fn nearest_between(a: &Points, b: &Points, count: usize) -> Nearest {
    let kept = PerStrip::new(a, |rows| Nearest::new(rows.len(), count));
    between(a, b, |block| {
        let mut kept = kept.rows(block);
        for i in 0..block.rows.len() {
            block.row(i).iter().zip(block.columns.clone()).for_each(|(d, y)| kept.offer(i, *d, y));
        }
    });
    Nearest::joined(count, kept.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{features, normals, on_any_threads};

    /// The whole table from blocks.
    fn table(a: &Features, b: &Features, block: usize) -> Vec<f64> {
        let origin = Origin::of(&[a, b]).unwrap();
        let (p, q) = (Points::new(a, &origin, block), Points::new(b, &origin, block));
        let all = Mutex::new(vec![f64::NAN; a.rows() * b.rows()]);
        between(&p, &q, |block| {
            let mut all = all.lock().unwrap();
            for (i, x) in block.rows.clone().enumerate() {
                let row = x * b.rows();
                all[row + block.columns.start..row + block.columns.end].copy_from_slice(block.row(i));
            }
        });
        all.into_inner().unwrap()
    }

    fn plain(x: &[f32], y: &[f32]) -> f64 {
        x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
    }

    /// Against Σ(x − y)², which f64 takes to width·eps, for data around 0, around 1,000, and with columns whose
    /// shift is not exact; among rows with copies and near copies. The bound is that of the head of this file, and the
    /// error of the plain sum.
    #[test]
    fn equal_plain_distances() {
        for (width, mean, small) in [(1, 0.0, 0.0), (8, 0.0, 0.0), (70, 1000.0, 0.0), (33, 30.0, 1e-6)] {
            let mut values = normals(90, width, 7);
            // Every seventh value is tiny, so that no shift of its column is exact.
            values
                .iter_mut()
                .enumerate()
                .for_each(|(i, v)| *v = if small > 0.0 && i % 7 == 0 { small * *v } else { *v + mean });
            let mut a = features(values, width);
            let b = features(normals(50, width, 1).into_iter().map(|v| 1.1 * v + mean), width);
            for i in 0..10 {
                let row = b.row(i).to_vec();
                a.values[i * width..(i + 1) * width].copy_from_slice(&row);
                a.values[i * width] += [0.0, 1e-3, 1e-2][i % 3];
            }
            let found = table(&a, &b, 16);
            assert_eq!(squared_distances(&a, &b), found);
            let eps = f64::EPSILON * width as f64;
            for (i, j) in (0..90).flat_map(|i| (0..50).map(move |j| (i, j))) {
                let (found, expected) = (found[i * 50 + j], plain(a.row(i), b.row(j)));
                let bound = (2.0 * eps / SMALL + eps) * expected;
                assert!((found - expected).abs() <= bound, "{width} {i} {j}: {found} {expected}");
            }
            assert_eq!([found[0], found[3 * 50 + 3]], [0.0, 0.0]);
        }
    }

    #[test]
    fn the_origin_is_exact_or_zero() {
        // Around 200 with steps of 2⁻¹⁰; between 0 and 1e-9 and 1; all equal.
        let rows = [[200.0, 1e-9, 3.3], [199.0 + 1.0 / 1024.0, 1.0, 3.3], [201.5, 0.3, 3.3]];
        let set = Features { values: rows.concat(), width: 3 };
        let origin = Origin::of(&[&set]).unwrap();
        assert!((origin.0[0] - 200.16699).abs() < 1e-4);
        assert_eq!(origin.0[1..], [0.0, 3.3]);
        let other = Features { values: vec![0.0; 2], width: 2 };
        assert!(Origin::of(&[&set, &other]).is_err());
    }

    /// A distance has one value, whatever the table, the block and the number of threads.
    #[test]
    fn the_same_bits_everywhere() {
        let all = features(normals(120, 19, 3), 19);
        let (a, b) = (all.subset(0..70), all.subset(40..120));
        let whole = table(&all, &all, 16);
        for block in [1, 48, 512] {
            assert_eq!(on_any_threads(|| table(&all, &all, block)), whole);
        }
        // In one frame, rows of other sets have the distances that they have in `all`.
        let origin = Origin::of(&[&all]).unwrap();
        let (p, q) = (Points::new(&a, &origin, 32), Points::new(&b, &origin, 16));
        between(&p, &q, |block| {
            for (i, x) in block.rows.clone().enumerate() {
                let columns = 40 + block.columns.start..40 + block.columns.end;
                assert_eq!(block.row(i), &whole[x * 120..(x + 1) * 120][columns]);
            }
        });
        // The table is symmetric, so the half of it that `within` visits says all.
        assert!((0..120).all(|i| (0..120).all(|j| whole[i * 120 + j] == whole[j * 120 + i])));
        assert!((0..120).all(|i| whole[i * 121] == 0.0));
    }

    /// Against sorting, on a lattice where many distances are equal and rows repeat.
    #[test]
    fn nearest_by_sorting() {
        let lattice = |n: usize, s: usize| features((0..n * 3).map(|i| ((i * 7 + s + i / 5) % 4) as f64), 3);
        let (a, b) = (lattice(75, 0), lattice(41, 1));
        let sorted = |x: &[f32], set: &Features, skip: Option<usize>| {
            let mut all: Vec<(f64, u32)> =
                (0..set.rows()).filter(|j| Some(*j) != skip).map(|j| (plain(x, set.row(j)), j as u32)).collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all.truncate(4);
            all
        };
        for block in [16, 32, 1000] {
            let origin = Origin::of(&[&a, &b]).unwrap();
            let (p, q) = (Points::new(&a, &origin, block), Points::new(&b, &origin, block));
            let (own, other) = on_any_threads(|| (nearest_within(&p, 4), nearest_between(&p, &q, 4)));
            for i in 0..75 {
                let pairs = |of: &Nearest| -> Vec<(f64, u32)> {
                    of.squared(i).iter().copied().zip(of.numbers(i).iter().copied()).collect()
                };
                assert_eq!(pairs(&own), sorted(a.row(i), &a, Some(i)), "{block} {i}");
                assert_eq!(pairs(&other), sorted(a.row(i), &b, None), "{block} {i}");
            }
        }
    }

    #[test]
    fn places_without_a_neighbour_are_infinitely_far() {
        let set = features([0.0, 1.0], 1);
        let points = Points::new(&set, &Origin::of(&[&set]).unwrap(), 16);
        let found = nearest_within(&points, 3);
        assert_eq!(found.squared(0), [1.0, f64::INFINITY, f64::INFINITY]);
        assert_eq!(found.numbers(1), [0, u32::MAX, u32::MAX]);
    }
}
