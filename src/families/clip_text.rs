//! CLIP's text network (arXiv 2103.00020), which turns the numbers of a prompt into what a denoiser attends to.
//!
//! ```text
//! x = tokens + positions;   x += out(attention(LN₁ x)), each place seeing those before it;   x += fc₂(act(fc₁(LN₂ x)))
//! ```
//!
//! and a last norm. What depends on a prompt alone is computed once for it, so nothing here carries tangents.

use super::tokenizer::Tokens;
use crate::device::Device;
use crate::error::{Error, Result, did_you_mean};
use crate::store::{Weights, read_bounded};
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Tensor, TensorData};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most bytes of a component's config.
const CONFIG: u64 = 1 << 20;
/// The published networks say 2 where they mean the last number of their vocabulary; their pooled row is then that of the greatest number.
const OLD_EOS: u32 = 2;
/// What a logit of a place that must not be seen is lowered by.
const UNSEEN: f64 = -1e30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activation {
    /// x·σ(1.702·x).
    QuickGelu,
    /// x·Φ(x).
    Gelu,
}

/// The keys of a config that change the network.
#[derive(Deserialize)]
struct Config {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    vocab_size: usize,
    #[serde(default = "positions")]
    max_position_embeddings: usize,
    #[serde(default = "quick")]
    hidden_act: String,
    #[serde(default = "eps")]
    layer_norm_eps: f64,
    #[serde(default = "old_eos")]
    eos_token_id: u32,
    #[serde(default)]
    projection_dim: usize,
    #[serde(default)]
    architectures: Vec<String>,
}

fn positions() -> usize {
    77
}

fn quick() -> String {
    "quick_gelu".into()
}

fn eps() -> f64 {
    1e-5
}

fn old_eos() -> u32 {
    OLD_EOS
}

/// A text network.
pub struct ClipText {
    config: Config,
    activation: Activation,
    tensors: BTreeMap<String, (Tensor<1>, Vec<usize>)>,
    /// Rows of the two tables, on the host: a prompt picks some.
    tokens: Vec<f32>,
    places: Vec<f32>,
    dtype: DType,
    device: Device,
}

/// What the network says of prompts.
pub struct Encoded {
    /// The states after the embedding and after each layer, `[n, places, width]`.
    pub states: Vec<Tensor<3>>,
    /// The last of them after the last norm.
    pub last: Tensor<3>,
    /// One row for each prompt: the last state at its end, projected where the network has a projection. `[n, width]`.
    pub pooled: Tensor<2>,
}

impl ClipText {
    /// Reads `config.json` and `model.safetensors` of a folder. Numbers of the type `dtype` are computed with.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Input`] for a key, or for a tensor that is missing, of another shape, or left over.
    pub fn read(folder: &Path, weights: &str, dtype: DType, device: &Device) -> Result<Self> {
        let place = folder.join("config.json");
        let config: Config = serde_json::from_slice(&read_bounded(&place, CONFIG)?)
            .map_err(|e| Error::input(&place, format!("expected the config of a CLIP text network: {e}")))?;
        let bad = |key: &str, message: String| Err(Error::input(&place, format!("{key}: {message}")));
        let activation = match config.hidden_act.as_str() {
            "quick_gelu" => Activation::QuickGelu,
            "gelu" => Activation::Gelu,
            other => {
                let near = did_you_mean(other, ["quick_gelu", "gelu"]);
                return bad("hidden_act", format!("unknown activation \"{}\"{near}", other.escape_debug()));
            }
        };
        let bounded = (1..=128).contains(&config.num_hidden_layers)
            && [
                config.hidden_size,
                config.intermediate_size,
                config.max_position_embeddings,
                config.projection_dim.max(1),
            ]
            .iter()
            .all(|n| (1..=65_536).contains(n))
            && (1..=10_000_000).contains(&config.vocab_size);
        if !bounded {
            return bad(
                "hidden_size, num_hidden_layers, vocab_size",
                "a size is 0 or beyond every text network".into(),
            );
        }
        if config.num_attention_heads == 0 || !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            let message = format!(
                "expected a divisor of hidden_size {}, found {}",
                config.hidden_size, config.num_attention_heads
            );
            return bad("num_attention_heads", message);
        }
        let file = folder.join(weights);
        let read = Weights::read(&file)?;
        // Published files have the prefix, those that transformers 5 writes have not.
        let prefix = if read.get("text_model.final_layer_norm.weight").is_some() { "text_model." } else { "" };
        let specs = config.tensors();
        let mut known: BTreeSet<String> = BTreeSet::from([format!("{prefix}embeddings.position_ids")]);
        let mut values = BTreeMap::new();
        for (name, shape) in &specs {
            let full = if name == PROJECTION { name.clone() } else { format!("{prefix}{name}") };
            let found = match read.get(&full) {
                Some(t) if t.shape == *shape => t.values.clone(),
                Some(t) => {
                    return Err(Error::input(
                        &file,
                        format!("tensor {full}: expected the shape {shape:?}, found {:?}", t.shape),
                    ));
                }
                None => return Err(Error::input(&file, format!("tensor {full}: missing; its shape is {shape:?}"))),
            };
            known.insert(full);
            values.insert(name.clone(), (found, shape.clone()));
        }
        if let Some(left) = read.names().find(|name| !known.contains(*name)) {
            return Err(Error::input(&file, format!("tensor {left}: not a part of this network")));
        }
        let mut take = |name: &str| values.remove(name).map(|v| v.0).unwrap_or_default();
        let (tokens, places) = (take(TOKENS), take(PLACES));
        let upload = |(values, shape): (Vec<f32>, Vec<usize>)| {
            let n = values.len();
            (Tensor::from_data(TensorData::new(values, [n]).convert_dtype(dtype), (device, dtype)), shape)
        };
        let tensors = values.into_iter().map(|(name, v)| (name, upload(v))).collect();
        Ok(Self { config, activation, tensors, tokens, places, dtype, device: device.clone() })
    }

    /// Every tensor that a folder's file must have, without a prefix, and its shape, by the `config` of a component.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn expected(config: &serde_json::Value) -> Result<Vec<(String, Vec<usize>)>> {
        let config: Config = serde_json::from_value(config.clone()).map_err(|e| Error::key("", e.to_string()))?;
        Ok(config.tensors())
    }

    /// Number of values of a state's place.
    pub fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Encodes prompts.
    ///
    /// # Errors
    /// [`Error::Key`] for tokens of another tokenizer.
    pub fn encode(&self, prompts: &[Tokens]) -> Result<Encoded> {
        let Config { hidden_size: width, vocab_size, max_position_embeddings, .. } = self.config;
        let places = prompts.first().map_or(0, |p| p.ids.len());
        let mut values = Vec::with_capacity(prompts.len() * places * width);
        for prompt in prompts {
            if prompt.ids.len() != places || places > max_position_embeddings {
                let message = format!(
                    "expected at most {max_position_embeddings} tokens a prompt, as many for each, found {}",
                    prompt.ids.len()
                );
                return Err(Error::key("prompt", message));
            }
            for (place, id) in prompt.ids.iter().enumerate() {
                let id = *id as usize;
                if id >= vocab_size {
                    let message =
                        format!("the tokenizer's number {id} is beyond the network's vocabulary of {vocab_size}");
                    return Err(Error::key("tokenizer", message));
                }
                let [token, at] = [&self.tokens[id * width..], &self.places[place * width..]];
                values.extend(token[..width].iter().zip(&at[..width]).map(|(a, b)| f64::from(*a) + f64::from(*b)));
            }
        }
        let shape = [prompts.len(), places, width];
        let data = TensorData::new(values, shape).convert_dtype(self.dtype);
        let mut x: Tensor<3> = Tensor::from_data(data, (&self.device, self.dtype));
        let mut states = vec![x.clone()];
        for layer in 0..self.config.num_hidden_layers {
            let at = |part: &str| format!("encoder.layers.{layer}.{part}");
            let attended = self.attention(self.norm(x.clone(), &at("layer_norm1")), &at("self_attn"));
            x = x + attended;
            let inner = self.dense(self.norm(x.clone(), &at("layer_norm2")), &at("mlp.fc1"));
            let inner = match self.activation {
                Activation::QuickGelu => inner.clone() * burn::tensor::activation::sigmoid(inner * 1.702),
                Activation::Gelu => burn::tensor::activation::gelu(inner),
            };
            x = x + self.dense(inner, &at("mlp.fc2"));
            states.push(x.clone());
        }
        let last = self.last_norm(x);
        let ends = prompts.iter().enumerate().map(|(i, p)| last.clone().narrow(0, i, 1).narrow(1, self.end_of(p), 1));
        let pooled = Tensor::cat(ends.collect(), 0).reshape([prompts.len(), width]);
        let pooled = match self.tensors.get(PROJECTION) {
            Some((w, shape)) => pooled.matmul(w.clone().reshape([shape[0], shape[1]]).transpose()),
            None => pooled,
        };
        Ok(Encoded { states, last, pooled })
    }

    /// The last norm, of a state.
    pub fn last_norm(&self, state: Tensor<3>) -> Tensor<3> {
        self.norm(state, "final_layer_norm")
    }

    /// The place whose state stands for the whole prompt.
    fn end_of(&self, prompt: &Tokens) -> usize {
        let eos = match self.config.eos_token_id {
            OLD_EOS => prompt.ids.iter().copied().max().unwrap_or_default(),
            id => id,
        };
        prompt.ids.iter().position(|id| *id == eos).unwrap_or_default()
    }

    fn vector(&self, name: &str) -> Tensor<3> {
        let (values, shape) = &self.tensors[name];
        values.clone().reshape([1, 1, shape[0]])
    }

    fn dense(&self, x: Tensor<3>, name: &str) -> Tensor<3> {
        let (weight, shape) = &self.tensors[&format!("{name}.weight")];
        let [n, places, width] = x.dims();
        let weight = weight.clone().reshape([shape[0], shape[1]]).transpose();
        let y = x.reshape([n * places, width]).matmul(weight).reshape([n, places, shape[0]]);
        y + self.vector(&format!("{name}.bias"))
    }

    fn norm(&self, x: Tensor<3>, name: &str) -> Tensor<3> {
        let centred = x.clone() - x.mean_dim(2);
        let variance = (centred.clone() * centred.clone()).mean_dim(2);
        let scaled = centred / (variance + self.config.layer_norm_eps).sqrt();
        scaled * self.vector(&format!("{name}.weight")) + self.vector(&format!("{name}.bias"))
    }

    fn attention(&self, x: Tensor<3>, name: &str) -> Tensor<3> {
        let [n, places, width] = x.dims();
        let heads = self.config.num_attention_heads;
        let split = |part: &str| -> Tensor<4> {
            let y = self.dense(x.clone(), &format!("{name}.{part}_proj"));
            y.reshape([n, places, heads, width / heads]).swap_dims(1, 2)
        };
        let [q, k, v] = ["q", "k", "v"].map(split);
        let unseen: Vec<f32> =
            (0..places * places).map(|i| if i % places > i / places { UNSEEN as f32 } else { 0.0 }).collect();
        let unseen = TensorData::new(unseen, [1, 1, places, places]).convert_dtype(self.dtype);
        let unseen: Tensor<4> = Tensor::from_data(unseen, (&self.device, self.dtype));
        let logits = q.matmul(k.swap_dims(2, 3)) * (1.0 / ((width / heads) as f64).sqrt()) + unseen;
        let seen = softmax(logits, 3).matmul(v).swap_dims(1, 2).reshape([n, places, width]);
        self.dense(seen, &format!("{name}.out_proj"))
    }
}

const TOKENS: &str = "embeddings.token_embedding.weight";
const PLACES: &str = "embeddings.position_embedding.weight";
const PROJECTION: &str = "text_projection.weight";

impl Config {
    /// Every tensor, without the prefix, and its shape.
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let mut all = vec![
            (TOKENS.to_owned(), vec![self.vocab_size, width]),
            (PLACES.to_owned(), vec![self.max_position_embeddings, width]),
        ];
        let mut put = |name: String, out: usize, input: Option<usize>| {
            let weight = input.map_or_else(|| vec![out], |input| vec![out, input]);
            all.push((format!("{name}.weight"), weight));
            all.push((format!("{name}.bias"), vec![out]));
        };
        for i in 0..self.num_hidden_layers {
            let at = |part: &str| format!("encoder.layers.{i}.{part}");
            ["q", "k", "v", "out"].iter().for_each(|p| put(at(&format!("self_attn.{p}_proj")), width, Some(width)));
            put(at("mlp.fc1"), inner, Some(width));
            put(at("mlp.fc2"), width, Some(inner));
            [at("layer_norm1"), at("layer_norm2")].into_iter().for_each(|name| put(name, width, None));
        }
        put("final_layer_norm".into(), width, None);
        if self.architectures.iter().any(|a| a == "CLIPTextModelWithProjection") {
            all.push((PROJECTION.to_owned(), vec![self.projection_dim, width]));
        }
        all
    }
}
