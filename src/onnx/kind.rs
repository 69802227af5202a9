//! The kinds of node that a graph is lowered to, with everything that their values follow from.

use super::tensor::Constant;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// Sides of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Channels, height and width of what goes in.
    pub input: [usize; 3],
    /// Steps.
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Distance of the weights.
    pub dilation: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
}

/// A value seen as three axes: the middle one, and how much lies before and behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Product of the sides before.
    pub outer: usize,
    /// The middle side.
    pub mid: usize,
    /// Product of the sides behind.
    pub inner: usize,
}

/// What a node does. The table in the documentation of graph files says what each computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Picks an entry or a constant for each place.
    Rearrange {
        /// For each place the entry, -1 for `fill`; none for the identity.
        index: Option<Arc<Vec<i32>>>,
        /// The constant.
        fill: f32,
    },
    /// A tensor.
    Constant(Constant),
    /// Inputs side by side.
    Concat {
        /// Product of the sides before the joined axis.
        outer: usize,
    },
    /// A matrix along the middle axis.
    AxisMix {
        /// `[out, mid]`.
        matrix: Constant,
        /// The input; its `mid` is the matrix's width.
        view: View,
    },
    /// A factor and a summand along the middle axis.
    Affine {
        /// The input.
        view: View,
        /// `[mid]`.
        scale: Option<Constant>,
        /// `[mid]`.
        shift: Option<Constant>,
    },
    /// Weighted sum of two.
    Sum([f32; 2]),
    /// Product of two.
    Product,
    /// Quotient of two.
    Quotient,
    /// A matrix along the last axis.
    Dense {
        /// `[out, in]`.
        weight: Constant,
        /// `[out]`.
        bias: Option<Constant>,
        /// Rows of the input.
        rows: usize,
    },
    /// Product of matrices.
    MatMul {
        /// Pairs of matrices.
        batch: usize,
        /// Rows of the first.
        m: usize,
        /// Columns of the first, rows of the second.
        k: usize,
        /// Columns of the second.
        n: usize,
    },
    /// Convolution.
    Conv {
        /// `[out, in / groups, height, width]`.
        weight: Constant,
        /// `[out]`.
        bias: Option<Constant>,
        /// Sides.
        window: Window,
    },
    /// Convolution with a weight that depends on the latent.
    ConvLive {
        /// `[out, in / groups, height, width]`.
        kernel: [usize; 4],
        /// Sides.
        window: Window,
    },
    /// Transposed convolution.
    ConvTranspose {
        /// `[in, out / groups, height, width]`.
        weight: Constant,
        /// `[out]`.
        bias: Option<Constant>,
        /// Sides.
        window: Window,
        /// Height and width of the result.
        output: [usize; 2],
    },
    /// A function of each entry.
    Unary {
        /// Its name.
        function: &'static str,
        /// First parameter.
        a: Option<f32>,
        /// Second parameter.
        b: Option<f32>,
    },
    /// Leaky relu with a slope for each place of the middle axis.
    PRelu {
        /// `[mid]`.
        slope: Constant,
        /// The input.
        view: View,
    },
    /// A function without derivative.
    Step(&'static str),
    /// The second where the first is not 0, else the third.
    Select,
    /// The larger or smaller of two.
    Extreme(&'static str),
    /// The largest of some entries.
    WindowMax {
        /// `[outputs, width]`, -1 for no entry.
        index: Arc<Vec<i32>>,
        /// Entries for each output.
        width: usize,
    },
    /// Softmax over the middle axis.
    Softmax {
        /// The input.
        view: View,
        /// Whether its logarithm.
        log: bool,
    },
    /// Zero mean and unit variance over the last axis, then a factor and a summand along another.
    Normalise {
        /// Rows.
        outer: usize,
        /// Length of a row.
        size: usize,
        /// Added to the variance.
        eps: f64,
        /// Whether the mean is taken off.
        centred: bool,
        /// The output as the factor and the summand see it.
        view: View,
        /// `[mid]`.
        scale: Option<Constant>,
        /// `[mid]`.
        shift: Option<Constant>,
    },
    /// A norm over the middle axis.
    NormOf {
        /// `l1`, `l2` or `log_sum_exp`.
        function: &'static str,
        /// The input.
        view: View,
    },
}

impl Kind {
    /// The kind's name in a graph file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rearrange { .. } => "rearrange",
            Self::Constant(_) => "constant",
            Self::Concat { .. } => "concat",
            Self::AxisMix { .. } => "axis_mix",
            Self::Affine { .. } => "affine",
            Self::Sum(_) => "sum",
            Self::Product => "product",
            Self::Quotient => "quotient",
            Self::Dense { .. } => "dense",
            Self::MatMul { .. } => "matmul",
            Self::Conv { .. } => "conv",
            Self::ConvLive { .. } => "conv_live",
            Self::ConvTranspose { .. } => "conv_transpose",
            Self::Unary { .. } => "unary",
            Self::PRelu { .. } => "prelu",
            Self::Step(_) => "step",
            Self::Select => "select",
            Self::Extreme(_) => "extreme",
            Self::WindowMax { .. } => "window_max",
            Self::Softmax { .. } => "softmax",
            Self::Normalise { .. } => "normalise",
            Self::NormOf { .. } => "norm_of",
        }
    }

    /// The constant tensors it reads, each with its key in a graph file and the shape it is stored in.
    pub fn tensors(&self) -> Vec<(&'static str, &Constant, Vec<usize>)> {
        let flat = |c: &Constant| vec![c.len()];
        let mut list = Vec::new();
        match self {
            Self::Constant(c) => list.push(("key", c, c.shape.clone())),
            Self::AxisMix { matrix, .. } => list.push(("matrix", matrix, matrix.shape.clone())),
            Self::PRelu { slope, .. } => list.push(("slope", slope, flat(slope))),
            Self::Affine { scale, shift, .. } | Self::Normalise { scale, shift, .. } => {
                list.extend(scale.as_ref().map(|c| ("scale", c, flat(c))));
                list.extend(shift.as_ref().map(|c| ("shift", c, flat(c))));
            }
            Self::Dense { weight, bias, .. }
            | Self::Conv { weight, bias, .. }
            | Self::ConvTranspose { weight, bias, .. } => {
                list.push(("weight", weight, weight.shape.clone()));
                list.extend(bias.as_ref().map(|c| ("bias", c, flat(c))));
            }
            _ => {}
        }
        list
    }

    /// The index vector it reads, and its shape.
    pub fn index(&self) -> Option<(&Arc<Vec<i32>>, Vec<usize>)> {
        match self {
            Self::Rearrange { index: Some(index), .. } => Some((index, vec![index.len()])),
            Self::WindowMax { index, width } => Some((index, vec![index.len() / width.max(&1), *width])),
            _ => None,
        }
    }

    /// All other keys of a graph file.
    pub fn keys(&self) -> Map<String, Json> {
        let value = match self {
            Self::Rearrange { index, fill } => match index {
                Some(index) if index.contains(&-1) => json!({ "fill": fill }),
                _ => json!({}),
            },
            Self::Constant(_) | Self::Product | Self::Quotient | Self::Select | Self::WindowMax { .. } => json!({}),
            Self::Concat { outer } => json!({ "outer": outer }),
            Self::AxisMix { view, .. } => json!({ "outer": view.outer, "inner": view.inner }),
            Self::Affine { view, .. } | Self::PRelu { view, .. } => {
                json!({ "outer": view.outer, "mid": view.mid, "inner": view.inner })
            }
            Self::Sum(factors) => match *factors == [1.0, 1.0] {
                true => json!({}),
                false => json!({ "factors": factors }),
            },
            Self::Dense { rows, .. } => json!({ "rows": rows }),
            Self::MatMul { batch, m, k, n } => json!({ "batch": batch, "m": m, "k": k, "n": n }),
            Self::Conv { window, .. } => window.keys(),
            Self::ConvLive { kernel, window } => with(window.keys(), "kernel", json!(kernel)),
            Self::ConvTranspose { window, output, .. } => with(window.keys(), "output", json!(output)),
            Self::Unary { function, a, b } => {
                let keys = [("a", a), ("b", b)].into_iter().filter_map(|(key, v)| v.map(|v| (key, v)));
                keys.fold(json!({ "function": function }), |keys, (key, v)| with(keys, key, json!(v)))
            }
            Self::Step(function) | Self::Extreme(function) => json!({ "function": function }),
            Self::Softmax { view, log } => {
                let keys = json!({ "outer": view.outer, "size": view.mid, "inner": view.inner });
                if *log { with(keys, "log", json!(true)) } else { keys }
            }
            Self::Normalise { outer, size, eps, centred, view, scale, shift } => {
                let keys = json!({ "outer": outer, "size": size, "eps": eps });
                let keys = if *centred { keys } else { with(keys, "centred", json!(false)) };
                match scale.is_some() || shift.is_some() {
                    true => with(with(keys, "mid", json!(view.mid)), "inner", json!(view.inner)),
                    false => keys,
                }
            }
            Self::NormOf { function, view } => {
                json!({ "function": function, "outer": view.outer, "size": view.mid, "inner": view.inner })
            }
        };
        match value {
            Json::Object(map) => map,
            _ => Map::new(),
        }
    }
}

impl Window {
    fn keys(&self) -> Json {
        json!({
            "input": self.input, "stride": self.stride, "pads": self.pads,
            "dilation": self.dilation, "groups": self.groups,
        })
    }
}

fn with(mut keys: Json, key: &str, value: Json) -> Json {
    if let Json::Object(map) = &mut keys {
        map.insert(key.to_owned(), value);
    }
    keys
}
