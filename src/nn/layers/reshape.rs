//! Gives the same values, in the same order, another per-sample shape; nothing is computed.

use crate::error::{Error, Result};
use crate::nn::{Build, Character, Layer, LayerKind, Pass, Rows, Tangents, parse_layer};
use crate::nn::{HostParameters, Plain};

pub const KIND: LayerKind = LayerKind {
    name: "reshape",
    about: "another per-sample shape for the same values; keys: shape",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Reshape {
    shape: Vec<usize>,
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Reshape = parse_layer(table)?;
    let (have, want) = (input.iter().product::<usize>(), c.shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b)));
    if want != Some(have) || c.shape.is_empty() {
        return Err(Error::key(
            "shape",
            format!("expected {have} values as in the input {input:?}, found {:?}", c.shape),
        ));
    }
    Ok(Box::new(c))
}

impl Layer for Reshape {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        x
    }

    fn tangent(&self, x: Rows, t: Tangents, _: &Pass) -> (Rows, Tangents) {
        (x, t)
    }

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        Some(Plain::Rearrange { from: (0..self.shape.iter().product::<usize>() as u32).collect(), fill: 0.0 })
    }

    fn character(&self) -> Character {
        Character::Rearranges
    }

    fn describe(&self) -> String {
        "reshape".into()
    }
}
