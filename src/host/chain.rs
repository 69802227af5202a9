//! Host layers one after another.

use super::{HostLayer, HostTangents, Trace, rule};
use crate::nn::{HostParameters, Network, PlainChain};

/// Host layers one after another.
pub struct HostChain {
    layers: Vec<Box<dyn HostLayer>>,
    before: usize,
}

impl HostChain {
    /// The host rules of layers in plain terms, norms folded into the convolutions before them.
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

    /// The first `depth` layers of a network; `None` where one of them cannot be put in plain terms.
    pub fn of_network(network: &Network, parameters: &HostParameters, depth: usize) -> Option<Self> {
        network.plain(parameters, depth).map(Self::new)
    }

    /// A chain of one layer that `before` values enter.
    pub fn of(layer: Box<dyn HostLayer>, before: usize) -> Self {
        Self { layers: vec![layer], before }
    }

    /// Values that enter.
    pub fn width(&self) -> usize {
        self.before
    }

    /// Values of `x` behind the chain, and the trace for [`tangent`](Self::tangent).
    pub fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        let mut trace = Trace::default();
        let mut x = x.to_vec();
        for layer in &self.layers {
            let (y, inner) = layer.value(&x);
            trace.inner.push(inner);
            x = y;
        }
        (x, trace)
    }

    /// The tangents behind the chain, from those behind its first `skip` layers.
    pub fn tangent(&self, trace: &Trace, t: HostTangents, wanted: Option<&[bool]>, skip: usize) -> HostTangents {
        let mut demands = vec![wanted.map(<[bool]>::to_vec)];
        for (layer, trace) in self.layers[skip..].iter().zip(&trace.inner[skip..]).skip(1).rev() {
            let after = demands.last().cloned().flatten();
            demands.push(layer.wanted(trace, after));
        }
        let steps = self.layers[skip..].iter().zip(&trace.inner[skip..]).zip(demands.iter().rev());
        steps.fold(t, |t, ((layer, trace), wanted)| layer.tangent(trace, t, wanted.as_deref()))
    }

    /// The tangents behind the leading linear layers, the same for all samples, and how many layers
    /// that are. For a generator that starts with a linear layer and unit directions these are the
    /// columns of its weight.
    pub fn start(&self, t: HostTangents) -> (HostTangents, usize) {
        let linear = self.layers.iter().take_while(|l| l.is_linear()).count();
        let none = Trace::default();
        (self.layers[..linear].iter().fold(t, |t, l| l.tangent(&none, t, None)), linear)
    }

    /// What [`HostLayer::wanted`] says for the whole chain.
    pub fn wanted(&self, trace: &Trace, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        self.layers.iter().zip(&trace.inner).rev().fold(wanted, |w, (layer, trace)| layer.wanted(trace, w))
    }

    /// Values that leave.
    pub fn features(&self) -> usize {
        self.layers.iter().fold(self.before, |before, layer| layer.features(before))
    }

    /// As [`HostLayer::peak_rows`].
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

/// A chain as a layer of another.
impl HostLayer for HostChain {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        Self::value(self, x)
    }

    fn tangent(&self, trace: &Trace, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents {
        Self::tangent(self, trace, t, wanted, 0)
    }

    fn peak_rows(&self, _: usize) -> usize {
        Self::peak_rows(self)
    }

    fn features(&self, _: usize) -> usize {
        Self::features(self)
    }
}
