//! A convolution in groups: each group of channels of the input goes through weights of its own, and the outputs lie side by
//! side.

use super::gather::Gather;
use super::{HostLayer, HostRows, Linearisation};
use crate::nn::PlainGather;

/// One gather per group; groups are of equal size.
pub struct Groups(Vec<Gather>);

impl Groups {
    /// From the plain terms of each group.
    pub fn new(plain: Vec<PlainGather>) -> Self {
        Self(plain.into_iter().map(Gather::new).collect())
    }
}

impl HostLayer for Groups {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let size = x.len() / self.0.len();
        let y = x.chunks_exact(size).zip(&self.0).flat_map(|(x, gather)| HostLayer::value(gather, x).0).collect();
        (y, Linearisation::default())
    }

    fn tangent(&self, point: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        let size = t.features() / self.0.len();
        let each = self.0.iter().enumerate().map(|(g, gather)| {
            let after = HostLayer::features(gather, size);
            let wanted = wanted.map(|w| &w[g * after..(g + 1) * after]);
            HostLayer::tangent(gather, point, t.part(g * size..(g + 1) * size), wanted)
        });
        HostRows::concatenated(&each.collect::<Vec<_>>())
    }

    fn values(&self, x: HostRows) -> HostRows {
        let size = x.features() / self.0.len();
        let of = |(g, gather): (usize, &Gather)| HostLayer::values(gather, x.part(g * size..(g + 1) * size));
        HostRows::concatenated(&self.0.iter().enumerate().map(of).collect::<Vec<_>>())
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + 2 * HostLayer::features(self, before)
    }

    fn features(&self, before: usize) -> usize {
        let size = before / self.0.len();
        self.0.iter().map(|gather| HostLayer::features(gather, size)).sum()
    }
}
