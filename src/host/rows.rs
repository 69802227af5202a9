//! The k tangents of one sample, without the rows that are zero.
//!
//! Seen as a matrix `[features, k]`, row f holds the derivatives of feature f in all k directions. After a relu about
//! half of the rows are zero, and those are not stored:
//!
//! ```text
//! index  [ 0, CLOSED, 1, 1, CLOSED, 2 ]      one entry per feature
//! data   [ row 0 | row 1 | row 2 ]           `lanes` values each: k directions, padded with zeros
//! ```
//!
//! Features may point to the same row, for example after an enlargement. Rows must then not be changed in place.

use std::sync::Arc;

/// The index of a feature whose tangents are all zero.
const CLOSED: u32 = u32::MAX;

/// f32 values in the widest vector register. The length of a row is padded to a multiple of this.
const REGISTER: usize = 16;

/// The tangents of one sample in k directions. Each feature has either a row of k values, padded with zeros to
/// [`lanes`](Self::lanes), or no row if all k are zero. Cheap to clone.
#[derive(Clone)]
pub struct HostTangents {
    count: usize,
    lanes: usize,
    index: Vec<u32>,
    data: Arc<Vec<f32>>,
    /// Whether two features may point to the same row.
    shared: bool,
}

impl HostTangents {
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
        let mut data = vec![0.0; features * lanes];
        for (j, direction) in values.chunks_exact(features.max(1)).enumerate() {
            direction.iter().enumerate().for_each(|(f, v)| data[f * lanes + j] = *v);
        }
        Self { count: k, lanes, index: (0..features as u32).collect(), data: Arc::new(data), shared: false }
    }

    /// Tangents from the unit directions `first..first + k` of `features`: columns of the identity.
    pub fn units(features: usize, first: usize, k: usize) -> Self {
        let lanes = Self::lanes_for(k);
        let mut data = vec![0.0; k * lanes];
        (0..k).for_each(|j| data[j * lanes + j] = 1.0);
        let row = |f: usize| if (first..first + k).contains(&f) { (f - first) as u32 } else { CLOSED };
        Self { count: k, lanes, index: (0..features).map(row).collect(), data: Arc::new(data), shared: false }
    }

    /// Tangents in the same directions, from rows that a layer has computed, `[_, lanes]`; `index[f]` is the row of
    /// feature f, if it has one.
    pub(super) fn with_rows(&self, index: Vec<Option<u32>>, data: Vec<f32>) -> Self {
        Self {
            count: self.count,
            lanes: self.lanes,
            index: index.into_iter().map(|r| r.unwrap_or(CLOSED)).collect(),
            data: Arc::new(data),
            shared: false,
        }
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
            for (row, slope) in self.index.iter().zip(slopes).filter(|(row, _)| **row != CLOSED) {
                data[*row as usize * self.lanes..][..self.lanes].iter_mut().for_each(|v| *v *= slope);
            }
            return self;
        }
        self.rebuilt(|tangents, f, into| {
            let Some(row) = tangents.row(f) else { return false };
            into.extend(row.iter().map(|v| v * slopes[f]));
            true
        })
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
        Self { index: vec![CLOSED; features], data: Arc::new(Vec::new()), shared: false, ..*self }
    }

    /// The sum of the tangents of two branches with the same features; features that are not wanted lose their row.
    pub fn plus(self, other: &Self, wanted: Option<&[bool]>) -> Self {
        self.rebuilt(|tangents, f, into| {
            if wanted.is_some_and(|w| !w[f]) {
                return false;
            }
            match (tangents.row(f), other.row(f)) {
                (None, None) => return false,
                (Some(a), None) | (None, Some(a)) => into.extend_from_slice(a),
                (Some(a), Some(b)) => into.extend(a.iter().zip(b).map(|(a, b)| a + b)),
            }
            true
        })
    }

    /// Σ c·t over (c, t) of `parts`, feature by feature. There must be at least one part, and all must have the same
    /// features and lanes.
    pub fn combined(parts: &[(f32, &Self)]) -> Self {
        parts[0].1.rebuilt(|_, f, into| {
            let start = into.len();
            for (c, row) in parts.iter().filter_map(|(c, t)| t.row(f).map(|row| (*c, row))) {
                if into.len() == start {
                    into.extend(row.iter().map(|v| c * v));
                } else {
                    into[start..].iter_mut().zip(row).for_each(|(sum, v)| *sum += c * v);
                }
            }
            into.len() > start
        })
    }

    /// The features of several branches, one branch after another. All must have the same lanes.
    pub fn concatenated(parts: &[Self]) -> Self {
        let (count, lanes) = parts.first().map_or((0, REGISTER), |p| (p.count, p.lanes));
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for part in parts {
            let before = (data.len() / lanes) as u32;
            index.extend(part.index.iter().map(|r| if *r == CLOSED { CLOSED } else { r + before }));
            data.extend_from_slice(&part.data);
        }
        Self { count, lanes, index, data: Arc::new(data), shared: parts.iter().any(|p| p.shared) }
    }

    /// New tangents of the same features: `fill(self, feature, data)` either appends a row of `lanes` values to `data`
    /// and returns `true`, or appends nothing and returns `false` for a row of zeros.
    pub fn rebuilt(&self, fill: impl Fn(&Self, usize, &mut Vec<f32>) -> bool) -> Self {
        let open = self.index.iter().filter(|r| **r != CLOSED).count();
        let mut data = Vec::with_capacity(open * self.lanes);
        let mut index = Vec::with_capacity(self.index.len());
        for f in 0..self.index.len() {
            let row = (data.len() / self.lanes) as u32;
            index.push(if fill(self, f, &mut data) { row } else { CLOSED });
        }
        Self { count: self.count, lanes: self.lanes, index, data: Arc::new(data), shared: false }
    }
}
