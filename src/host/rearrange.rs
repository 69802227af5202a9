//! Features in another order, or several times.

use super::{HostLayer, HostTangents, Trace};

/// Output feature i is input feature `from[i]`: enlargement, another shape.
pub struct Rearrange {
    from: Vec<u32>,
}

impl Rearrange {
    /// Feature i of the output is feature `from[i]` of the input.
    pub fn new(from: Vec<u32>) -> Self {
        Self { from }
    }
}

impl HostLayer for Rearrange {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        (self.from.iter().map(|i| x[*i as usize]).collect(), Trace::default())
    }

    fn tangent(&self, _: &Trace, t: HostTangents, _: Option<&[bool]>) -> HostTangents {
        t.rearranged(&self.from)
    }

    fn wanted(&self, _: &Trace, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
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
