//! What several chains give, one after the other.

use super::{HostChain, HostLayer, HostTangents, Trace};

/// The chains, in order.
pub struct Concat(pub Vec<HostChain>);

impl HostLayer for Concat {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        let (parts, inner): (Vec<Vec<f32>>, _) = self.0.iter().map(|b| b.value(x)).unzip();
        (parts.concat(), Trace { values: Vec::new(), inner })
    }

    fn tangent(&self, trace: &Trace, t: HostTangents, _: Option<&[bool]>) -> HostTangents {
        let each = self.0.iter().zip(&trace.inner);
        HostTangents::concatenated(&each.map(|(b, trace)| b.tangent(trace, t.clone(), None, 0)).collect::<Vec<_>>())
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + self.0.iter().map(HostChain::peak_rows).sum::<usize>() + 2 * self.features(before)
    }

    fn features(&self, _: usize) -> usize {
        self.0.iter().map(HostChain::features).sum()
    }
}
