//! Self-attention between the places of a picture. In each head, with Q, K and V of shape `[places, w]`,
//!
//!   A = softmax(QKᵀ/√w),   y = A·V,
//!
//! and then one linear map over the channels of all heads. The norm before it and the residual connection around it are
//! layers of their own.

use super::planes;
use crate::error::{Error, Result};
use crate::nn::{
    Build, Character, Init, Layer, LayerKind, ParameterSpec, Pass, Role, Rows, Tangents, check_range, parse_layer,
};
use crate::nn::{HostParameters, Plain};
use burn::tensor::{Tensor, activation::softmax};

pub const KIND: LayerKind = LayerKind {
    name: "attention",
    about: "self-attention between places; keys: key (reads key.qkv and key.out), heads = 1, zero = false",
    build: Build::Layer(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: String,
    #[serde(default = "one")]
    heads: usize,
    #[serde(default)]
    zero: bool,
}

fn one() -> usize {
    1
}

struct Attention {
    key: String,
    heads: usize,
    zero: bool,
    shape: [usize; 3],
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    let shape = planes(input)?;
    check_range("heads", c.heads, 1..=shape[0])?;
    if !shape[0].is_multiple_of(c.heads) {
        return Err(Error::key("heads", format!("expected a divisor of the {} channels, found {}", shape[0], c.heads)));
    }
    Ok(Box::new(Attention { key: c.key, heads: c.heads, zero: c.zero, shape }))
}

/// What the value pass keeps for the tangents: Q, K and V, each `[n, heads, places, w]`, and the attention weights,
/// `[n, heads, places, places]`.
struct HeadValues {
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    weights: Tensor<4>,
}

impl Attention {
    fn channels(&self) -> usize {
        self.shape[0]
    }

    fn places(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// A 1×1 convolution, with or without its bias: `[n, in·places] → [n, out·places]`, channel-major.
    fn mix(&self, x: Rows, name: &str, out: usize, bias: bool, pass: &Pass) -> Rows {
        let [n, features] = x.dims();
        let (inputs, places) = (features / self.places(), self.places());
        let weight: Tensor<3> = pass.parameters.shaped(&format!("{}.{name}.weight", self.key), [1, out, inputs]);
        let y = weight.repeat_dim(0, n).matmul(x.reshape([n, inputs, places]));
        let y = match bias {
            true => y + pass.parameters.shaped(&format!("{}.{name}.bias", self.key), [1, out, 1]),
            false => y,
        };
        y.reshape([n, out * places])
    }

    /// Q, K and V of x (`[rows, channels·places]`), each `[rows, heads, places, w]`. Tangents use it without the bias.
    fn heads(&self, x: Rows, bias: bool, pass: &Pass) -> [Tensor<4>; 3] {
        let [n, _] = x.dims();
        let (c, h, s) = (self.channels(), self.heads, self.places());
        let all = self.mix(x, "qkv", 3 * c, bias, pass).reshape([n, 3 * h, c / h, s]).swap_dims(2, 3);
        [0, 1, 2].map(|i| all.clone().narrow(1, i * h, h))
    }

    /// 1/√w, the factor of the logits.
    fn scale(&self) -> f64 {
        1.0 / ((self.channels() / self.heads) as f64).sqrt()
    }

    fn parts(&self, x: Rows, pass: &Pass) -> HeadValues {
        let [q, k, v] = self.heads(x, true, pass);
        let weights = softmax(q.clone().matmul(k.clone().swap_dims(2, 3)) * self.scale(), 3);
        HeadValues { q, k, v, weights }
    }

    /// The heads' results, `[rows, heads, places, w]`, passed through the last linear map to `[rows, channels·places]`.
    fn out(&self, y: Tensor<4>, bias: bool, pass: &Pass) -> Rows {
        let [n, ..] = y.dims();
        let rows = y.swap_dims(2, 3).reshape([n, self.channels() * self.places()]);
        self.mix(rows, "out", self.channels(), bias, pass)
    }
}

/// Puts the k directions of a sample beside its places, so that a single product with the sample's own matrix serves
/// all of them: `[n·k, heads, places, w] → [n, heads, k·places, w]`.
fn beside(t: Tensor<4>, k: usize) -> Tensor<4> {
    let [rows, h, s, w] = t.dims();
    t.reshape([rows / k, k, h, s, w]).swap_dims(1, 2).reshape([rows / k, h, k * s, w])
}

/// The inverse of [`beside`].
fn apart(t: Tensor<4>, k: usize) -> Tensor<4> {
    let [n, h, ks, w] = t.dims();
    t.reshape([n, h, k, ks / k, w]).swap_dims(1, 2).reshape([n * k, h, ks / k, w])
}

impl Layer for Attention {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        let c = self.channels();
        for (name, out, zero) in [("qkv", 3 * c, false), ("out", c, self.zero)] {
            let init = if zero { Init::Constant(0.0) } else { Init::FanIn(c) };
            let key = |part: &str| format!("{}.{name}.{part}", self.key);
            into.push(ParameterSpec { key: key("weight"), shape: vec![out, c], init, role: Role::Weight });
            into.push(ParameterSpec { key: key("bias"), shape: vec![out], init, role: Role::Vector });
        }
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let p = self.parts(x, pass);
        self.out(p.weights.matmul(p.v), true, pass)
    }

    // With L = QKᵀ/√w and A = softmax(L):  ∂L = (∂Q Kᵀ + Q ∂Kᵀ)/√w,  ∂A = A ∘ (∂L − Σ_j A_j ∂L_j),  ∂y = ∂A V + A ∂V.
    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let [n, features] = x.dims();
        let p = self.parts(x, pass);
        let [_, k, _] = t.clone().cube().dims();
        let (h, s) = (self.heads, self.places());
        let [dq, dk, dv] = self.heads(t.expanded(n).reshape([n * k, features]), false, pass);
        let moved_q = apart(beside(dq, k).matmul(p.k.swap_dims(2, 3)), k);
        let moved_k = beside(dk, k).matmul(p.q.swap_dims(2, 3));
        let moved_k = apart(moved_k, k).swap_dims(2, 3);
        let logits = (moved_q + moved_k) * self.scale();
        let weights = p.weights.clone().reshape([n, 1, h, s, s]);
        let logits = logits.reshape([n, k, h, s, s]);
        let mean = (logits.clone() * weights.clone()).sum_dim(4);
        let turned = ((logits - mean) * weights).reshape([n * k, h, s, s]);
        let by_weights = apart(beside(turned, k).matmul(p.v.clone()), k);
        // A ∂V for all k at once; here the directions stand beside the width w.
        let [_, _, _, w] = dv.dims();
        let wide = dv.reshape([n, k, h, s, w]).permute([0, 2, 3, 1, 4]).reshape([n, h, s, k * w]);
        let by_values = p.weights.clone().matmul(wide).reshape([n, h, s, k, w]).permute([0, 3, 1, 2, 4]);
        let dy = by_weights + by_values.reshape([n * k, h, s, w]);
        (self.out(p.weights.matmul(p.v), true, pass), Tangents::per_sample(self.out(dy, false, pass), k))
    }

    // Q, K and V, the logits and the weights, the weighted sums, the output.
    fn activations(&self) -> usize {
        5 * self.channels() * self.places() + 2 * self.heads * self.places() * self.places()
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let get =
            |name: &str| ["weight", "bias"].map(|part| parameters.get(&format!("{}.{name}.{part}", self.key)).to_vec());
        let sizes = [self.channels(), self.places(), self.heads];
        Some(Plain::Attention { sizes, qkv: get("qkv"), out: get("out") })
    }

    fn character(&self) -> Character {
        Character::Smooth
    }

    fn describe(&self) -> String {
        format!("attention {} channels in {} heads over {} places", self.channels(), self.heads, self.places())
    }
}
