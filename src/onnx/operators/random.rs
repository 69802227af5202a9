//! Random nodes: drawn once, set to zero, or refused.

use super::super::Law;
use super::super::build::Value;
use super::super::kind::View;
use super::super::tensor::Constant;
use super::Call;
use crate::error::Result;

type Made = Result<Vec<Value>>;

/// Draws of `law` in the shape, then scaled and moved.
fn drawn(call: &mut Call, law: Law, shape: Vec<usize>, scale: f32, shift: f32) -> Made {
    call.build.size(&shape)?;
    let draws = (call.random)(call.build, law, shape)?;
    if matches!(draws, Value::Noise(..)) {
        return Ok(vec![draws]);
    }
    let view = View { outer: 1, mid: 1, inner: draws.features() };
    let number = |v: f32| Some(Constant::floats(vec![1], vec![v]));
    Ok(vec![call.build.affine(&draws, view, number(scale), number(shift))?])
}

fn normal(call: &mut Call, shape: Vec<usize>) -> Made {
    let (mean, scale) = (call.float("mean", 0.0)?, call.float("scale", 1.0)?);
    drawn(call, Law::Normal, shape, scale, mean)
}

fn uniform(call: &mut Call, shape: Vec<usize>) -> Made {
    let (low, high) = (call.float("low", 0.0)?, call.float("high", 1.0)?);
    drawn(call, Law::Uniform, shape, high - low, low)
}

fn given(call: &Call) -> Result<Vec<usize>> {
    let shape = call.ints("shape")?.unwrap_or_default();
    call.sizes("shape", &shape, 0, shape.len())
}

pub fn random_normal(call: &mut Call) -> Made {
    let shape = given(call)?;
    normal(call, shape)
}

pub fn random_normal_like(call: &mut Call) -> Made {
    let shape = call.x(0)?.shape().to_vec();
    normal(call, shape)
}

pub fn random_uniform(call: &mut Call) -> Made {
    let shape = given(call)?;
    uniform(call, shape)
}

pub fn random_uniform_like(call: &mut Call) -> Made {
    let shape = call.x(0)?.shape().to_vec();
    uniform(call, shape)
}
