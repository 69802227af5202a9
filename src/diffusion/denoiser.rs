//! The interface of all diffusion models: D(x; σ), the expected clean picture given a noised one.

use super::State;
use crate::error::Result;

/// The class of each row, n values; `None` asks for the model's unconditional answer.
pub type Classes<'a> = Option<&'a [usize]>;

/// A denoiser in variance-exploding coordinates (theory, 22): for x = x₀ + σ·noise it gives D(x; σ) ≈ E[x₀ | x]. The
/// score of the noised density is then (D(x; σ) − x)/σ².
///
/// Row i of a result depends only on row i of x, and on its class.
pub trait Denoiser: Send + Sync {
    /// D_amb, the number of values in a row.
    fn width(&self) -> usize;

    /// D(x; σ), `[n, D_amb]`, for x `[n, D_amb]` at one σ above 0. If x has tangents, so has the result.
    ///
    /// # Errors
    /// [`crate::error::Error::Key`] for a class that the denoiser does not have.
    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State>;
}
