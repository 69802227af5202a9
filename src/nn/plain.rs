//! Layers in plain terms: what each layer is at fixed weights, for one sample. There are about twenty kinds of layers,
//! but only the few kinds of maps below. Code that computes without tensors (`crate::host`) is written for these and
//! knows nothing of layers.

use super::{ElementwiseRule, Parameters};
use crate::error::Result;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A layer at fixed weights, as a map from features to features, in C order of the per-sample shape.
pub enum Plain {
    /// A convolution of any kind or, with a single place, a linear layer.
    Gather(PlainGather),
    /// y = scale·x + shift with one pair per channel, such as a batch norm with frozen statistics or a modulation by a
    /// fixed condition.
    Affine {
        /// Scales, `[channels]`.
        scale: Vec<f32>,
        /// Shifts, `[channels]`.
        shift: Vec<f32>,
        /// Number of values in a channel.
        area: usize,
    },
    /// An activation: the same function applied to every value.
    Elementwise(Arc<dyn ElementwiseRule>),
    /// `y[i] = x[from[i]]` for the list `from`: nearest-neighbour enlargement, or a change of shape.
    Rearrange(Vec<u32>),
    /// y = scale·x̂ + shift, where each group of neighbouring values of x̂ has mean 0 and variance 1.
    Norm {
        /// Scales, `[channels]`.
        scale: Vec<f32>,
        /// Shifts, `[channels]`.
        shift: Vec<f32>,
        /// Added to the variance.
        eps: f64,
        /// Number of values in a group.
        group: usize,
        /// Number of values in a channel.
        area: usize,
    },
    /// Self-attention between the places of a picture, head by head.
    Attention {
        /// The numbers of channels, places and heads.
        sizes: [usize; 3],
        /// Weight `[3·channels, channels]` and bias `[3·channels]` of the map to Q, K and V.
        qkv: [Vec<f32>; 2],
        /// Weight `[channels, channels]` and bias `[channels]` of the map after the attention.
        out: [Vec<f32>; 2],
    },
    /// The sum of two chains that read the same input; an empty chain is the identity.
    Sum([PlainChain; 2]),
    /// The outputs of several chains that read the same input, side by side.
    Concat(Vec<PlainChain>),
    /// Maps one after another.
    Chain(PlainChain),
}

/// Maps applied one after another; the identity if there are none.
pub struct PlainChain {
    /// The maps, in order.
    pub layers: Vec<Plain>,
    /// Number of features that enter the first.
    pub before: usize,
}

/// `y[m, p] = bias[m] + Σ W[matrix, c, m] · x[c, place]` over the taps (place, matrix) of place p and the channels c.
///
/// The input is `[channels, area]`, the output `[outputs, taps.len()]`. For a convolution there is one matrix per place
/// of the kernel; a linear layer has one place, one matrix, and its features as channels.
pub struct PlainGather {
    /// Number of channels of the input.
    pub channels: usize,
    /// Number of places in a channel of the input.
    pub area: usize,
    /// Number of channels of the output.
    pub outputs: usize,
    /// For each place p of the output, the places it reads.
    pub taps: Vec<Vec<Tap>>,
    /// The bias, `[outputs]`.
    pub bias: Option<Vec<f32>>,
    /// The weights: W[matrix, c, m] is at `matrix·strides[0] + c·strides[1] + m·strides[2]`.
    pub weight: Vec<f32>,
    /// Steps in `weight` from one matrix to the next, from one input channel to the next, and from one output channel
    /// to the next.
    pub strides: [usize; 3],
}

/// A place of the input that a place of the output reads, and the weight matrix it is read through.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// Index of the place in the input.
    pub place: usize,
    /// Index of the weight matrix.
    pub matrix: usize,
}

/// The weights of a network in host memory, by name, and the condition it runs under, if any. Cheap to clone.
#[derive(Clone)]
pub struct HostParameters {
    tensors: Arc<BTreeMap<String, Vec<f32>>>,
    condition: Option<Vec<f32>>,
}

impl HostParameters {
    /// Copies `parameters` from their device. There is no condition yet.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device has failed.
    pub fn read(parameters: &Parameters) -> Result<Self> {
        let read = |(name, t): (&str, &Tensor<1>)| Ok((name.to_owned(), crate::tensors::host(t.clone())?));
        Ok(Self { tensors: Arc::new(parameters.iter().map(read).collect::<Result<_>>()?), condition: None })
    }

    /// The same weights under a condition (`[width]`). It becomes part of the plain terms of the layers that read it.
    pub fn under(&self, condition: Vec<f32>) -> Self {
        Self { condition: Some(condition), ..self.clone() }
    }

    /// The condition, `[width]`, if there is one.
    pub fn condition(&self) -> Option<&[f32]> {
        self.condition.as_deref()
    }

    /// The flat values of the tensor named `key`.
    ///
    /// # Panics
    /// If there is none. Layers ask only for what they list in [`Layer::parameters`](super::Layer::parameters).
    pub fn get(&self, key: &str) -> &[f32] {
        &self.tensors[key]
    }
}
