//! States on their way through a solver, with their tangents where those are wanted.
//!
//! All deterministic solvers are linear combinations of x and D(x; σ). Written with the operations below, the same few
//! lines compute the picture and push tangents of the map noise → picture through it, because the tangents of a·x + b·D
//! are a·∂x + b·∂D. A solver never mentions tangents; only [`State::clipped`] is not linear, and zeroes them where it
//! acts.

use crate::nn::{Rows, Tangents};

/// A batch of values `[n, D]` and, if wanted, their tangents in k directions.
#[derive(Clone)]
pub struct State {
    /// The values x, `[n, D]`.
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

    /// x − y, as [`plus`](Self::plus).
    pub fn minus(self, other: Self) -> Self {
        self.plus(other.times(-1.0))
    }

    /// a·x + b·y, as [`plus`](Self::plus); self is x and `other` is y.
    pub fn blend(self, a: f64, other: Self, b: f64) -> Self {
        self.times(a).plus(other.times(b))
    }

    /// x + c·noise for fresh noise `[n, D]`. It does not depend on x, so the tangents stay.
    pub fn shifted(self, noise: Rows, c: f64) -> Self {
        Self { value: self.value + noise * c, tangents: self.tangents }
    }

    /// The values clamped to `[low, high]`, with tangents 0 where a value lies outside or on an end.
    pub fn clipped(self, [low, high]: [f32; 2]) -> Self {
        let tangents = self.tangents.map(|t| {
            let x = self.value.clone();
            t.scale(x.clone().greater_scalar(low).float() * x.lower_scalar(high).float())
        });
        Self { value: self.value.clamp(low, high), tangents }
    }
}
