//! Layers in plain terms: what each is at fixed weights, for one sample. Whoever computes without tensors reads this and
//! needs to know no layer.

use super::{ElementwiseRule, Parameters};
use crate::error::Result;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A layer as one of a few maps. Features are in C order of the per-sample shape.
pub enum Plain {
    /// A convolution of any kind, or with one place a linear layer.
    Gather(PlainGather),
    /// y = scale·x + shift, one pair for each channel of `area` values; a frozen norm, for one.
    Affine {
        /// `[channels]`
        scale: Vec<f32>,
        /// `[channels]`
        shift: Vec<f32>,
        /// Values of a channel.
        area: usize,
    },
    /// The same function of each value.
    Elementwise(Arc<dyn ElementwiseRule>),
    /// Feature i of the output is feature `0[i]` of the input: enlargement, another shape.
    Rearrange(Vec<u32>),
    /// Groups of neighbouring values to mean 0 and variance 1, then scale and shift.
    Norm {
        /// `[channels]`
        scale: Vec<f32>,
        /// `[channels]`
        shift: Vec<f32>,
        /// Added to the variance.
        eps: f64,
        /// Values of a group.
        group: usize,
        /// Values of a channel.
        area: usize,
    },
    /// Self-attention between places, head by head.
    Attention {
        /// Channels, places, heads.
        sizes: [usize; 3],
        /// Weight `[3·channels, channels]` and bias.
        qkv: [Vec<f32>; 2],
        /// Weight `[channels, channels]` and bias.
        out: [Vec<f32>; 2],
    },
    /// The sum of two chains, of which either may be empty.
    Sum([PlainChain; 2]),
    /// What several chains give, one after the other.
    Concat(Vec<PlainChain>),
    /// Layers one after another.
    Chain(PlainChain),
}

/// Layers one after another.
pub struct PlainChain {
    /// In order.
    pub layers: Vec<Plain>,
    /// Values that enter.
    pub before: usize,
}

/// y[m, p] = bias[m] + Σ over taps of p, over channels c, of W[matrix, c, m] · x[c, place].
pub struct PlainGather {
    /// Planes of the input.
    pub channels: usize,
    /// Places of a plane of the input.
    pub area: usize,
    /// Planes of the output.
    pub outputs: usize,
    /// For each place of the output, what it reads.
    pub taps: Vec<Vec<Tap>>,
    /// `[outputs]`
    pub bias: Option<Vec<f32>>,
    /// W[matrix, c, m] stands at `matrix·strides[0] + c·strides[1] + m·strides[2]`.
    pub weight: Vec<f32>,
    /// Steps in `weight` from one matrix, channel and output to the next.
    pub strides: [usize; 3],
}

/// One place of the input that a place of the output reads, through one of the weight matrices.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// Place of the input.
    pub place: usize,
    /// Which weight matrix.
    pub matrix: usize,
}

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

    /// The same weights under a condition, which becomes part of the layers that are described with them.
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
