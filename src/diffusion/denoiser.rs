//! D(x; σ): the expected clean picture behind a noised one.

use super::State;
use crate::error::Result;

/// The class of every row, or `None` where none is given: the model's unconditional answer.
pub type Classes<'a> = Option<&'a [usize]>;

/// A denoiser in variance-exploding coordinates (theory, 22): for x = x₀ + σ·noise, D(x; σ) ≈ E[x₀ | x], and the score
/// of the noised density is (D(x; σ) − x)/σ².
///
/// Row i of a result depends on row i of x alone.
pub trait Denoiser: Send + Sync {
    /// Values per row.
    fn width(&self) -> usize;

    /// D(x; σ), with its tangents where x has some.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] where classes or tangents are asked of a denoiser that knows none.
    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State>;
}
