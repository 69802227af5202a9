//! Group normalisation: in each sample, every group of neighbouring channels is brought to mean 0 and variance 1, then
//! each channel is scaled and shifted. It depends only on the sample, not on the batch, and is not piecewise linear.

use crate::error::{Error, Result};
use crate::nn::{
    Build, Character, Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, check_range, parse_layer,
};
use crate::nn::{HostParameters, Plain};
use burn::tensor::Tensor;

pub const KIND: LayerKind = LayerKind {
    name: "group_norm",
    about: "per-sample norm of channel groups; keys: key, groups, eps = 1e-5",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: String,
    groups: usize,
    #[serde(default = "eps")]
    eps: f64,
}

fn eps() -> f64 {
    1e-5
}

struct GroupNorm {
    key: String,
    groups: usize,
    eps: f64,
    shape: Vec<usize>,
    area: usize,
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    if !(c.eps > 0.0 && c.eps < 1.0) {
        return Err(Error::key("eps", format!("expected a number between 0 and 1, found {}", c.eps)));
    }
    let channels = input.first().copied().unwrap_or(0);
    check_range("groups", c.groups, 1..=channels.max(1))?;
    if channels % c.groups != 0 {
        return Err(Error::key("groups", format!("expected a divisor of the {channels} channels, found {}", c.groups)));
    }
    Ok(Box::new(GroupNorm {
        key: c.key,
        groups: c.groups,
        eps: c.eps,
        shape: input.to_vec(),
        area: input[1..].iter().product(),
    }))
}

impl GroupNorm {
    /// The normalised values x̂, `[n, groups, values of a group]`, and 1/std, `[n, groups, 1]`.
    fn normalise(&self, x: Rows) -> (Tensor<3>, Tensor<3>) {
        let [n, features] = x.dims();
        let x = x.reshape([n, self.groups, features / self.groups]);
        let centred = x.clone() - x.mean_dim(2);
        let inverse_std = ((centred.clone() * centred.clone()).mean_dim(2) + self.eps).sqrt().recip();
        (centred * inverse_std.clone(), inverse_std)
    }

    /// A tensor of the layer, `[1, channels, 1]`.
    fn channelwise(&self, name: &str, pass: &Pass) -> Tensor<3> {
        pass.parameters.shaped(&format!("{}.{name}", self.key), [1, self.shape[0], 1])
    }

    fn by_channel(&self, x: Tensor<3>) -> Tensor<3> {
        let [n, _, _] = x.dims();
        x.reshape([n, self.shape[0], self.area])
    }

    fn affine(&self, normalised: Tensor<3>, pass: &Pass) -> Rows {
        let y = self.by_channel(normalised) * self.channelwise("weight", pass) + self.channelwise("bias", pass);
        let [n, c, a] = y.dims();
        y.reshape([n, c * a])
    }
}

impl Layer for GroupNorm {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        into.extend([("weight", 1.0), ("bias", 0.0)].map(|(name, value)| ParameterSpec {
            key: format!("{}.{name}", self.key),
            shape: vec![self.shape[0]],
            init: Init::Constant(value),
            role: Role::Vector,
        }));
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        self.affine(self.normalise(x).0, pass)
    }

    // With x̂ = (x − mean)/std: ∂y = weight/std · (t − mean(t) − x̂ · mean(x̂ t)), with means over the group.
    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let [n, features] = x.dims();
        let group = features / self.groups;
        let (normalised, inverse_std) = self.normalise(x);
        let [_, k, _] = t.clone().cube().dims();
        let t = t.expanded(n).reshape([n, k, self.groups, group]);
        let hat = normalised.clone().reshape([n, 1, self.groups, group]);
        let along = (t.clone() * hat.clone()).mean_dim(3);
        let moved = (t.clone() - t.mean_dim(3) - hat * along) * inverse_std.reshape([n, 1, self.groups, 1]);
        let scaled = self.by_channel(moved.reshape([n * k, self.groups, group])) * self.channelwise("weight", pass);
        (self.affine(normalised, pass), Tangents::per_sample(scaled.reshape([n * k, features]), k))
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let [scale, shift] = ["weight", "bias"].map(|n| parameters.get(&format!("{}.{n}", self.key)).to_vec());
        let group = self.shape.iter().product::<usize>() / self.groups;
        Some(Plain::Norm { scale, shift, eps: self.eps, group, area: self.area, centred: true })
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn describe(&self) -> String {
        format!("group_norm {} channels in {} groups", self.shape[0], self.groups)
    }
}
