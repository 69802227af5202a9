//! The kinds of nodes that a graph file may name, one file each, and their table. A file holds the kind's keys, its forward
//! and tangent rules, and its plain terms. To add one, write its file and put its row into [`OPERATORS`].
//!
//! A node knows numbers of values rather than axes: a kind that works along an axis has keys `outer`, `size` (or `mid`) and
//! `inner`, the products of the sizes before, along and after that axis.

mod affine;
mod axis_mix;
mod concat;
mod constant;
mod conv_live;
mod convolution;
mod dense;
mod extreme;
mod index;
mod matmul;
mod norm_of;
mod normalise;
mod prelu;
mod product;
mod quotient;
mod rearrange;
mod select;
mod softmax;
mod step;
mod sum;
mod unary;
mod window_max;

pub use concat::Concat;
pub use index::Index;
pub use sum::Sum;
pub use unary::FUNCTIONS;

use super::{HostParameters, Init, Operator, ParameterSpec, Pass, Role, Rows};
use crate::error::{Error, Result, explain_toml};
use crate::limits;
use burn::tensor::Tensor;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::sync::Arc;

/// A kind of node: one row of the table [`OPERATORS`].
pub struct OperatorKind {
    /// Its name, as in `"kind": "…"` in a graph file.
    pub name: &'static str,
    /// Its number of inputs; `None` if it takes any number from 1.
    pub inputs: Option<usize>,
    /// One line for `isoline list operators`.
    pub about: &'static str,
    /// Makes the node and checks its keys.
    pub build: fn(Made) -> Result<Arc<dyn Operator>>,
}

/// Every kind of node that a graph file may name, in the order of `isoline list operators`.
pub static OPERATORS: &[OperatorKind] = &[
    rearrange::KIND,
    constant::KIND,
    concat::KIND,
    affine::KIND,
    axis_mix::KIND,
    dense::KIND,
    convolution::PLAIN,
    convolution::TRANSPOSED,
    conv_live::KIND,
    sum::KIND,
    product::KIND,
    quotient::KIND,
    matmul::KIND,
    unary::KIND,
    prelu::KIND,
    step::KIND,
    select::KIND,
    extreme::KIND,
    window_max::KIND,
    softmax::KIND,
    normalise::KIND,
    norm_of::KIND,
];

/// What a node is made from.
pub struct Made<'a> {
    /// How many indices the nodes of the network may still write out, all together.
    pub indices: &'a Cell<usize>,
    /// The keys of its kind.
    pub keys: serde_json::Map<String, serde_json::Value>,
    /// The per-sample shapes of its inputs.
    pub inputs: Vec<Vec<usize>>,
    /// The per-sample shape of its output.
    pub shape: Vec<usize>,
}

impl Made<'_> {
    /// The keys as the kind's own type.
    ///
    /// # Errors
    /// [`Error::Key`] for a key that is unknown, missing or of the wrong type.
    pub fn keys<C: DeserializeOwned>(&self) -> Result<C> {
        C::deserialize(serde_json::Value::Object(self.keys.clone()))
            .map_err(|e| Error::key("", explain_toml(&e.to_string())))
    }

    /// The list of as many indices as the node makes values times `width`, each below the number of values of its input.
    ///
    /// # Errors
    /// [`Error::Key`] at `index` for a list of another length, an index outside, or more than the network may have.
    pub fn list(&self, index: &Index, width: usize) -> Result<Vec<u32>> {
        let length = self.shape.iter().product::<usize>().saturating_mul(width);
        match self.indices.get().checked_sub(length) {
            Some(left) => self.indices.set(left),
            None => {
                let message = format!("more than {} indices in the lists of a network", limits::INDICES);
                return Err(Error::key("index", message));
            }
        }
        index.list(length, self.size(0))
    }

    /// Number of values of input `i`.
    pub fn size(&self, i: usize) -> usize {
        self.inputs[i].iter().product()
    }

    /// Checks that the node makes `size` values, as its shape says.
    ///
    /// # Errors
    /// [`Error::Key`] at `shape`.
    pub fn makes(&self, size: usize) -> Result<()> {
        if self.shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b)) == Some(size) {
            return Ok(());
        }
        Err(Error::key("shape", format!("expected {size} values, found {:?}", self.shape)))
    }

    /// Checks that all inputs have as many values as the output.
    ///
    /// # Errors
    /// [`Error::Key`] at `shape`.
    pub fn same_size(&self) -> Result<()> {
        (0..self.inputs.len()).try_for_each(|i| self.makes(self.size(i)))
    }

    /// Checks that input 0 has `sizes` in all, that is, their product.
    ///
    /// # Errors
    /// [`Error::Key`] at `key`.
    pub fn reads(&self, input: usize, key: &str, sizes: &[usize]) -> Result<()> {
        let product = sizes.iter().try_fold(1usize, |a, b| a.checked_mul(*b));
        if product == Some(self.size(input)) && product != Some(0) {
            return Ok(());
        }
        Err(Error::key(key, format!("expected sizes of {} values in all, found {sizes:?}", self.size(input))))
    }
}

/// A tensor that a node of a graph file reads. Such networks are not trained.
fn tensor(key: &str, shape: Vec<usize>) -> ParameterSpec {
    ParameterSpec { key: key.to_owned(), shape, init: Init::Constant(0.0), role: Role::Statistic }
}

/// Rows as `[n, outer, mid, inner]`.
fn split(x: Rows, [outer, mid, inner]: [usize; 3]) -> Tensor<4> {
    let n = x.dims()[0];
    x.reshape([n, outer, mid, inner])
}

/// The inverse of [`split`].
fn join(x: Tensor<4>) -> Rows {
    let [n, outer, mid, inner] = x.dims();
    x.reshape([n, outer * mid * inner])
}

/// scale·x + shift along the middle axis of `[outer, mid, inner]`, from tensors `[mid]` by name.
struct Line {
    sizes: [usize; 3],
    scale: Option<String>,
    shift: Option<String>,
}

impl Line {
    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        into.extend([&self.scale, &self.shift].into_iter().flatten().map(|key| tensor(key, vec![self.sizes[1]])));
    }

    fn along(&self, key: &str, pass: &Pass) -> Tensor<4> {
        pass.parameters.shaped(key, [1, 1, self.sizes[1], 1])
    }

    fn scaled(&self, x: Rows, pass: &Pass) -> Rows {
        match &self.scale {
            Some(key) => join(split(x, self.sizes) * self.along(key, pass)),
            None => x,
        }
    }

    fn of(&self, x: Rows, pass: &Pass) -> Rows {
        let y = self.scaled(x, pass);
        match &self.shift {
            Some(key) => join(split(y, self.sizes) + self.along(key, pass)),
            None => y,
        }
    }

    /// Scales and shifts, a pair for each run of `inner` values.
    fn pairs(&self, parameters: &HostParameters) -> [Vec<f32>; 2] {
        let [outer, mid, _] = self.sizes;
        let each = |key: &Option<String>, otherwise: f32| match key {
            Some(key) => parameters.get(key).repeat(outer),
            None => vec![otherwise; outer * mid],
        };
        [each(&self.scale, 1.0), each(&self.shift, 0.0)]
    }
}
