//! Two-dimensional convolution and its transpose; one of one dimension has height 1.

use super::{Made, OperatorKind};
use crate::error::{Error, Result};
use crate::nn::{Convolution, OneInput, Operator, Window, check_range};
use std::sync::Arc;

pub const PLAIN: OperatorKind = OperatorKind {
    name: "conv",
    inputs: Some(1),
    about: "convolution; keys: weight (tensor [out, in/groups, kh, kw]), kernel, bias (tensor [out], none), input ([c, h, w]), \
        output ([out, h', w']), stride, pads ([top, left, bottom, right]), dilation, groups",
    build: |made| build(made, false),
};

pub const TRANSPOSED: OperatorKind = OperatorKind {
    name: "conv_transpose",
    inputs: Some(1),
    about: "transposed convolution; keys as for conv, weight [in, out/groups, kh, kw]",
    build: |made| build(made, true),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    weight: String,
    #[serde(default)]
    bias: Option<String>,
    kernel: [usize; 2],
    input: [usize; 3],
    output: [usize; 3],
    stride: [usize; 2],
    pads: [usize; 4],
    dilation: [usize; 2],
    groups: usize,
}

fn build(made: Made, transposed: bool) -> Result<Arc<dyn Operator>> {
    let Config { weight, bias, kernel, input, output, stride, pads, dilation, groups } = made.keys()?;
    made.reads(0, "input", &input)?;
    made.makes(output.iter().try_fold(1usize, |a, b| a.checked_mul(*b)).unwrap_or(0))?;
    check_range("groups", groups, 1..=1 << 16)?;
    if input[0] % groups != 0 || output[0] % groups != 0 {
        return Err(Error::key(
            "groups",
            format!("expected a divisor of {} and {}, found {groups}", input[0], output[0]),
        ));
    }
    let window = Window { stride, pads, dilation };
    window.check(kernel, input, (!transposed).then_some(output))?;
    Ok(OneInput::of(Box::new(Convolution {
        name: if transposed { TRANSPOSED.name } else { PLAIN.name },
        transposed,
        zero: false,
        weight,
        bias,
        kernel,
        stride,
        pads,
        dilation,
        groups,
        input,
        output,
    })))
}
