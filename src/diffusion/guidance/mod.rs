//! What corrections of a denoiser (theory, 24 to 27) are made of; `steer::denoiser` has those that follow a reward.
//!
//! A guided denoiser has no tangents: the map that its sampler computes is not the model's own, and ψ of it would not be
//! what the user asked for. Asking for them is an error, not a silence.

pub mod classifier_free;
pub mod recurrence;

pub use classifier_free::ClassifierFree;
pub use recurrence::Recurrent;

use super::State;
use crate::error::{Error, Result};
use crate::nn::Rows;

/// A number that a noised state has, with its gradient: a reward r(x, σ).
pub trait Potential: Send + Sync {
    /// r and ∇_x r at each row of `x`; r is `[n, 1]`.
    ///
    /// # Errors
    /// Of the device.
    fn value_and_gradient(&self, x: &Rows, sigma: f64) -> Result<(Rows, Rows)>;
}

/// What is climbed.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // One for a whole batch; a box would save nothing.
pub enum Form {
    /// r itself.
    Push,
    /// −½((r − target)/scale)²: towards a value, and past it no further.
    SetPoint {
        /// r* of each row, `[n, 1]`, in the units of r.
        targets: Rows,
        /// s
        scale: f64,
    },
}

/// Refuses tangents.
///
/// # Errors
/// [`Error::Config`] where there are any.
pub fn no_tangents(x: &State) -> Result<()> {
    match x.tangents {
        None => Ok(()),
        Some(_) => {
            Err(Error::config("guidance", "a guided sampler has no tangents; measure the unguided one at its noise"))
        }
    }
}

/// The levels at which a guidance acts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Least σ.
    pub low: f64,
    /// Greatest σ.
    pub high: f64,
}

impl Interval {
    /// Every level.
    pub const ALL: Self = Self { low: 0.0, high: f64::INFINITY };

    /// Whether σ lies inside, ends included.
    pub fn holds(self, sigma: f64) -> bool {
        (self.low..=self.high).contains(&sigma)
    }
}

/// ‖·‖ of each row, `[n, 1]`.
pub fn norm(x: Rows) -> Rows {
    (x.clone() * x).sum_dim(1).sqrt()
}

/// x where each row of `keep` is 1, 0 where it is 0; a row that is left out may hold anything, a NaN too.
fn rows_where(x: Rows, keep: Rows) -> Rows {
    let [n, d] = x.dims();
    let drop = keep.lower_scalar(0.5).expand([n, d]);
    x.mask_fill(drop, 0.0)
}

/// A correction row by row; a row whose correction is not finite is left alone, as is every other.
pub fn corrected(base: Rows, correction: Rows) -> Rows {
    let size = norm(correction.clone());
    // NaN compares false and infinity is not below the bound.
    let good = size.lower_scalar(1e30).float().cast(base.dtype());
    base + rows_where(correction, good)
}
