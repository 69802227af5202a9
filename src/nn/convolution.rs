//! Two-dimensional convolution (strictly speaking a cross-correlation) and its transpose, of any kernel, stride, border,
//! dilation and number of groups: `[channels, height, width] → [out, height', width']`.

use super::layers::{flatten, unflatten};
use super::{
    Character, Grid, HostParameters, Init, Layer, ParameterSpec, Pass, Plain, PlainGather, Role, Rows, Tangents, Tap,
    check_range,
};
use crate::error::{Error, Result};
use burn::tensor::Tensor;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, PadMode};

/// A convolution or its transpose. Pairs are (height, width).
pub struct Convolution {
    /// What its kind is called, for people.
    pub name: &'static str,
    /// Whether it is the transpose.
    pub transposed: bool,
    /// Whether its weight starts at zero in training.
    pub zero: bool,
    /// Name of the weight: `[out, in/groups, kh, kw]`, or `[in, out/groups, kh, kw]` for the transpose.
    pub weight: String,
    /// Name of the bias, `[out]`, if there is one.
    pub bias: Option<String>,
    /// Sides of the kernel.
    pub kernel: [usize; 2],
    /// Steps of the kernel over the input, or of the output's copies for the transpose.
    pub stride: [usize; 2],
    /// Zeros around the input: top, left, bottom, right. For the transpose, what is cut off the top and left of the output;
    /// the bottom and right follow from its shape.
    pub pads: [usize; 4],
    /// Distance of neighbouring places of the kernel.
    pub dilation: [usize; 2],
    /// Number of groups that input and output channels are divided into.
    pub groups: usize,
    /// `[channels, height, width]` of the input.
    pub input: [usize; 3],
    /// `[channels, height, width]` of the output.
    pub output: [usize; 3],
}

impl Convolution {
    /// Shape of the weight.
    fn weight_shape(&self) -> [usize; 4] {
        let [a, b] = if self.transposed { [self.input[0], self.output[0]] } else { [self.output[0], self.input[0]] };
        [a, b / self.groups, self.kernel[0], self.kernel[1]]
    }

    /// The zeros at the top and left, if there are as many at the bottom and right.
    fn even_pads(&self) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.pads;
        (top == bottom && left == right).then_some([top, left])
    }

    /// How many rows and columns the transpose has beyond those that its even padding gives, if it is a number that the
    /// kernel of tensors takes.
    fn output_padding(&self) -> Option<[usize; 2]> {
        let [top, left, ..] = self.pads;
        let beyond = |axis: usize, pad: usize| {
            let full =
                (self.input[axis + 1] - 1) * self.stride[axis] + self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let even = full.checked_sub(2 * pad)?;
            self.output[axis + 1].checked_sub(even).filter(|n| *n < self.stride[axis].max(self.dilation[axis]))
        };
        Some([beyond(0, top)?, beyond(1, left)?])
    }

    fn apply(&self, x: Rows, bias: Option<Tensor<1>>, pass: &Pass) -> Rows {
        let weight = pass.parameters.shaped(&self.weight, self.weight_shape());
        let x = unflatten(x, self.input);
        let ([top, left, bottom, right], stride, dilation) = (self.pads, self.stride, self.dilation);
        if !self.transposed {
            return flatten(match self.even_pads() {
                Some(pads) => conv2d(x, weight, bias, ConvOptions::new(stride, pads, dilation, self.groups)),
                None => {
                    let x = x.pad((left, right, top, bottom), PadMode::Constant(0.0));
                    conv2d(x, weight, bias, ConvOptions::new(stride, [0, 0], dilation, self.groups))
                }
            });
        }
        let transpose = |x, bias, pads, more| {
            let options = ConvTransposeOptions::new(stride, pads, more, dilation, self.groups);
            conv_transpose2d(x, weight, bias, options)
        };
        if let Some(more) = self.output_padding() {
            return flatten(transpose(x, bias, [top, left], more));
        }
        // The whole transpose without a bias, of which the output is a part, or which is a part of the output.
        let full = transpose(x, None, [0, 0], [0, 0]);
        let [_, channels, h, w] = full.dims();
        let kept = |side: usize, first: usize, out: usize| (side.saturating_sub(first)).min(out);
        let (rows, columns) = (kept(h, top, self.output[1]), kept(w, left, self.output[2]));
        let part = full.narrow(2, top, rows).narrow(3, left, columns);
        let (down, across) = (self.output[1] - rows, self.output[2] - columns);
        let y = if down + across == 0 { part } else { part.pad((0, across, 0, down), PadMode::Constant(0.0)) };
        flatten(match bias {
            Some(bias) => y + bias.reshape([1, channels, 1, 1]),
            None => y,
        })
    }

    /// Along one axis (0 is the height), the place of the input that place `out` of the output reads through kernel place
    /// `a`: out·stride + a·dilation − pad; for the transpose, the i with i·stride + a·dilation − pad = out. `None` if there
    /// is none.
    fn reads(&self, axis: usize, out: usize, a: usize) -> Option<usize> {
        let (stride, pad, offset) = (self.stride[axis], self.pads[axis], a * self.dilation[axis]);
        let i = if self.transposed {
            (out + pad).checked_sub(offset).filter(|r| r.is_multiple_of(stride))? / stride
        } else {
            (out * stride + offset).checked_sub(pad)?
        };
        Some(i).filter(|i| *i < self.input[axis + 1])
    }

    fn taps(&self, place: usize) -> Vec<Tap> {
        let [kh, kw] = self.kernel;
        let (i, j) = (place / self.output[2], place % self.output[2]);
        let tap = |n: usize| {
            let (y, x) = (self.reads(0, i, n / kw)?, self.reads(1, j, n % kw)?);
            Some(Tap { place: y * self.input[2] + x, matrix: n })
        };
        (0..kh * kw).filter_map(tap).collect()
    }

    /// The plain terms of one group, from its part of the weight and of the bias.
    fn gather(&self, weight: &[f32], bias: Option<&[f32]>) -> PlainGather {
        let (channels, outputs) = (self.input[0] / self.groups, self.output[0] / self.groups);
        let area = self.kernel[0] * self.kernel[1];
        PlainGather {
            channels,
            area: self.input[1] * self.input[2],
            outputs,
            taps: (0..self.output[1] * self.output[2]).map(|p| self.taps(p)).collect(),
            bias: bias.map(<[f32]>::to_vec),
            weight: weight.to_vec(),
            grid: Some(Grid { input: [self.input[1], self.input[2]], output: [self.output[1], self.output[2]] }),
            strides: if self.transposed { [1, outputs * area, area] } else { [1, area, channels * area] },
        }
    }
}

impl Layer for Convolution {
    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let shape = self.weight_shape().to_vec();
        let init = match self.zero {
            true => Init::Constant(0.0),
            // PyTorch uses the second dimension as the fan-in of a transposed convolution too.
            false => Init::FanIn(shape[1] * self.kernel[0] * self.kernel[1]),
        };
        into.push(ParameterSpec { key: self.weight.clone(), shape, init, role: Role::Weight });
        if let Some(bias) = &self.bias {
            into.push(ParameterSpec { key: bias.clone(), shape: vec![self.output[0]], init, role: Role::Vector });
        }
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        self.apply(x, self.bias.as_ref().map(|b| pass.parameters.get(b)), pass)
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        (self.forward(x, pass), t.map(|t| self.apply(t, None, pass)))
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let weight = parameters.get(&self.weight);
        let bias = self.bias.as_ref().map(|b| parameters.get(b));
        if self.groups == 1 {
            return Some(Plain::Gather(self.gather(weight, bias)));
        }
        let (size, outputs) = (weight.len() / self.groups, self.output[0] / self.groups);
        let group =
            |g: usize| self.gather(&weight[g * size..(g + 1) * size], bias.map(|b| &b[g * outputs..(g + 1) * outputs]));
        Some(Plain::Groups((0..self.groups).map(group).collect()))
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    fn describe(&self) -> String {
        let pair = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { format!("{a}×{b}") };
        let padding = match self.even_pads() {
            Some(pads) => pair(pads),
            None => format!("{:?}", self.pads),
        };
        let mut more = String::new();
        if let Some(beyond) = self.output_padding().filter(|beyond| self.transposed && *beyond != [0, 0]) {
            more += &format!(", output padding {}", pair(beyond));
        }
        if self.dilation != [1, 1] {
            more += &format!(", dilation {}", pair(self.dilation));
        }
        if self.groups > 1 {
            more += &format!(", {} groups", self.groups);
        }
        if self.bias.is_none() {
            more += ", no bias";
        }
        format!(
            "{} {} → {}, kernel {}, stride {}, padding {padding}{more}",
            self.name,
            self.input[0],
            self.output[0],
            pair(self.kernel),
            pair(self.stride)
        )
    }
}

/// How a kernel goes over a picture; pairs are (height, width), pads top, left, bottom, right.
#[derive(Clone, Copy)]
pub struct Window {
    /// Its steps.
    pub stride: [usize; 2],
    /// Zeros around the picture.
    pub pads: [usize; 4],
    /// Distance of its neighbouring places.
    pub dilation: [usize; 2],
}

impl Window {
    /// Checks the bounds of all sizes and, for a convolution that makes `output`, that it follows from them.
    ///
    /// # Errors
    /// [`Error::Key`] at the size that is wrong.
    pub fn check(&self, kernel: [usize; 2], input: [usize; 3], output: Option<[usize; 3]>) -> Result<()> {
        let Self { stride, pads, dilation } = self;
        for axis in 0..2 {
            check_range("kernel", kernel[axis], 1..=1 << 10)?;
            check_range("stride", stride[axis], 1..=1 << 10)?;
            check_range("dilation", dilation[axis], 1..=1 << 10)?;
            check_range("pads", pads[axis].max(pads[axis + 2]), 0..=1 << 12)?;
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            let padded = input[axis + 1] + pads[axis] + pads[axis + 2];
            let follows =
                |output: [usize; 3]| padded >= reach && (padded - reach) / stride[axis] + 1 == output[axis + 1];
            if let Some(output) = output.filter(|output| !follows(*output)) {
                let message = format!("{output:?} does not follow from input, kernel, stride, pads and dilation");
                return Err(Error::key("output", message));
            }
        }
        Ok(())
    }
}
