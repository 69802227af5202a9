//! Features in another order, or repeated. Tangents are not copied: features that come from the same one share a row.

use super::{HostLayer, HostRows, Linearisation};

/// `y[i] = x[from[i]]`, or a constant where `from[i]` is [`u32::MAX`]: an enlargement, a transposition, a change of shape, a
/// border.
pub struct Rearrange {
    from: Vec<u32>,
    fill: f32,
}

impl Rearrange {
    /// Feature i of the output is feature `from[i]` of the input, or `fill`; the output has `from.len()` features.
    pub fn new(from: Vec<u32>, fill: f32) -> Self {
        Self { from, fill }
    }
}

impl HostLayer for Rearrange {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let at = |i: &u32| if *i == u32::MAX { self.fill } else { x[*i as usize] };
        (self.from.iter().map(at).collect(), Linearisation::default())
    }

    fn tangent(&self, _: &Linearisation, t: HostRows, _: Option<&[bool]>) -> HostRows {
        t.rearranged(&self.from)
    }

    fn values(&self, x: HostRows) -> HostRows {
        x.picked(&self.from, self.fill)
    }

    fn wanted(&self, _: &Linearisation, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        let wanted = wanted?;
        let read = || self.from.iter().zip(wanted).filter(|(i, _)| **i != u32::MAX);
        let mut before = vec![false; read().map(|(i, _)| *i as usize + 1).max().unwrap_or(0)];
        read().for_each(|(i, w)| before[*i as usize] |= w);
        Some(before)
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn peak_rows(&self, before: usize) -> usize {
        before
    }

    fn features(&self, _: usize) -> usize {
        self.from.len()
    }
}
