//! A fixed matrix along one axis: bilinear and bicubic enlargement, means and sums along an axis.

use super::{Made, OperatorKind, join, split, tensor};
use crate::error::Result;
use crate::nn::operator::only;
use crate::nn::{
    Character, HostParameters, Operator, ParameterSpec, Pass, Plain, PlainGather, Rows, Tangents, Tap, product,
};
use burn::tensor::Tensor;
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "axis_mix",
    inputs: Some(1),
    about: "a matrix along the middle axis of [outer, in, inner]; keys: matrix (tensor [out, in]), outer, inner",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    matrix: String,
    outer: usize,
    inner: usize,
}

struct AxisMix {
    matrix: String,
    before: [usize; 3],
    after: [usize; 3],
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let around = c.outer.saturating_mul(c.inner).max(1);
    let (inputs, outputs) = (made.size(0) / around, made.shape.iter().product::<usize>() / around);
    let (before, after) = ([c.outer, inputs, c.inner], [c.outer, outputs, c.inner]);
    made.reads(0, "outer", &before)?;
    made.makes(c.outer * outputs * c.inner)?;
    Ok(Arc::new(AxisMix { matrix: c.matrix, before, after, shape: made.shape }))
}

impl AxisMix {
    fn apply(&self, x: Rows, pass: &Pass) -> Rows {
        let ([outer, inputs, inner], outputs, n) = (self.before, self.after[1], x.dims()[0]);
        let matrix: Tensor<2> = pass.parameters.shaped(&self.matrix, [outputs, inputs]);
        let lines = split(x, self.before).swap_dims(2, 3).reshape([n * outer * inner, inputs]);
        let mixed = product(lines, matrix.transpose()).reshape([n, outer, inner, outputs]);
        join(mixed.swap_dims(2, 3))
    }
}

impl Operator for AxisMix {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        into.push(tensor(&self.matrix, vec![self.after[1], self.before[1]]));
    }

    fn forward(&self, x: Vec<Rows>, pass: &Pass) -> Rows {
        self.apply(only(x), pass)
    }

    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, pass: &Pass) -> (Rows, Option<Tangents>) {
        (self.forward(x, pass), only(t).map(|t| t.map(|t| self.apply(t, pass))))
    }

    fn character(&self) -> Character {
        Character::Linear
    }

    // On host memory: the axis to the front, where a gather mixes it, and back.
    fn plain(&self, parameters: &HostParameters) -> Option<Vec<Plain>> {
        let ([outer, inputs, inner], outputs) = (self.before, self.after[1]);
        let area = outer * inner;
        let gather = Plain::Gather(PlainGather {
            channels: inputs,
            area,
            outputs,
            taps: (0..area).map(|place| vec![Tap { place, matrix: 0 }]).collect(),
            bias: None,
            weight: parameters.get(&self.matrix).to_vec(),
            strides: [0, 1, inputs],
            grid: None,
        });
        if outer == 1 {
            return Some(vec![gather]);
        }
        let to_front = |axis, o, i| ((o * inputs + axis) * inner + i) as u32;
        let back = |axis, o, i| ((axis * outer + o) * inner + i) as u32;
        let front = (0..inputs)
            .flat_map(|a| (0..outer).flat_map(move |o| (0..inner).map(move |i| to_front(a, o, i))))
            .collect();
        let home =
            (0..outer).flat_map(|o| (0..outputs).flat_map(move |a| (0..inner).map(move |i| back(a, o, i)))).collect();
        Some(vec![Plain::Rearrange { from: front, fill: 0.0 }, gather, Plain::Rearrange { from: home, fill: 0.0 }])
    }

    fn describe(&self) -> String {
        format!("axis_mix {} → {}", self.before[1], self.after[1])
    }
}
