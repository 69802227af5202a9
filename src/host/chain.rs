//! Host layers in sequence: a whole network, or one of its branches.

use super::{HostLayer, HostTangents, Linearisation, rule};
use crate::nn::{HostParameters, Network, PlainChain};

/// Host layers applied one after another; the identity if there are none.
pub struct HostChain {
    layers: Vec<Box<dyn HostLayer>>,
    before: usize,
}

impl HostChain {
    /// The host layers for layers in plain terms. A scale and shift that follows a convolution or linear layer is
    /// folded into the weights of that layer.
    pub fn new(plain: PlainChain) -> Self {
        let mut layers: Vec<Box<dyn HostLayer>> = Vec::new();
        for layer in plain.layers {
            let next = rule(layer);
            let folded = match (layers.last_mut(), next.affine()) {
                (Some(last), Some((scale, shift))) => last.fold(scale, shift),
                _ => false,
            };
            if !folded {
                layers.push(next);
            }
        }
        Self { layers, before: plain.before }
    }

    /// The first `depth` layers of a network; `None` if one of them cannot be put in plain terms.
    pub fn of_network(network: &Network, parameters: &HostParameters, depth: usize) -> Option<Self> {
        network.plain(parameters, depth).map(Self::new)
    }

    /// A chain of a single layer that takes `before` features.
    pub fn of(layer: Box<dyn HostLayer>, before: usize) -> Self {
        Self { layers: vec![layer], before }
    }

    /// Number of features that enter the chain.
    pub fn width(&self) -> usize {
        self.before
    }

    /// The values `[features]` that leave the chain for `x` (`[width]`), and the linearisation that
    /// [`tangent`](Self::tangent) needs.
    pub fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let mut point = Linearisation::default();
        let mut x = x.to_vec();
        for layer in &self.layers {
            let (y, inner) = layer.value(&x);
            point.inner.push(inner);
            x = y;
        }
        (x, point)
    }

    /// The tangents that leave the chain, from the tangents `t` that leave its first `skip` layers. First it traces the
    /// wanted features back through the layers, so that no layer computes a row that no later one reads.
    pub fn tangent(
        &self,
        point: &Linearisation,
        t: HostTangents,
        wanted: Option<&[bool]>,
        skip: usize,
    ) -> HostTangents {
        let mut demands = vec![wanted.map(<[bool]>::to_vec)];
        for (layer, point) in self.layers[skip..].iter().zip(&point.inner[skip..]).skip(1).rev() {
            let after = demands.last().cloned().flatten();
            demands.push(layer.wanted(point, after));
        }
        let steps = self.layers[skip..].iter().zip(&point.inner[skip..]).zip(demands.iter().rev());
        steps.fold(t, |t, ((layer, point), wanted)| layer.tangent(point, t, wanted.as_deref()))
    }

    /// The tangents that leave the leading linear layers, and the number of those layers, which is the `skip` of
    /// [`tangent`](Self::tangent). They are the same for all samples, so they are computed once. For unit directions
    /// into a generator that starts with a linear layer they are the columns of its weight.
    pub fn start(&self, t: HostTangents) -> (HostTangents, usize) {
        let linear = self.layers.iter().take_while(|l| l.is_linear()).count();
        let none = Linearisation::default();
        (self.layers[..linear].iter().fold(t, |t, l| l.tangent(&none, t, None)), linear)
    }

    /// [`HostLayer::wanted`] for the chain as a whole.
    pub fn wanted(&self, point: &Linearisation, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        self.layers.iter().zip(&point.inner).rev().fold(wanted, |w, (layer, point)| layer.wanted(point, w))
    }

    /// Number of features that leave the chain.
    pub fn features(&self) -> usize {
        self.layers.iter().fold(self.before, |before, layer| layer.features(before))
    }

    /// The largest number of rows of tangents that are alive at once on the way through the chain.
    pub fn peak_rows(&self) -> usize {
        let mut before = self.before;
        let mut peak = before;
        for layer in &self.layers {
            peak = peak.max(layer.peak_rows(before));
            before = layer.features(before);
        }
        peak
    }
}

/// A chain as a layer of another chain.
impl HostLayer for HostChain {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        Self::value(self, x)
    }

    fn tangent(&self, point: &Linearisation, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents {
        Self::tangent(self, point, t, wanted, 0)
    }

    fn peak_rows(&self, _: usize) -> usize {
        Self::peak_rows(self)
    }

    fn features(&self, _: usize) -> usize {
        Self::features(self)
    }
}
