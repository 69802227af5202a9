//! Several inputs side by side along one axis.

use super::{Made, OperatorKind, split};
use crate::error::{Error, Result};
use crate::nn::{Character, HostParameters, Operator, Pass, Plain, Rows, Tangents};
use burn::tensor::Tensor;
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "concat",
    inputs: None,
    about: "inputs side by side, each viewed as [outer, _]; keys: outer",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    outer: usize,
}

/// Several values side by side: each is viewed as `[outer, _]` and they are joined along the second axis.
pub struct Concat {
    shape: Vec<usize>,
    outer: usize,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let sizes: Vec<usize> = made.inputs.iter().map(|s| s.iter().product()).collect();
    if c.outer == 0 || sizes.iter().any(|n| n % c.outer != 0) {
        return Err(Error::key("outer", format!("expected a divisor of all of {sizes:?}, found {}", c.outer)));
    }
    made.makes(sizes.iter().sum())?;
    Ok(Arc::new(Concat::new(made.shape, c.outer)))
}

impl Concat {
    /// The values of the per-sample `shape` that inputs of `outer` rows each make.
    pub fn new(shape: Vec<usize>, outer: usize) -> Self {
        Self { shape, outer }
    }

    fn join(&self, parts: Vec<Rows>) -> Rows {
        if self.outer == 1 {
            return Tensor::cat(parts, 1);
        }
        let n = parts[0].dims()[0];
        let parts = parts.into_iter().map(|p| {
            let width = p.dims()[1] / self.outer;
            split(p, [self.outer, width, 1])
        });
        let all = Tensor::cat(parts.collect(), 2);
        let width = self.shape.iter().product::<usize>();
        all.reshape([n, width])
    }
}

impl Operator for Concat {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Vec<Rows>, _: &Pass) -> Rows {
        self.join(x)
    }

    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, _: &Pass) -> (Rows, Option<Tangents>) {
        let widths: Vec<usize> = x.iter().map(|x| x.dims()[1]).collect();
        let n = x[0].dims()[0];
        let Some(any) = t.iter().flatten().next().cloned() else { return (self.join(x), None) };
        let parts = t.into_iter().zip(widths).map(|(t, width)| t.unwrap_or_else(|| any.zeros(width)));
        (self.join(x), Some(Tangents::joined(parts.collect(), n, |parts| self.join(parts))))
    }

    fn character(&self) -> Character {
        Character::Rearranges
    }

    fn plain(&self, _: &HostParameters) -> Option<Vec<Plain>> {
        Some(vec![Plain::Concat(self.outer)])
    }

    fn describe(&self) -> String {
        format!("concat → {:?}", self.shape)
    }
}
