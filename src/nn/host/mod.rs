//! Tangents on host memory, one sample at a time: what the processor is given instead of tensors.
//!
//! Two facts make this path pay. A unit that a relu has closed passes no tangent on, so neither its
//! row nor the products with it are ever formed ([`HostTangents`] holds the open rows only); and a
//! convolution of all tangents at one place is one product of small matrices, with no rearranged copy
//! ([`Gather`]). Every sum is formed in one order that depends on neither the number of threads nor the
//! number of directions nor the other samples, so the bits do not either.

mod attention;
mod gather;
mod product;
mod rows;

pub use attention::HostAttention;
pub use gather::{Gather, Tap};
pub use rows::HostTangents;

use super::{Layer, Parameters};
use crate::error::Result;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The weights of a network on the host, by name, and the condition it is under.
#[derive(Clone)]
pub struct HostParameters {
    tensors: Arc<BTreeMap<String, Vec<f32>>>,
    condition: Option<Vec<f32>>,
}

impl HostParameters {
    /// Reads `parameters` from their device.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] when the device has failed.
    pub fn read(parameters: &Parameters) -> Result<Self> {
        let read = |(name, t): (&str, &Tensor<1>)| Ok((name.to_owned(), crate::tensors::host(t.clone())?));
        Ok(Self { tensors: Arc::new(parameters.iter().map(read).collect::<Result<_>>()?), condition: None })
    }

    /// The same weights under a condition, which becomes part of the layers that are made from them.
    pub fn under(&self, condition: Vec<f32>) -> Self {
        Self { condition: Some(condition), ..self.clone() }
    }

    /// The condition, where there is one.
    pub fn condition(&self) -> Option<&[f32]> {
        self.condition.as_deref()
    }

    /// The flat values under `key`.
    ///
    /// # Panics
    /// When the key is absent: layers ask only for what they have listed as their parameters.
    pub fn get(&self, key: &str) -> &[f32] {
        &self.tensors[key]
    }
}

/// What a layer keeps of the value pass for the tangent pass.
#[derive(Default)]
pub struct Trace {
    /// Slopes of an activation, or what else the layer needs.
    pub values: Vec<f32>,
    /// Traces of the layers inside.
    pub inner: Vec<Trace>,
}

/// A layer on host memory: the map of the [`Layer`] it belongs to, for one sample.
pub trait HostLayer: Send + Sync {
    /// The map itself.
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace);

    /// The tangents behind the layer at the point of `trace`. Rows of features that are not `wanted`
    /// may be left out, as nothing behind this layer depends on them.
    fn tangent(&self, trace: &Trace, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents;

    /// Input features that matter when `wanted` ones of the output do; `None` for all.
    fn wanted(&self, trace: &Trace, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        let _ = (trace, wanted);
        None
    }

    /// Whether the tangents behind the layer depend on those before it alone.
    fn is_linear(&self) -> bool {
        false
    }

    /// Takes a following scale and shift per channel into itself, where it can.
    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// Scale and shift per channel, if that is all the layer does.
    fn affine(&self) -> Option<(&[f32], &[f32])> {
        None
    }

    /// Rows that are alive at once while tangents pass, at most; `before` enter.
    fn peak_rows(&self, before: usize) -> usize;

    /// Features of the output.
    fn features(&self, before: usize) -> usize;
}

/// Host layers one after another.
pub struct HostChain {
    layers: Vec<Box<dyn HostLayer>>,
    before: usize,
}

impl HostChain {
    /// The host rules of `layers`, norms folded into the convolutions before them; `None` where a
    /// layer has no host rule. `before` values enter.
    pub fn build(layers: &[Box<dyn Layer>], before: usize, parameters: &HostParameters) -> Option<Self> {
        let mut chain: Vec<Box<dyn HostLayer>> = Vec::new();
        for layer in layers {
            let next = layer.host(parameters)?;
            let folded = match (chain.last_mut(), next.affine()) {
                (Some(last), Some((scale, shift))) => last.fold(scale, shift),
                _ => false,
            };
            if !folded {
                chain.push(next);
            }
        }
        Some(Self { layers: chain, before })
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

/// Scale and shift per channel, such as a frozen norm.
pub struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
    area: usize,
}

impl Affine {
    /// y = scale·x + shift with one pair per channel of `area` values.
    pub fn new(scale: Vec<f32>, shift: Vec<f32>, area: usize) -> Self {
        Self { scale, shift, area }
    }
}

impl HostLayer for Affine {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        let channel = |(x, (a, b)): (&[f32], (&f32, &f32))| x.iter().map(|x| a * x + b).collect::<Vec<_>>();
        (x.chunks(self.area).zip(self.scale.iter().zip(&self.shift)).flat_map(channel).collect(), Trace::default())
    }

    fn tangent(&self, _: &Trace, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents {
        let slopes: Vec<f32> = self.scale.iter().flat_map(|s| std::iter::repeat_n(*s, self.area)).collect();
        t.scaled(&slopes, wanted)
    }

    fn wanted(&self, _: &Trace, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        wanted
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn affine(&self) -> Option<(&[f32], &[f32])> {
        Some((&self.scale, &self.shift))
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before
    }

    fn features(&self, before: usize) -> usize {
        before
    }
}

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
