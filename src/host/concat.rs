//! The outputs of several chains, side by side.

use super::{HostChain, HostLayer, HostTangents, Linearisation};

/// y = [chain_1(x), chain_2(x), …]: every chain reads the same input, and their outputs follow one another.
pub struct Concat(pub Vec<HostChain>);

impl HostLayer for Concat {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let (parts, inner): (Vec<Vec<f32>>, _) = self.0.iter().map(|b| b.value(x)).unzip();
        (parts.concat(), Linearisation { values: Vec::new(), inner })
    }

    fn tangent(&self, point: &Linearisation, t: HostTangents, _: Option<&[bool]>) -> HostTangents {
        let each = self.0.iter().zip(&point.inner);
        HostTangents::concatenated(&each.map(|(b, point)| b.tangent(point, t.clone(), None, 0)).collect::<Vec<_>>())
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + self.0.iter().map(HostChain::peak_rows).sum::<usize>() + 2 * self.features(before)
    }

    fn features(&self, _: usize) -> usize {
        self.0.iter().map(HostChain::features).sum()
    }
}
