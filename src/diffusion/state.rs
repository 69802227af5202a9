//! A batch of states on their way through a solver, with tangents where they are wanted.

use crate::nn::{Rows, Tangents};

/// Values `[n, D]`, and directions that are pushed along with them. Solvers are written once, on states: since they are
/// linear in x and D(x; σ), the same lines carry the tangents of the map noise → picture.
#[derive(Clone)]
pub struct State {
    /// The values.
    pub value: Rows,
    /// ∂value; `None` where nobody asks.
    pub tangents: Option<Tangents>,
}

impl State {
    /// Values alone.
    pub fn plain(value: Rows) -> Self {
        Self { value, tangents: None }
    }

    /// c·x
    pub fn times(self, c: f64) -> Self {
        Self { value: self.value * c, tangents: self.tangents.map(|t| t.map(|t| t * c)) }
    }

    /// x + y; tangents that one side lacks are zero.
    pub fn plus(self, other: Self) -> Self {
        let tangents = match (self.tangents, other.tangents) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (a, b) => a.or(b),
        };
        Self { value: self.value + other.value, tangents }
    }

    /// x − y
    pub fn minus(self, other: Self) -> Self {
        self.plus(other.times(-1.0))
    }

    /// a·x + b·y
    pub fn blend(self, a: f64, other: Self, b: f64) -> Self {
        self.times(a).plus(other.times(b))
    }

    /// x + c·noise; the noise does not depend on x.
    pub fn shifted(self, noise: Rows, c: f64) -> Self {
        Self { value: self.value + noise * c, tangents: self.tangents }
    }

    /// Values held within a range, tangents zeroed where they were held.
    pub fn clipped(self, [low, high]: [f32; 2]) -> Self {
        let tangents = self.tangents.map(|t| {
            let x = self.value.clone();
            t.scale(x.clone().greater_scalar(low).float() * x.lower_scalar(high).float())
        });
        Self { value: self.value.clamp(low, high), tangents }
    }
}
