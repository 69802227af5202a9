//! The k tangents of one sample, or the values of k samples, without the rows that are zero.
//!
//! Seen as a matrix `[features, k]`, row f holds the derivatives of feature f in all k directions, or feature f of all k
//! samples. After a relu about half of the rows of tangents are zero, and those are not stored:
//!
//! ```text
//! index  [ 0, CLOSED, 1, 1, CLOSED, 2 ]      one entry per feature
//! data   [ row 0 | row 1 | row 2 ]           `lanes` values each: k directions, padded with zeros
//! ```
//!
//! Features may point to the same row, for example after an enlargement. Rows must then not be changed in place.

use super::buffer::Buffer;
use rayon::prelude::*;
use std::sync::Arc;

/// The index of a feature whose tangents are all zero.
pub(super) const CLOSED: u32 = u32::MAX;

/// f32 values in the widest vector register. The length of a row is padded to a multiple of this.
const REGISTER: usize = 16;

/// How many rows a task on one thread works on.
const ROWS_PER_TASK: usize = 512;

/// The tangents of one sample in k directions, or the values of k samples. Each feature has either a row of k values, padded
/// to [`lanes`](Self::lanes), or no row if all k are zero. The padding of tangents is zero. Cheap to clone.
#[derive(Clone)]
pub struct HostRows {
    count: usize,
    lanes: usize,
    index: Vec<u32>,
    data: Arc<Buffer>,
    /// Whether two features may point to the same row.
    shared: bool,
}

impl HostRows {
    /// Number of values in a row for `k` directions: k rounded up to whole registers of 16. Long rows take an odd
    /// number of registers, because rows whose distance is a multiple of a large power of two would compete for the
    /// same few cache lines.
    pub fn lanes_for(k: usize) -> usize {
        let registers = k.div_ceil(REGISTER).max(1);
        (if registers >= 16 { registers | 1 } else { registers }) * REGISTER
    }

    /// Tangents from given directions, `[k, features]` row-major: what enters the first layer.
    pub fn directions(values: &[f32], k: usize) -> Self {
        let features = values.len() / k.max(1);
        let lanes = Self::lanes_for(k);
        let mut data = Buffer::zeros(features * lanes);
        for (j, direction) in values.chunks_exact(features.max(1)).enumerate() {
            direction.iter().enumerate().for_each(|(f, v)| data[f * lanes + j] = *v);
        }
        Self { count: k, lanes, index: (0..features as u32).collect(), data: Arc::new(data), shared: false }
    }

    /// The same `values` for all of `count` samples.
    pub fn constant(values: &[f32], count: usize) -> Self {
        let lanes = Self::lanes_for(count);
        let mut data = Buffer::zeros(values.len() * lanes);
        data.chunks_exact_mut(lanes).zip(values).for_each(|(row, v)| row.fill(*v));
        Self { count, lanes, index: (0..values.len() as u32).collect(), data: Arc::new(data), shared: false }
    }

    /// The values of all features in one lane.
    pub fn lane(&self, lane: usize) -> Vec<f32> {
        let at = |row: &u32| if *row == CLOSED { 0.0 } else { self.data[*row as usize * self.lanes + lane] };
        self.index.iter().map(at).collect()
    }

    /// The values of all features in each lane, one lane after another, `[k, features]`.
    pub fn columns(&self) -> Vec<f32> {
        let features = self.index.len();
        let mut all = vec![0.0; self.count * features];
        // Some rows at a time, so that they stay in the innermost cache for all lanes.
        for (block, index) in self.index.chunks(REGISTER).enumerate() {
            for lane in 0..self.count {
                let into = &mut all[lane * features + block * REGISTER..][..index.len()];
                for (into, row) in into.iter_mut().zip(index).filter(|(_, row)| **row != CLOSED) {
                    *into = self.data[*row as usize * self.lanes + lane];
                }
            }
        }
        all
    }

    /// `f` of every value. It is given some rows at a time, `[_, lanes]`, and must do the same to each value.
    pub(super) fn mapped(mut self, f: impl Fn(&mut [f32]) + Sync) -> Self {
        let mut zero = [0.0];
        f(&mut zero);
        let data = Arc::make_mut(&mut self.data);
        let some = ROWS_PER_TASK * self.lanes;
        match data.len() > some {
            true => data.par_chunks_mut(some).for_each(&f),
            false => f(data),
        }
        if zero[0].to_bits() == 0 { self } else { self.opened(zero[0]) }
    }

    /// `features` new rows, each written whole by `fill(feature, row)`. A feature that is not `open` gets none.
    pub(super) fn made(
        &self,
        features: usize,
        open: impl Fn(usize) -> bool,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let (mut index, mut of_row) = (vec![CLOSED; features], Vec::with_capacity(features));
        for f in (0..features).filter(|f| open(*f)) {
            index[f] = of_row.len() as u32;
            of_row.push(f);
        }
        let mut data = Buffer::any(of_row.len() * self.lanes);
        each_row(&mut data, self.lanes, |row, values| fill(of_row[row], values));
        Self { count: self.count, lanes: self.lanes, index, data: Arc::new(data), shared: false }
    }

    /// Each feature's row as `change(feature, row)` leaves it. Rows stay where they are in memory, unless features share some or
    /// have none.
    pub(super) fn changed(mut self, change: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        if self.shared || self.index.contains(&CLOSED) {
            self = self.made(self.index.len(), |_| true, |f, row| row.copy_from_slice(self.row_or_zeros(f)));
        }
        let data = Arc::make_mut(&mut self.data);
        let mut features = vec![CLOSED; data.len() / self.lanes];
        self.index.iter().enumerate().for_each(|(f, row)| features[*row as usize] = f as u32);
        each_row(data, self.lanes, |row, values| {
            if features[row] != CLOSED {
                change(features[row] as usize, values);
            }
        });
        self
    }

    /// Gives the features without a row one that holds `value` in every lane.
    pub(super) fn opened(mut self, value: f32) -> Self {
        if self.index.contains(&CLOSED) {
            let data = Arc::make_mut(&mut self.data).list();
            let row = (data.len() / self.lanes) as u32;
            data.extend(std::iter::repeat_n(value, self.lanes));
            self.index.iter_mut().filter(|r| **r == CLOSED).for_each(|r| *r = row);
            self.shared = true;
        }
        self
    }

    /// The values of one feature in a block of samples, `[lanes]`.
    pub(super) fn row_or_zeros(&self, feature: usize) -> &[f32] {
        static ZEROS: [f32; REGISTER] = [0.0; REGISTER];
        self.row(feature).unwrap_or(&ZEROS[..self.lanes.min(REGISTER)])
    }

    /// Feature i takes the row that feature `from[i]` had; where `from[i]` is [`u32::MAX`], its values are `fill`.
    pub(super) fn picked(mut self, from: &[u32], fill: f32) -> Self {
        if fill != 0.0 && from.contains(&u32::MAX) {
            // What comes from nowhere must be told from what is zero.
            self = self.opened(0.0);
        }
        let picked = self.rearranged(from);
        if fill == 0.0 { picked } else { picked.opened(fill) }
    }

    /// Tangents from the unit directions `first..first + k` of `features`: columns of the identity.
    pub fn units(features: usize, first: usize, k: usize) -> Self {
        let lanes = Self::lanes_for(k);
        let mut data = Buffer::zeros(k * lanes);
        (0..k).for_each(|j| data[j * lanes + j] = 1.0);
        let row = |f: usize| if (first..first + k).contains(&f) { (f - first) as u32 } else { CLOSED };
        Self { count: k, lanes, index: (0..features).map(row).collect(), data: Arc::new(data), shared: false }
    }

    /// Rows of the same lanes, `[_, lanes]`; `index[f]` is the row of feature f, [`CLOSED`] if it has none.
    pub(super) fn with_rows(&self, index: Vec<u32>, data: Buffer) -> Self {
        Self { count: self.count, lanes: self.lanes, index, data: Arc::new(data), shared: false }
    }

    /// Number of directions k.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of values in a row, padding included.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Number of features, including those without a row.
    pub fn features(&self) -> usize {
        self.index.len()
    }

    /// The tangents of one feature, `[lanes]`; `None` if all are zero.
    pub fn row(&self, feature: usize) -> Option<&[f32]> {
        let row = self.index[feature];
        (row != CLOSED).then(|| &self.data[row as usize * self.lanes..][..self.lanes])
    }

    /// Index of a feature's row in [`rows`](Self::rows); `None` if its tangents are all zero.
    pub(super) fn place(&self, feature: usize) -> Option<u32> {
        Some(self.index[feature]).filter(|r| *r != CLOSED)
    }

    /// All stored rows one after another, `[_, lanes]`.
    pub(super) fn rows(&self) -> &[f32] {
        &self.data
    }

    /// Row f times `slopes[f]`, the tangent rule of an activation; features that are not wanted lose their row. If
    /// every slope is 0 or 1, as for a relu, only the index changes and no value is touched.
    pub fn scaled(mut self, slopes: &[f32], wanted: Option<&[bool]>) -> Self {
        let open = |f: usize| slopes[f] != 0.0 && wanted.is_none_or(|w| w[f]);
        for f in 0..self.index.len() {
            if !open(f) {
                self.index[f] = CLOSED;
            }
        }
        if (0..self.index.len()).all(|f| self.index[f] == CLOSED || slopes[f] == 1.0) {
            return self;
        }
        if let Some(data) = Arc::get_mut(&mut self.data).filter(|_| !self.shared) {
            let mut of_row = vec![CLOSED; data.len() / self.lanes];
            let open = self.index.iter().enumerate().filter(|(_, row)| **row != CLOSED);
            open.for_each(|(f, row)| of_row[*row as usize] = f as u32);
            each_row(data, self.lanes, |row, values| {
                if of_row[row] != CLOSED {
                    let slope = slopes[of_row[row] as usize];
                    values.iter_mut().for_each(|v| *v *= slope);
                }
            });
            return self;
        }
        let row = |f: usize, into: &mut [f32]| {
            self.row(f).into_iter().for_each(|row| into.iter_mut().zip(row).for_each(|(y, v)| *y = v * slopes[f]));
        };
        self.made(self.index.len(), |f| self.index[f] != CLOSED, row)
    }

    /// Feature i takes the row that feature `from[i]` had; it gets none where `from[i]` is [`u32::MAX`]. Rows are shared,
    /// not copied.
    pub fn rearranged(mut self, from: &[u32]) -> Self {
        self.shared = true;
        self.index = from.iter().map(|f| if *f == u32::MAX { CLOSED } else { self.index[*f as usize] }).collect();
        self
    }

    /// The tangents of the features in `range` alone. Rows are shared, not copied.
    pub fn part(&self, range: std::ops::Range<usize>) -> Self {
        Self { index: self.index[range].to_vec(), ..self.clone() }
    }

    /// Tangents in the same directions of `features` values that do not depend on the latent.
    pub fn zeros(&self, features: usize) -> Self {
        Self { index: vec![CLOSED; features], data: Arc::new(Buffer::default()), shared: false, ..*self }
    }

    /// The sum of the tangents of two branches with the same features; features that are not wanted lose their row.
    pub fn plus(self, other: &Self, wanted: Option<&[bool]>) -> Self {
        let some = |f: usize| self.index[f] != CLOSED || other.index[f] != CLOSED;
        let row = |f: usize, into: &mut [f32]| match (self.row(f), other.row(f)) {
            (Some(a), Some(b)) => into.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = a + b),
            (Some(one), None) | (None, Some(one)) => into.copy_from_slice(one),
            (None, None) => {}
        };
        self.made(self.index.len(), |f| wanted.is_none_or(|w| w[f]) && some(f), row)
    }

    /// Σ c·t over (c, t) of `parts`, feature by feature. There must be at least one part, and all must have the same
    /// features and lanes.
    pub fn combined(parts: &[(f32, &Self)]) -> Self {
        let row = |f: usize, into: &mut [f32]| {
            let mut rows = parts.iter().filter_map(|(c, t)| t.row(f).map(|row| (*c, row)));
            if let Some((c, row)) = rows.next() {
                into.iter_mut().zip(row).for_each(|(sum, v)| *sum = c * v);
            }
            rows.for_each(|(c, row)| into.iter_mut().zip(row).for_each(|(sum, v)| *sum += c * v));
        };
        let open = |f: usize| parts.iter().any(|(_, t)| t.index[f] != CLOSED);
        parts[0].1.made(parts[0].1.index.len(), open, row)
    }

    /// The features of several branches, one branch after another. All must have the same lanes.
    pub fn concatenated(parts: &[Self]) -> Self {
        let (count, lanes) = parts.first().map_or((0, REGISTER), |p| (p.count, p.lanes));
        let size = parts.iter().map(|p| p.data.len()).sum();
        let (mut index, mut joined) = (Vec::new(), Buffer::room(size));
        let data = joined.list();
        for part in parts {
            let before = (data.len() / lanes) as u32;
            index.extend(part.index.iter().map(|r| if *r == CLOSED { CLOSED } else { r + before }));
            data.extend_from_slice(&part.data);
        }
        Self { count, lanes, index, data: Arc::new(joined), shared: parts.iter().any(|p| p.shared) }
    }
}

/// Runs `then(row, values)` for all rows, on several threads if there are many.
fn each_row(data: &mut [f32], lanes: usize, then: impl Fn(usize, &mut [f32]) + Sync) {
    let some = |(task, rows): (usize, &mut [f32])| {
        rows.chunks_exact_mut(lanes).enumerate().for_each(|(i, row)| then(task * ROWS_PER_TASK + i, row));
    };
    match data.len() > ROWS_PER_TASK * lanes {
        true => data.par_chunks_mut(ROWS_PER_TASK * lanes).enumerate().for_each(some),
        false => some((0, data)),
    }
}
