//! Networks in plain terms: what each node is at fixed weights, for one sample. There are about forty kinds of nodes,
//! but only the few kinds of maps below. Code that computes without tensors (`crate::host`) is written for these and
//! knows nothing of layers.

use super::{ElementwiseRule, Parameters, PointwiseRule};
use crate::error::Result;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node at fixed weights, as a map from features to features, in C order of the per-sample shapes.
pub enum Plain {
    /// A convolution of any kind or, with a single place, a linear layer.
    Gather(PlainGather),
    /// A convolution in groups of equal size: the channels of the input and of the output are divided among them in order.
    Groups(Vec<PlainGather>),
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
    /// x where positive, else x times a slope of its own for each value.
    Slopes(Vec<f32>),
    /// The same function of the values at one place of all inputs, for every place.
    Pointwise(Arc<dyn PointwiseRule>),
    /// `y[i] = x[from[i]]` for the list `from`, or `fill` where `from[i]` is [`u32::MAX`]: nearest-neighbour enlargement, a
    /// change of shape, a border.
    Rearrange {
        /// For each feature of the output, that of the input.
        from: Vec<u32>,
        /// The value of features that come from nowhere.
        fill: f32,
    },
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
        /// Whether the mean is taken off; if not, each group of x̂ has mean square 1.
        centred: bool,
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
    /// f₀·a + f₁·b of two inputs.
    Sum([f32; 2]),
    /// The inputs, each viewed as that many rows, side by side.
    Concat(usize),
    /// The same values for every sample; there is no input.
    Constant(Vec<f32>),
    /// A·B of two inputs, for the sizes batch, m, k and n: `[batch, m, k]` and `[batch, k, n]`.
    Matmul([usize; 4]),
    /// The first input convolved with the second as its weight.
    ConvLive {
        /// The features under each place of the output, `[groups, k, places]`; [`u32::MAX`] stands for none.
        columns: Vec<u32>,
        /// The sizes groups, outputs of a group, k and places.
        sizes: [usize; 4],
    },
    /// Softmax over the middle axis of `[outer, size, inner]`, or its logarithm.
    Softmax {
        /// The sizes outer, size and inner.
        sizes: [usize; 3],
        /// Whether it is the logarithm.
        log: bool,
    },
    /// A norm over the middle axis of `[outer, size, inner]`.
    NormOf {
        /// Which norm.
        rule: NormRule,
        /// The sizes outer, size and inner.
        sizes: [usize; 3],
    },
    /// The greatest value of each window; of equal ones the first.
    WindowMax {
        /// The features of each window, `[outputs, width]`; [`u32::MAX`] stands for none.
        index: Vec<u32>,
        /// Number of entries of a window.
        width: usize,
    },
}

/// A node of a [`PlainGraph`].
pub struct PlainNode {
    /// Its maps: the first reads the inputs, each later one the output of the one before.
    pub map: Vec<Plain>,
    /// The values that it reads: 0 is the input of the graph, i + 1 what node i makes.
    pub inputs: Vec<usize>,
}

/// A network at fixed weights.
pub struct PlainGraph {
    /// The nodes, each after those it reads.
    pub nodes: Vec<PlainNode>,
    /// Number of features that enter the graph.
    pub width: usize,
    /// The value that leaves it.
    pub output: usize,
}

/// A norm of a group of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormRule {
    /// Σ |x|.
    L1,
    /// √(Σ x²).
    L2,
    /// ln Σ exp x.
    LogSumExp,
}

impl NormRule {
    /// The norm of `x` and its slope by each of them. The slope of the Euclidean norm at 0 is 0, as in PyTorch.
    pub fn at(self, x: &[f32]) -> (f32, Vec<f32>) {
        let wide = || x.iter().map(|v| f64::from(*v));
        match self {
            Self::L1 => {
                let sign = |v: &f32| if *v == 0.0 { 0.0 } else { v.signum() };
                (wide().map(f64::abs).sum::<f64>() as f32, x.iter().map(sign).collect())
            }
            Self::L2 => {
                let norm = wide().map(|v| v * v).sum::<f64>().sqrt();
                let slope = |v: f64| if norm > 0.0 { (v / norm) as f32 } else { 0.0 };
                (norm as f32, wide().map(slope).collect())
            }
            Self::LogSumExp => {
                let top = wide().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = wide().map(|v| (v - top).exp()).sum();
                ((top + sum.ln()) as f32, wide().map(|v| ((v - top).exp() / sum) as f32).collect())
            }
        }
    }
}

/// `y[m, p] = bias[m] + Σ W[matrix, c, m] · x[c, place]` over the taps (place, matrix) of place p and the channels c.
///
/// The input is `[channels, area]`, the output `[outputs, taps.len()]`. For a convolution there is one matrix per place
/// of the kernel; a linear layer has one place, one matrix, and its features as channels.
#[derive(Clone)]
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
    /// Rows and columns of the input's and the output's places, where they are those of pictures.
    pub grid: Option<Grid>,
}

impl PlainGather {
    /// Puts a scale and a shift for each output channel behind it.
    pub fn fold(&mut self, scale: &[f32], shift: &[f32]) {
        let matrices = self.weight.len() / (self.channels * self.outputs).max(1);
        let [matrix, channel, output] = self.strides;
        for (m, scale) in scale.iter().enumerate() {
            for i in 0..matrices * self.channels {
                self.weight[i / self.channels * matrix + i % self.channels * channel + m * output] *= scale;
            }
        }
        let bias = self.bias.take().unwrap_or_else(|| vec![0.0; self.outputs]);
        self.bias = Some(bias.iter().zip(scale.iter().zip(shift)).map(|(b, (s, t))| b * s + t).collect());
    }
}

/// How places lie on the pictures that a map takes and makes.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Rows and columns of the input.
    pub input: [usize; 2],
    /// Rows and columns of the output.
    pub output: [usize; 2],
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
