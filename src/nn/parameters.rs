//! Weights beside the network: flat tensors by name.

use crate::noise::{self, Stream};
use crate::store::Weights;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeMap;

/// How a tensor starts when a network is trained from nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform on ±1/√fan_in: weights and biases of linear and convolution layers.
    FanIn(usize),
    /// A constant: norms.
    Constant(f32),
}

/// Whether a tensor is trained or only kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A convolution or linear weight.
    Weight,
    /// A bias, or a norm's scale or shift.
    Vector,
    /// A running statistic, not trained by gradients.
    Statistic,
}

/// A tensor that a layer reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// Name in the weights file.
    pub key: String,
    /// Shape in the weights file, PyTorch's layout.
    pub shape: Vec<usize>,
    /// Start value.
    pub init: Init,
    /// Trained or not.
    pub role: Role,
}

/// What is wrong between the layers and a weights file, name by name.
#[derive(Clone, Debug, Default)]
pub struct Mismatch {
    /// (name, nearest name in the file)
    pub missing: Vec<(String, Option<String>)>,
    /// (name, expected shape, found shape)
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Names in the file that no layer reads.
    pub extra: Vec<String>,
}

impl Mismatch {
    /// Compares `specs` with `weights`; names that start with one of `ignore`, and the counters that
    /// PyTorch's batch norm keeps, are not extra.
    pub fn between(specs: &[ParameterSpec], weights: &Weights, ignore: &[String]) -> Self {
        let mut found = Self::default();
        for spec in specs {
            match weights.get(&spec.key) {
                None => {
                    let near = crate::error::nearest(&spec.key, weights.names()).map(str::to_owned);
                    found.missing.push((spec.key.clone(), near));
                }
                Some(t) if t.shape != spec.shape => {
                    found.misshaped.push((spec.key.clone(), spec.shape.clone(), t.shape.clone()));
                }
                Some(_) => {}
            }
        }
        let read: std::collections::BTreeSet<&str> = specs.iter().map(|s| s.key.as_str()).collect();
        found.extra = weights
            .names()
            .filter(|n| !read.contains(n) && !n.ends_with("num_batches_tracked"))
            .filter(|n| !ignore.iter().any(|prefix| n.starts_with(prefix.as_str())))
            .map(str::to_owned)
            .collect();
        found
    }

    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.misshaped.is_empty() && self.extra.is_empty()
    }

    /// One line: the first fault of each sort and how many more there are.
    pub fn message(&self) -> String {
        let mut parts = Vec::new();
        if let Some((name, near)) = self.missing.first() {
            let near = near.as_ref().map(|n| format!(", nearest in the file: \"{n}\"")).unwrap_or_default();
            parts.push(format!("tensor \"{name}\" is missing{near}{}", more(self.missing.len())));
        }
        if let Some((name, expected, found)) = self.misshaped.first() {
            parts.push(format!(
                "tensor \"{name}\": expected shape {expected:?}, found {found:?}{}",
                more(self.misshaped.len())
            ));
        }
        if let Some(name) = self.extra.first() {
            parts.push(format!(
                "tensor \"{name}\" is read by no layer{}; list its prefix under weights.ignore if that is meant",
                more(self.extra.len())
            ));
        }
        parts.join("; ")
    }
}

fn more(count: usize) -> String {
    if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() }
}

/// The weights of a network on a device, each flattened to one dimension, by name.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    tensors: BTreeMap<String, Tensor<1>>,
}

impl Parameters {
    /// Puts the tensors that `specs` name on `device`, without autodiff. The caller has compared
    /// `specs` with `weights` by [`Mismatch::between`]; a name that is absent all the same is skipped.
    pub fn upload(specs: &[ParameterSpec], weights: &Weights, device: &Device) -> Self {
        let tensors = specs
            .iter()
            .filter_map(|s| weights.get(&s.key).map(|t| (s.key.clone(), upload(t.values.clone(), device))))
            .collect();
        Self { tensors }
    }

    /// Parameters from host values.
    pub fn from_values(values: impl IntoIterator<Item = (String, Vec<f32>)>, device: &Device) -> Self {
        Self { tensors: values.into_iter().map(|(name, v)| (name, upload(v, device))).collect() }
    }

    /// The flat tensor under `key`.
    ///
    /// # Panics
    /// When the key is absent: layers ask only for what they have listed as their parameters.
    pub fn get(&self, key: &str) -> Tensor<1> {
        self.tensors[key].clone()
    }

    /// The flat tensor under `key`, where there is one.
    pub fn find(&self, key: &str) -> Option<Tensor<1>> {
        self.tensors.get(key).cloned()
    }

    /// The tensor under `key` with its shape.
    pub fn shaped<const D: usize>(&self, key: &str, shape: [usize; D]) -> Tensor<D> {
        self.get(key).reshape(shape)
    }

    /// Replaces or adds a tensor.
    pub fn set(&mut self, key: &str, tensor: Tensor<1>) {
        self.tensors.insert(key.to_owned(), tensor);
    }

    /// Names and tensors in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.tensors.iter().map(|(k, t)| (k.as_str(), t))
    }

    /// The same parameters as leaves of a fresh autodiff graph where `tracked` says so.
    pub fn tracked(&self, tracked: impl Fn(&str) -> bool) -> Self {
        let tensors = self
            .tensors
            .iter()
            .map(|(k, t)| {
                let t = if tracked(k) { t.clone().autodiff().require_grad() } else { t.clone() };
                (k.clone(), t)
            })
            .collect();
        Self { tensors }
    }
}

impl ParameterSpec {
    /// Start values for training, a pure function of (seed, name). `normal` replaces the fan-in rule
    /// for weights by N(0, normal²) and their biases by 0, the custom of DCGAN.
    pub fn start(&self, seed: u64, normal: Option<f32>) -> Vec<f32> {
        let n = self.shape.iter().product();
        let name = crate::store::sha256_hex(self.key.as_bytes());
        let id = u64::from_str_radix(&name[..15], 16).unwrap_or(0);
        match (self.init, normal, self.role) {
            (Init::Constant(c), _, _) => vec![c; n],
            (Init::FanIn(_), Some(std), Role::Weight) => {
                noise::normals(seed, id, Stream::Init, 0, n).iter().map(|v| v * std).collect()
            }
            (Init::FanIn(_), Some(_), _) => vec![0.0; n],
            (Init::FanIn(fan), None, _) => {
                let bound = 1.0 / (fan.max(1) as f32).sqrt();
                noise::uniforms(seed, id, Stream::Init, 0, n).iter().map(|u| (2.0 * u - 1.0) * bound).collect()
            }
        }
    }
}

fn upload(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}
