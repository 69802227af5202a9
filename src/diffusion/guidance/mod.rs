//! The parts that corrections of a denoiser (theory, 24 to 27) are built from; those that follow a reward are in
//! `steer::denoiser`.
//!
//! A guided denoiser has no tangents: the map that its sampler computes is not the model's own, and its ψ would not be
//! what the user asked for. Asking for them is therefore an error rather than silently ignored.

pub mod classifier_free;
pub mod recurrence;

pub use classifier_free::ClassifierFree;
pub use recurrence::Recurrent;

use super::State;
use crate::error::{Error, Result};
use crate::nn::Rows;

/// A number r(x, σ) at a noised state, with its gradient: a reward.
pub trait Potential: Send + Sync {
    /// r and ∇_x r at each row of `x` (`[n, D]`): r is `[n, 1]`, the gradient `[n, D]`.
    ///
    /// # Errors
    /// Those of the device.
    fn value_and_gradient(&self, x: &Rows, sigma: f64) -> Result<(Rows, Rows)>;
}

/// The function of r that guidance climbs.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // There is one per batch, so a box would save nothing.
pub enum Form {
    /// r itself.
    Push,
    /// −½((r − target)/scale)²: pulls r to a value and no further.
    SetPoint {
        /// r* of each row, `[n, 1]`, in the units of r.
        targets: Rows,
        /// The scale s, in the units of r.
        scale: f64,
    },
}

/// Refuses a state that carries tangents.
///
/// # Errors
/// [`Error::Config`] if it does.
pub fn no_tangents(x: &State) -> Result<()> {
    match x.tangents {
        None => Ok(()),
        Some(_) => {
            Err(Error::config("guidance", "a guided sampler has no tangents; measure the unguided one at its noise"))
        }
    }
}

/// The noise levels at which a guidance acts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Least σ.
    pub low: f64,
    /// Greatest σ.
    pub high: f64,
}

impl Interval {
    /// All noise levels.
    pub const ALL: Self = Self { low: 0.0, high: f64::INFINITY };

    /// Whether it contains σ; both ends belong to it.
    pub fn holds(self, sigma: f64) -> bool {
        (self.low..=self.high).contains(&sigma)
    }
}

/// The Euclidean norm of each row of x (`[n, d]`), as `[n, 1]`.
pub fn norm(x: Rows) -> Rows {
    (x.clone() * x).sum_dim(1).sqrt()
}

/// x (`[n, d]`), with a row set to 0 where `keep` (`[n, 1]`) is 0 instead of 1. A row set to 0 may have held anything,
/// even NaN.
fn rows_where(x: Rows, keep: Rows) -> Rows {
    let [n, d] = x.dims();
    let drop = keep.lower_scalar(0.5).expand([n, d]);
    x.mask_fill(drop, 0.0)
}

/// `base` plus a correction, both `[n, d]`. A row whose correction is not finite stays as it is and affects no other.
pub fn corrected(base: Rows, correction: Rows) -> Rows {
    let size = norm(correction.clone());
    // NaN compares as false, and infinity is not below the bound.
    let good = size.lower_scalar(1e30).float().cast(base.dtype());
    base + rows_where(correction, good)
}
