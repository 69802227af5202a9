//! Weights, kept beside the network as flat tensors by name; what a network expects of them; and their initial values.

use crate::noise::{self, Stream};
use crate::store::Weights;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::collections::BTreeMap;

/// How a tensor is initialised when a network is trained from scratch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform between ±1/√fan_in: for weights and biases of linear and convolution layers, as in PyTorch.
    FanIn(usize),
    /// A constant: scales and shifts of norms, and layers that start at zero.
    Constant(f32),
}

/// What a tensor means to its layer. This decides whether and how it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A convolution or linear weight.
    Weight,
    /// A bias, or a norm's scale or shift.
    Vector,
    /// A running statistic or another fixed table: never trained by gradients.
    Statistic,
}

/// A tensor that a layer reads from the weights file.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// Its name in the weights file.
    pub key: String,
    /// Its shape in the weights file, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// How it starts in training.
    pub init: Init,
    /// What it means to its layer.
    pub role: Role,
}

/// The differences between what the layers read and what a weights file holds.
#[derive(Clone, Debug, Default)]
pub struct Mismatch {
    /// Tensors that the file lacks, each with the nearest name in the file, if one is close.
    pub missing: Vec<(String, Option<String>)>,
    /// Tensors whose shape differs: (name, shape expected, shape found).
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Tensors that a layer reads, but whose values are not floats: (name, what was found).
    pub unread: Vec<(String, String)>,
    /// Tensors in the file that no layer reads.
    pub extra: Vec<String>,
}

impl Mismatch {
    /// Compares `specs` with `weights`. Names that begin with one of `ignore` do not count as extra, nor does the
    /// `num_batches_tracked` that PyTorch's batch norm keeps.
    pub fn between(specs: &[ParameterSpec], weights: &Weights, ignore: &[String]) -> Self {
        let mut found = Self::default();
        for spec in specs {
            match weights.get(&spec.key) {
                None if weights.unread().contains_key(&spec.key) => {
                    found.unread.push((spec.key.clone(), weights.unread()[&spec.key].clone()));
                }
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

    /// Whether there are no differences.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.misshaped.is_empty() && self.unread.is_empty() && self.extra.is_empty()
    }

    /// What is said of a tensor whose values are not floats but `found`.
    pub fn unread_as(found: &str) -> String {
        format!("expected floats, found {found}; quantised weights are not read, take or save them in f16 or f32")
    }

    /// The differences in one line, for an error: the first of each kind and the number of others.
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
        if let Some((name, found)) = self.unread.first() {
            parts.push(format!("tensor \"{name}\": {}{}", Self::unread_as(found), more(self.unread.len())));
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

/// ` (and N more)` after the first of `count`.
fn more(count: usize) -> String {
    if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() }
}

/// The weights of a network on a device, by name. Each tensor is flattened to one dimension; layers know the shapes.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    tensors: BTreeMap<String, Tensor<1>>,
}

impl Parameters {
    /// Copies the tensors that `specs` name to `device`, not tracked by autodiff. Compare `specs` with `weights` by
    /// [`Mismatch::between`] first: a name that is absent is skipped here, and [`get`](Self::get) panics on it later.
    pub fn upload(specs: &[ParameterSpec], weights: &Weights, device: &Device) -> Self {
        let tensors = specs
            .iter()
            .filter_map(|s| weights.get(&s.key).map(|t| (s.key.clone(), upload(t.values.clone(), device))))
            .collect();
        Self { tensors }
    }

    /// The same in numbers of another type, for checks below the rounding of f32.
    #[must_use]
    pub fn cast(self, dtype: DType) -> Self {
        Self { tensors: self.tensors.into_iter().map(|(name, t)| (name, t.cast(dtype))).collect() }
    }

    /// Copies parameters, given as (name, flat values) in host memory, to `device`.
    pub fn from_values(values: impl IntoIterator<Item = (String, Vec<f32>)>, device: &Device) -> Self {
        Self { tensors: values.into_iter().map(|(name, v)| (name, upload(v, device))).collect() }
    }

    /// The flat tensor named `key`.
    ///
    /// # Panics
    /// If there is none. Layers ask only for what they list in [`Layer::parameters`](super::Layer::parameters).
    pub fn get(&self, key: &str) -> Tensor<1> {
        self.tensors[key].clone()
    }

    /// The flat tensor named `key`, if there is one.
    pub fn find(&self, key: &str) -> Option<Tensor<1>> {
        self.tensors.get(key).cloned()
    }

    /// The tensor named `key`, reshaped to `shape`. Panics if there is none or if the sizes differ.
    pub fn shaped<const D: usize>(&self, key: &str, shape: [usize; D]) -> Tensor<D> {
        self.get(key).reshape(shape)
    }

    /// Sets the flat tensor named `key`; one that had this name is replaced.
    pub fn set(&mut self, key: &str, tensor: Tensor<1>) {
        self.tensors.insert(key.to_owned(), tensor);
    }

    /// All names and flat tensors, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.tensors.iter().map(|(k, t)| (k.as_str(), t))
    }

    /// The same values. Those whose names are `tracked` become leaves of a fresh autodiff graph; the others are
    /// constants.
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
    /// Flat initial values for training, which depend only on the seed and the name. With `normal`, weights under the
    /// fan-in rule are drawn from N(0, normal²) instead and their biases are 0, as in DCGAN.
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

/// Flat host values on `device`.
fn upload(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}
