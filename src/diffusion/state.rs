//! The state of a sample on its way through a solver, with its tangents where they are wanted.
//!
//! All deterministic solvers are linear combinations of x and D(x; σ). Written with the operations below, the same few
//! lines compute the picture and push tangents of the map noise → picture through it, because the tangents of a·x + b·D
//! are a·∂x + b·∂D. So a solver never mentions tangents. Only [`State::clipped`] is not linear; it sets tangents to
//! zero where it clamps.

use crate::nn::{Rows, Tangents};

/// A batch of values `[n, D]` and, if wanted, their tangents in k directions.
#[derive(Clone)]
pub struct State {
    /// The values x, `[n, D]`, one sample per row.
    pub value: Rows,
    /// The tangents ∂x, `[n, k, D]` as [`Tangents`] store them; `None` where none are wanted.
    pub tangents: Option<Tangents>,
}

impl State {
    /// Values `[n, D]` without tangents.
    pub fn plain(value: Rows) -> Self {
        Self { value, tangents: None }
    }

    /// c·x, tangents included.
    pub fn times(self, c: f64) -> Self {
        Self { value: self.value * c, tangents: self.tangents.map(|t| t.map(|t| t * c)) }
    }

    /// x + y. If only one side has tangents, those of the other count as zero.
    pub fn plus(self, other: Self) -> Self {
        let tangents = match (self.tangents, other.tangents) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (a, b) => a.or(b),
        };
        Self { value: self.value + other.value, tangents }
    }

    /// x − y; tangents as for [`plus`](Self::plus).
    pub fn minus(self, other: Self) -> Self {
        self.plus(other.times(-1.0))
    }

    /// a·x + b·y, where self is x and `other` is y; tangents as for [`plus`](Self::plus).
    pub fn blend(self, a: f64, other: Self, b: f64) -> Self {
        self.times(a).plus(other.times(b))
    }

    /// x + c·noise with fresh noise `[n, D]`. The noise does not depend on x, so the tangents stay as they are.
    pub fn shifted(self, noise: Rows, c: f64) -> Self {
        Self { value: self.value + noise * c, tangents: self.tangents }
    }

    /// The values clamped to `[low, high]`. Tangents are 0 where a value lies outside or on an end.
    pub fn clipped(self, [low, high]: [f32; 2]) -> Self {
        let tangents = self.tangents.map(|t| {
            let x = self.value.clone();
            t.scale(x.clone().greater_scalar(low).float() * x.lower_scalar(high).float())
        });
        Self { value: self.value.clamp(low, high), tangents }
    }
}
