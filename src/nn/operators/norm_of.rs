//! A norm along one axis.

use super::{Made, OperatorKind, join, split};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Layer, NormRule, OneInput, Operator, Pass, Plain, Rows, Tangents};
use burn::tensor::{Tensor, activation};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "norm_of",
    inputs: Some(1),
    about: "a norm along the middle axis of [outer, size, inner]; keys: function = l1, l2 or log_sum_exp, outer, size, inner",
    build,
};

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Function {
    L1,
    L2,
    LogSumExp,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    function: Function,
    outer: usize,
    size: usize,
    inner: usize,
}

struct NormOf {
    rule: NormRule,
    sizes: [usize; 3],
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let sizes = [c.outer, c.size, c.inner];
    made.reads(0, "size", &sizes)?;
    made.makes(c.outer * c.inner)?;
    let rule = match c.function {
        Function::L1 => NormRule::L1,
        Function::L2 => NormRule::L2,
        Function::LogSumExp => NormRule::LogSumExp,
    };
    Ok(OneInput::of(Box::new(NormOf { rule, sizes, shape: made.shape })))
}

impl NormOf {
    /// The norm, `[n, outer, 1, inner]`.
    fn norm(&self, x: Tensor<4>) -> Tensor<4> {
        match self.rule {
            NormRule::L1 => x.abs().sum_dim(2),
            NormRule::L2 => {
                // The root has no slope at 0, where autodiff would multiply an infinite one by 0.
                let square = (x.clone() * x).sum_dim(2);
                let zero = square.clone().equal_scalar(0.0);
                square.mask_fill(zero.clone(), 1.0).sqrt().mask_fill(zero, 0.0)
            }
            NormRule::LogSumExp => {
                let top = x.clone().detach().max_dim(2);
                (x - top.clone()).exp().sum_dim(2).log() + top
            }
        }
    }

    /// The slopes by each value; that of the Euclidean norm is 0 at 0.
    fn slopes(&self, x: Tensor<4>) -> Tensor<4> {
        match self.rule {
            NormRule::L1 => x.sign(),
            NormRule::L2 => {
                let norm = self.norm(x.clone());
                let safe = norm.clone().mask_fill(norm.equal_scalar(0.0), 1.0);
                x / safe
            }
            NormRule::LogSumExp => activation::softmax(x, 2),
        }
    }
}

impl Layer for NormOf {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        join(self.norm(split(x, self.sizes)))
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let ([outer, size, inner], n, k) = (self.sizes, x.dims()[0], t.directions());
        let slopes = self.slopes(split(x.clone(), self.sizes)).reshape([n, 1, outer, size, inner]);
        let moved = (t.expanded(n).reshape([n, k, outer, size, inner]) * slopes).sum_dim(3);
        (self.forward(x, pass), Tangents::per_sample(moved.reshape([n * k, outer * inner]), k))
    }

    fn character(&self) -> Character {
        match self.rule {
            NormRule::L1 => Character::PiecewiseLinear,
            _ => Character::Smooth,
        }
    }

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        Some(Plain::NormOf { rule: self.rule, sizes: self.sizes })
    }

    fn describe(&self) -> String {
        let name = match self.rule {
            NormRule::L1 => "l1",
            NormRule::L2 => "l2",
            NormRule::LogSumExp => "log_sum_exp",
        };
        format!("norm_of, {name} of {} values", self.sizes[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::tensors::{host, rows};

    #[test]
    fn the_gradient_at_zero_is_zero() -> Result<()> {
        let device = crate::device::open("cpu")?.1;
        for rule in [NormRule::L1, NormRule::L2] {
            let norm = NormOf { rule, sizes: [2, 3, 1], shape: vec![2] };
            let x = rows(vec![0.0, 0.0, 0.0, 3.0, 0.0, -4.0], 6, &device).autodiff().require_grad();
            let y = join(norm.norm(split(x.clone(), norm.sizes)));
            let gradients = y.clone().sum().backward();
            let slopes = host(norm.slopes(split(x.clone().inner(), norm.sizes)).reshape([1, 6]))?;
            assert_eq!(x.grad(&gradients).map(host).transpose()?, Some(slopes));
            assert_eq!(host(y.inner())?[0], 0.0);
        }
        Ok(())
    }
}
