//! Layer normalisation over the trailing axes of a sample, with one scale and shift for each of their places. It is not
//! piecewise linear. It has no plain terms, so a network that contains it is computed with tensors.

use crate::error::{Error, Result};
use crate::nn::{
    Build, Character, Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, check_range, parse_layer,
};
use burn::tensor::Tensor;

pub const KIND: LayerKind = LayerKind {
    name: "layer_norm",
    about: "norm over the last sizes of a sample, a scale and shift for each place; keys: key, sizes = 1, eps = 1e-5",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: String,
    #[serde(default = "one")]
    sizes: usize,
    #[serde(default = "eps")]
    eps: f64,
}

fn one() -> usize {
    1
}

fn eps() -> f64 {
    1e-5
}

struct LayerNorm {
    key: String,
    eps: f64,
    shape: Vec<usize>,
    over: Vec<usize>,
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    if !(c.eps > 0.0 && c.eps < 1.0) {
        return Err(Error::key("eps", format!("expected a number between 0 and 1, found {}", c.eps)));
    }
    check_range("sizes", c.sizes, 1..=input.len().max(1))?;
    let over = input[input.len() - c.sizes..].to_vec();
    Ok(Box::new(LayerNorm { key: c.key, eps: c.eps, shape: input.to_vec(), over }))
}

impl LayerNorm {
    /// Number of values that are normalised together.
    fn places(&self) -> usize {
        self.over.iter().product()
    }

    /// The normalised values x̂, `[n, groups, places]`, and 1/std, `[n, groups, 1]`.
    fn normalise(&self, x: Rows) -> (Tensor<3>, Tensor<3>) {
        let [n, features] = x.dims();
        let x = x.reshape([n, features / self.places(), self.places()]);
        let centred = x.clone() - x.mean_dim(2);
        let inverse_std = ((centred.clone() * centred.clone()).mean_dim(2) + self.eps).sqrt().recip();
        (centred * inverse_std.clone(), inverse_std)
    }

    /// A tensor of the layer, `[1, 1, places]`.
    fn per_place(&self, name: &str, pass: &Pass) -> Tensor<3> {
        pass.parameters.shaped(&format!("{}.{name}", self.key), [1, 1, self.places()])
    }

    fn affine(&self, normalised: Tensor<3>, pass: &Pass) -> Rows {
        let [n, groups, places] = normalised.dims();
        let y = normalised * self.per_place("weight", pass) + self.per_place("bias", pass);
        y.reshape([n, groups * places])
    }
}

impl Layer for LayerNorm {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        into.extend([("weight", 1.0), ("bias", 0.0)].map(|(name, value)| ParameterSpec {
            key: format!("{}.{name}", self.key),
            shape: self.over.clone(),
            init: Init::Constant(value),
            role: Role::Vector,
        }));
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        self.affine(self.normalise(x).0, pass)
    }

    // With x̂ = (x − mean)/std: ∂y = weight/std · (t − mean(t) − x̂ · mean(x̂ t)), with means over the places.
    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let [n, features] = x.dims();
        let (groups, places) = (features / self.places(), self.places());
        let (normalised, inverse_std) = self.normalise(x);
        let [_, k, _] = t.clone().cube().dims();
        let t = t.expanded(n).reshape([n, k, groups, places]);
        let hat = normalised.clone().reshape([n, 1, groups, places]);
        let along = (t.clone() * hat.clone()).mean_dim(3);
        let moved = (t.clone() - t.mean_dim(3) - hat * along) * inverse_std.reshape([n, 1, groups, 1]);
        let scaled = moved.reshape([n * k, groups, places]) * self.per_place("weight", pass);
        (self.affine(normalised, pass), Tangents::per_sample(scaled.reshape([n * k, features]), k))
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn describe(&self) -> String {
        format!("layer_norm over {:?}", self.over)
    }
}
