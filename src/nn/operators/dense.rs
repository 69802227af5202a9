//! A linear map of the last axis, the same for every row.

use super::{Made, OperatorKind, tensor};
use crate::error::Result;
use crate::nn::operator::only;
use crate::nn::{
    Character, HostParameters, Operator, ParameterSpec, Pass, Plain, PlainGather, Rows, Tangents, Tap, product,
};
use burn::tensor::Tensor;
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "dense",
    inputs: Some(1),
    about: "W x + b for each row of [rows, in]; keys: weight (tensor [out, in]), bias (tensor [out], none), rows",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    weight: String,
    #[serde(default)]
    bias: Option<String>,
    rows: usize,
}

struct Dense {
    weight: String,
    bias: Option<String>,
    rows: usize,
    inputs: usize,
    outputs: usize,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let Config { weight, bias, rows } = made.keys()?;
    let (inputs, outputs) = (made.size(0) / rows.max(1), made.shape.iter().product::<usize>() / rows.max(1));
    made.reads(0, "rows", &[rows, inputs])?;
    made.makes(rows * outputs)?;
    Ok(Arc::new(Dense { weight, bias, rows, inputs, outputs, shape: made.shape }))
}

impl Dense {
    fn apply(&self, x: Rows, pass: &Pass) -> Rows {
        let n = x.dims()[0];
        let weight: Tensor<2> = pass.parameters.shaped(&self.weight, [self.outputs, self.inputs]);
        product(x.reshape([n * self.rows, self.inputs]), weight.transpose())
    }

    /// Rows `[n·rows, out]` as `[n, rows·out]`.
    fn joined(&self, y: Rows) -> Rows {
        let n = y.dims()[0] / self.rows;
        y.reshape([n, self.rows * self.outputs])
    }
}

impl Operator for Dense {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        into.push(tensor(&self.weight, vec![self.outputs, self.inputs]));
        into.extend(self.bias.iter().map(|key| tensor(key, vec![self.outputs])));
    }

    fn forward(&self, x: Vec<Rows>, pass: &Pass) -> Rows {
        let y = self.apply(only(x), pass);
        self.joined(match &self.bias {
            Some(bias) => y + pass.parameters.shaped(bias, [1, self.outputs]),
            None => y,
        })
    }

    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, pass: &Pass) -> (Rows, Option<Tangents>) {
        (self.forward(x, pass), only(t).map(|t| t.map(|t| self.joined(self.apply(t, pass)))))
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    // On host memory the rows become places: transposed, gathered, and transposed back.
    fn plain(&self, parameters: &HostParameters) -> Option<Vec<Plain>> {
        let Self { rows, inputs, outputs, .. } = *self;
        let gather = Plain::Gather(PlainGather {
            channels: inputs,
            area: rows,
            outputs,
            taps: (0..rows).map(|place| vec![Tap { place, matrix: 0 }]).collect(),
            bias: self.bias.as_ref().map(|key| parameters.get(key).to_vec()),
            weight: parameters.get(&self.weight).to_vec(),
            strides: [0, 1, inputs],
            grid: None,
        });
        if rows == 1 {
            return Some(vec![gather]);
        }
        let transposed = |height: usize, width: usize| Plain::Rearrange {
            from: (0..width).flat_map(|j| (0..height).map(move |i| (i * width + j) as u32)).collect(),
            fill: 0.0,
        };
        Some(vec![transposed(rows, inputs), gather, transposed(outputs, rows)])
    }

    fn describe(&self) -> String {
        let bias = if self.bias.is_some() { "" } else { ", no bias" };
        format!("dense {} → {} in {} rows{bias}", self.inputs, self.outputs, self.rows)
    }
}
