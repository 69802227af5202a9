//! A leaky relu with a slope of its own for each place along an axis.

use super::{Made, OperatorKind, join, split, tensor};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Layer, OneInput, Operator, ParameterSpec, Pass, Plain, Rows, Tangents};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "prelu",
    inputs: Some(1),
    about: "x where positive, slope·x elsewhere; keys: slope (tensor [mid]), outer, mid, inner",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    slope: String,
    outer: usize,
    mid: usize,
    inner: usize,
}

struct Prelu {
    slope: String,
    sizes: [usize; 3],
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    let sizes = [c.outer, c.mid, c.inner];
    made.reads(0, "mid", &sizes)?;
    made.same_size()?;
    Ok(OneInput::of(Box::new(Prelu { slope: c.slope, sizes, shape: made.shape })))
}

impl Prelu {
    /// The slope at each value of x. At 0 it is that of the negative side, as in PyTorch.
    fn slope(&self, x: Rows, pass: &Pass) -> Rows {
        let x = split(x, self.sizes);
        let slope = pass.parameters.shaped(&self.slope, [1, 1, self.sizes[1], 1]);
        let open = x.clone().greater_scalar(0.0).float().cast(x.dtype());
        join(open.clone() + (open.neg() + 1.0) * slope)
    }
}

impl Layer for Prelu {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        into.push(tensor(&self.slope, vec![self.sizes[1]]));
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        x.clone() * self.slope(x, pass)
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let slope = self.slope(x.clone(), pass);
        (x * slope.clone(), t.scale(slope))
    }

    fn tap(&self, x: &Rows, _: &Pass, taps: &mut Vec<Rows>) {
        taps.push(x.clone());
    }

    fn character(&self) -> Character {
        Character::PiecewiseLinear
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let [outer, _, inner] = self.sizes;
        let each = |slope: &f32| std::iter::repeat_n(*slope, inner);
        let slopes = parameters.get(&self.slope).iter().flat_map(each).collect::<Vec<_>>().repeat(outer);
        Some(Plain::Slopes(slopes))
    }

    fn describe(&self) -> String {
        format!("prelu of {} slopes", self.sizes[1])
    }
}
