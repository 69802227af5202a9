//! Tangent vectors on their way through a network.

use super::Rows;
use burn::tensor::Tensor;

/// `k` directions for each of `n` samples: rows `[n·k, features]`, sample-major; or, as long as all
/// samples still share them (before the first nonlinear layer), rows `[k, features]` only. Sharing
/// makes the first linear layer of a generator cost `k` rows instead of `n·k`.
#[derive(Clone)]
pub struct Tangents {
    rows: Rows,
    directions: usize,
    shared: bool,
}

impl Tangents {
    /// The same `k` directions, rows `[k, features]`, for every sample.
    pub fn shared(rows: Rows) -> Self {
        let directions = rows.dims()[0];
        Self { rows, directions, shared: true }
    }

    /// Each sample its own `directions`: rows `[n·directions, features]`, sample-major.
    pub fn per_sample(rows: Rows, directions: usize) -> Self {
        Self { rows, directions, shared: false }
    }

    /// Applies a linear map, row by row.
    pub fn map(self, f: impl FnOnce(Rows) -> Rows) -> Self {
        Self { rows: f(self.rows), ..self }
    }

    /// Multiplies by a per-sample slope `[n, features]` (the rule of an elementwise layer).
    pub fn scale(self, slope: Rows) -> Self {
        let [n, features] = slope.dims();
        let k = self.directions;
        let rows = self.cube() * slope.reshape([n, 1, features]);
        Self { rows: rows.reshape([n * k, features]), directions: k, shared: false }
    }

    /// As a cube `[n, k, features]`, or `[1, k, features]` while shared.
    pub fn cube(self) -> Tensor<3> {
        let [rows, features] = self.rows.dims();
        self.rows.reshape([rows / self.directions, self.directions, features])
    }

    /// From a cube `[n, k, features]` with a direction set for each sample.
    pub fn from_cube(cube: Tensor<3>) -> Self {
        let [n, k, features] = cube.dims();
        Self::per_sample(cube.reshape([n * k, features]), k)
    }

    /// As a cube `[n, k, features]` for `n` samples, shared directions repeated.
    pub fn expanded(self, n: usize) -> Tensor<3> {
        let shared = self.shared;
        let cube = self.cube();
        if shared { cube.repeat_dim(0, n) } else { cube }
    }

    /// Sum of the tangents of two branches.
    pub fn plus(self, other: Self) -> Self {
        if self.shared == other.shared {
            return Self { rows: self.rows + other.rows, ..self };
        }
        Self::from_cube(self.cube() + other.cube())
    }

    /// Tangents of branches whose features stand side by side, for `n` samples.
    pub fn concatenated(parts: Vec<Self>, n: usize) -> Self {
        if parts.iter().all(|p| p.shared) {
            return Self::shared(Tensor::cat(parts.into_iter().map(|p| p.rows).collect(), 1));
        }
        Self::from_cube(Tensor::cat(parts.into_iter().map(|p| p.expanded(n)).collect(), 2))
    }
}
