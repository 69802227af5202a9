//! Maps from a group of values to one: the greatest of a window, and norms along an axis.

use super::buffer::Buffer;
use super::{HostLayer, HostRows, Linearisation};
use crate::nn::NormRule;

/// The greatest of the values in each window; of equal ones the first. The linearisation holds the index of the value that
/// was taken, as bits.
pub struct WindowMax {
    /// The features of each window, `[outputs, width]`; [`u32::MAX`] stands for none.
    pub index: Vec<u32>,
    /// Number of entries of a window.
    pub width: usize,
}

impl HostLayer for WindowMax {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let (mut y, mut values) = (Vec::new(), Vec::new());
        for window in self.index.chunks_exact(self.width) {
            let mut best: Option<(u32, f32)> = None;
            for i in window.iter().filter(|i| **i != u32::MAX) {
                let v = x[*i as usize];
                if best.is_none_or(|(_, b)| v > b || (v.is_nan() && !b.is_nan())) {
                    best = Some((*i, v));
                }
            }
            let (i, v) = best.unwrap_or((0, f32::NEG_INFINITY));
            y.push(v);
            values.push(f32::from_bits(i));
        }
        (y, Linearisation { values, inner: Vec::new() })
    }

    fn values(&self, x: HostRows) -> HostRows {
        let of = |window: &[u32], row: &mut [f32]| {
            row.fill(f32::NEG_INFINITY);
            for i in window.iter().filter(|i| **i != u32::MAX) {
                let larger = |(y, v): (&mut f32, &f32)| *y = if *v > *y || v.is_nan() { *v } else { *y };
                row.iter_mut().zip(x.row_or_zeros(*i as usize)).for_each(larger);
            }
        };
        x.made(self.index.len() / self.width, |_| true, |f, row| of(&self.index[f * self.width..][..self.width], row))
    }

    fn tangent(&self, point: &Linearisation, t: HostRows, _: Option<&[bool]>) -> HostRows {
        t.rearranged(&point.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    }

    fn peak_rows(&self, before: usize) -> usize {
        before
    }

    fn features(&self, _: usize) -> usize {
        self.index.len() / self.width
    }
}

/// A norm over the middle axis of `[outer, size, inner]`. The linearisation holds its slopes.
pub struct NormOf {
    /// Which norm.
    pub rule: NormRule,
    /// The sizes outer, size and inner.
    pub sizes: [usize; 3],
}

impl NormOf {
    /// The feature of place s of the group behind output f.
    fn at(&self, f: usize, s: usize) -> usize {
        let [_, size, inner] = self.sizes;
        (f / inner * size + s) * inner + f % inner
    }
}

impl HostLayer for NormOf {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let ([outer, size, inner], mut values) = (self.sizes, vec![0.0f32; x.len()]);
        let y = (0..outer * inner).map(|f| {
            let group: Vec<f32> = (0..size).map(|s| x[self.at(f, s)]).collect();
            let (y, slopes) = self.rule.at(&group);
            slopes.into_iter().enumerate().for_each(|(s, slope)| values[self.at(f, s)] = slope);
            y
        });
        (y.collect(), Linearisation { values, inner: Vec::new() })
    }

    fn tangent(&self, point: &Linearisation, t: HostRows, _: Option<&[bool]>) -> HostRows {
        let ([outer, size, inner], lanes) = (self.sizes, t.lanes());
        let mut data = Buffer::zeros(outer * inner * lanes);
        for (f, sum) in data.chunks_exact_mut(lanes).enumerate() {
            for from in (0..size).map(|s| self.at(f, s)) {
                if let Some(row) = t.row(from) {
                    sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += point.values[from] * v);
                }
            }
        }
        t.with_rows((0..(outer * inner) as u32).collect(), data)
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + before / self.sizes[1]
    }

    fn features(&self, before: usize) -> usize {
        before / self.sizes[1]
    }
}
