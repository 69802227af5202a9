//! Features in another order, or repeated. Tangents are not copied: features that come from the same one share a row.

use super::{HostLayer, HostTangents, Linearisation};

/// `y[i] = x[from[i]]`: nearest-neighbour enlargement, or a change of shape.
pub struct Rearrange {
    from: Vec<u32>,
}

impl Rearrange {
    /// Feature i of the output is feature `from[i]` of the input; the output has `from.len()` features.
    pub fn new(from: Vec<u32>) -> Self {
        Self { from }
    }
}

impl HostLayer for Rearrange {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        (self.from.iter().map(|i| x[*i as usize]).collect(), Linearisation::default())
    }

    fn tangent(&self, _: &Linearisation, t: HostTangents, _: Option<&[bool]>) -> HostTangents {
        t.rearranged(&self.from)
    }

    fn wanted(&self, _: &Linearisation, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        let wanted = wanted?;
        let mut before = vec![false; self.from.iter().max().map_or(0, |m| *m as usize + 1)];
        self.from.iter().zip(wanted).for_each(|(i, w)| before[*i as usize] |= w);
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
