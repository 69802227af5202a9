//! The interface of all diffusion models: D(x; σ), the expected clean picture behind a noised one.

use super::State;
use crate::error::Result;

/// The class of each row, `[n]`; `None` for the model's unconditional answer.
pub type Classes<'a> = Option<&'a [usize]>;

/// A denoiser in variance-exploding coordinates (theory, 22): for x = x₀ + σ·noise it gives D(x; σ) ≈ E[x₀ | x], so
/// that the score of the noised density is (D(x; σ) − x)/σ².
///
/// Row i of a result depends on row i of x (and on its class) alone.
pub trait Denoiser: Send + Sync {
    /// D_amb, the number of values in a row.
    fn width(&self) -> usize;

    /// D(x; σ) for x `[n, D_amb]` at one σ above 0, with its tangents if x has some.
    ///
    /// # Errors
    /// [`crate::error::Error::Key`] for classes that the denoiser does not know.
    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State>;
}
