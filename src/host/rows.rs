//! Tangents of one sample, without the rows that are zero.

use std::sync::Arc;

/// Marks a feature whose tangents are all zero.
const CLOSED: u32 = u32::MAX;

/// Directions of one vector register at its widest: rows are padded to a multiple.
const REGISTER: usize = 16;

/// k tangents of one sample: for each feature either a row of k values (padded with zeros to a multiple
/// of 16), or nothing where all k are zero. Features may share a row (after an enlargement).
#[derive(Clone)]
pub struct HostTangents {
    lanes: usize,
    index: Vec<u32>,
    data: Arc<Vec<f32>>,
    /// Whether two features may have one row.
    shared: bool,
}

impl HostTangents {
    /// Padded number of values in a row for `k` directions. Long rows take an odd number of registers: rows at
    /// multiples of a large power of two apart would fall on the same few places of a cache.
    pub fn lanes_for(k: usize) -> usize {
        let registers = k.div_ceil(REGISTER).max(1);
        (if registers >= 16 { registers | 1 } else { registers }) * REGISTER
    }

    /// The directions themselves, `[k, features]` row-major.
    pub fn directions(values: &[f32], k: usize) -> Self {
        let features = values.len() / k.max(1);
        let lanes = Self::lanes_for(k);
        let mut data = vec![0.0; features * lanes];
        for (j, direction) in values.chunks_exact(features.max(1)).enumerate() {
            direction.iter().enumerate().for_each(|(f, v)| data[f * lanes + j] = *v);
        }
        Self { lanes, index: (0..features as u32).collect(), data: Arc::new(data), shared: false }
    }

    /// Unit directions `first..first + k` of `features`: columns of the identity.
    pub fn units(features: usize, first: usize, k: usize) -> Self {
        let lanes = Self::lanes_for(k);
        let mut data = vec![0.0; k * lanes];
        (0..k).for_each(|j| data[j * lanes + j] = 1.0);
        let row = |f: usize| if (first..first + k).contains(&f) { (f - first) as u32 } else { CLOSED };
        Self { lanes, index: (0..features).map(row).collect(), data: Arc::new(data), shared: false }
    }

    /// From rows that a layer has filled in: `index[f]` is the row of feature f, if it has one.
    pub(super) fn from_rows(lanes: usize, index: Vec<Option<u32>>, data: Vec<f32>) -> Self {
        Self {
            lanes,
            index: index.into_iter().map(|r| r.unwrap_or(CLOSED)).collect(),
            data: Arc::new(data),
            shared: false,
        }
    }

    /// Values in a row.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Number of features.
    pub fn features(&self) -> usize {
        self.index.len()
    }

    /// The tangents of a feature, `lanes` values; `None` where all are zero.
    pub fn row(&self, feature: usize) -> Option<&[f32]> {
        let row = self.index[feature];
        (row != CLOSED).then(|| &self.data[row as usize * self.lanes..][..self.lanes])
    }

    /// Number of the row of a feature in [`rows`](Self::rows).
    pub(super) fn place(&self, feature: usize) -> Option<u32> {
        Some(self.index[feature]).filter(|r| *r != CLOSED)
    }

    /// All rows, one after another.
    pub(super) fn rows(&self) -> &[f32] {
        &self.data
    }

    /// Row f times `slopes[f]`. Where every slope is 0 or 1, as behind a relu, no value is touched.
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

    /// Feature i becomes what feature `from[i]` was; rows are shared, not copied.
    pub fn rearranged(mut self, from: &[u32]) -> Self {
        self.shared = true;
        self.index = from.iter().map(|f| self.index[*f as usize]).collect();
        self
    }

    /// The sum of two branches, in the features that are wanted.
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

    /// Σ c·t over `parts`, feature by feature; at least one part.
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

    /// The features of several branches one after another.
    pub fn concatenated(parts: &[Self]) -> Self {
        let lanes = parts.first().map_or(REGISTER, |p| p.lanes);
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for part in parts {
            let before = (data.len() / lanes) as u32;
            index.extend(part.index.iter().map(|r| if *r == CLOSED { CLOSED } else { r + before }));
            data.extend_from_slice(&part.data);
        }
        Self { lanes, index, data: Arc::new(data), shared: parts.iter().any(|p| p.shared) }
    }

    /// Rows appended by `fill(self, feature, data)`, which says whether there is one.
    pub fn rebuilt(&self, fill: impl Fn(&Self, usize, &mut Vec<f32>) -> bool) -> Self {
        let open = self.index.iter().filter(|r| **r != CLOSED).count();
        let mut data = Vec::with_capacity(open * self.lanes);
        let mut index = Vec::with_capacity(self.index.len());
        for f in 0..self.index.len() {
            let row = (data.len() / self.lanes) as u32;
            index.push(if fill(self, f, &mut data) { row } else { CLOSED });
        }
        Self { lanes: self.lanes, index, data: Arc::new(data), shared: false }
    }
}
