//! Values that do not depend on the latent.

use super::{Made, OperatorKind, tensor};
use crate::error::Result;
use crate::nn::{Character, HostParameters, Operator, ParameterSpec, Pass, Plain, Rows, Tangents};
use std::sync::Arc;

pub const KIND: OperatorKind =
    OperatorKind { name: "constant", inputs: Some(0), about: "a tensor of the weights; keys: key", build };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: String,
}

struct Constant {
    key: String,
    shape: Vec<usize>,
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    Ok(Arc::new(Constant { key: c.key, shape: made.shape }))
}

impl Operator for Constant {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        into.push(tensor(&self.key, self.shape.clone()));
    }

    fn forward(&self, _: Vec<Rows>, pass: &Pass) -> Rows {
        pass.parameters.shaped(&self.key, [1, self.shape.iter().product()])
    }

    fn tangent(&self, x: Vec<Rows>, _: Vec<Option<Tangents>>, pass: &Pass) -> (Rows, Option<Tangents>) {
        (self.forward(x, pass), None)
    }

    fn character(&self) -> Character {
        Character::Rearranges
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Vec<Plain>> {
        Some(vec![Plain::Constant(parameters.get(&self.key).to_vec())])
    }

    fn describe(&self) -> String {
        "constant".into()
    }
}
