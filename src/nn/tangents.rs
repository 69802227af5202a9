//! Tangents on their way through a network: derivatives of an activation in k directions of the latent.
//!
//! Forward-mode differentiation carries a pair (x, t) through the layers, (x, t) ↦ (f(x), Df(x)·t). For n samples and k
//! directions, t is a cube `[n, k, features]`, stored as rows so that a linear layer can treat it as a larger batch:
//!
//!   rows  [n·k, features]     sample 0: t_0 … t_{k−1} | sample 1: t_0 … t_{k−1} | …
//!
//! Until the first nonlinear layer all samples have the same tangents, and `[k, features]` rows are enough; the first
//! linear layer of a generator then costs k rows instead of n·k. The first layer whose slope differs between samples
//! expands them.

use super::Rows;
use burn::tensor::Tensor;

/// Tangents in k directions for each of n samples: rows `[n·k, features]`, those of one sample next to each other; or
/// rows `[k, features]` as long as all samples share them.
#[derive(Clone)]
pub struct Tangents {
    rows: Rows,
    directions: usize,
    shared: bool,
}

impl Tangents {
    /// The same k tangents for every sample: rows `[k, features]`.
    pub fn shared(rows: Rows) -> Self {
        let directions = rows.dims()[0];
        Self { rows, directions, shared: true }
    }

    /// Separate tangents for each sample: rows `[n·k, features]` with k = `directions`, those of one sample next to
    /// each other.
    pub fn per_sample(rows: Rows, directions: usize) -> Self {
        Self { rows, directions, shared: false }
    }

    /// Applies a map that is linear and acts on each row separately: the tangent rule of a linear layer. Shared
    /// tangents stay shared.
    pub fn map(self, f: impl FnOnce(Rows) -> Rows) -> Self {
        Self { rows: f(self.rows), ..self }
    }

    /// Multiplies the tangents of each sample by its slope, `[n, features]`: the tangent rule of an elementwise layer.
    /// Shared tangents become separate.
    pub fn scale(self, slope: Rows) -> Self {
        let [n, features] = slope.dims();
        let k = self.directions;
        let rows = self.cube() * slope.reshape([n, 1, features]);
        Self { rows: rows.reshape([n * k, features]), directions: k, shared: false }
    }

    /// The tangents as a cube: `[n, k, features]`, or `[1, k, features]` as long as they are shared.
    pub fn cube(self) -> Tensor<3> {
        let [rows, features] = self.rows.dims();
        self.rows.reshape([rows / self.directions, self.directions, features])
    }

    /// Separate tangents for each sample, from a cube `[n, k, features]`.
    pub fn from_cube(cube: Tensor<3>) -> Self {
        let [n, k, features] = cube.dims();
        Self::per_sample(cube.reshape([n * k, features]), k)
    }

    /// The tangents as a cube `[n, k, features]`; shared ones are repeated for all `n` samples.
    pub fn expanded(self, n: usize) -> Tensor<3> {
        let shared = self.shared;
        let cube = self.cube();
        if shared { cube.repeat_dim(0, n) } else { cube }
    }

    /// Number of directions k.
    pub fn directions(&self) -> usize {
        self.directions
    }

    /// Tangents in the same directions of `features` values that do not depend on the latent.
    pub fn zeros(&self, features: usize) -> Self {
        Self::shared(Rows::zeros([self.directions, features], &self.rows.device()).cast(self.rows.dtype()))
    }

    /// The sum of the tangents of two branches; shared if both are.
    pub fn plus(self, other: Self) -> Self {
        if self.shared == other.shared {
            return Self { rows: self.rows + other.rows, ..self };
        }
        Self::from_cube(self.cube() + other.cube())
    }

    /// The tangents of what `join` makes of several values' rows, for `n` samples; shared if all are.
    pub fn joined(parts: Vec<Self>, n: usize, join: impl FnOnce(Vec<Rows>) -> Rows) -> Self {
        let (k, shared) = (parts[0].directions, parts.iter().all(|p| p.shared));
        let rows = |p: Self| if shared { p.rows } else { p.separate(n).rows };
        Self { rows: join(parts.into_iter().map(rows).collect()), directions: k, shared }
    }

    /// The same tangents, apart for each of `n` samples.
    pub fn separate(self, n: usize) -> Self {
        if self.shared { Self::from_cube(self.expanded(n)) } else { self }
    }

    /// The rows as they are: `[n·k, features]`, or `[k, features]` as long as they are shared.
    pub fn rows(self) -> Rows {
        self.rows
    }
}
