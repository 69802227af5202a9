//! How much memory tiles take.

use super::Spec;
use crate::error::Result;

/// Bytes of one pass through the network where nobody sets them.
pub const DEFAULT_MEMORY: u64 = 192 << 20;

/// Whether a tile of `tile` samples, with the products of their Jacobians and `directions` directions, fits into the memory
/// that is free. Counted are these, pictures, a few layers' activations and the passes of `memory` bytes that the estimator
/// makes; weights are in memory by then. `remedy` says how to need less.
///
/// # Errors
/// [`crate::error::Error::Memory`].
pub fn check_memory(spec: &Spec, tile: usize, directions: usize, memory: u64, remedy: &str) -> Result<()> {
    let (n, d, p) = (tile as u64, spec.latent_width as u64, directions as u64);
    let sample = spec.sample_shape.iter().map(|s| *s as u64).product::<u64>();
    // Bytes: f32 products of every sample; two threads' f64 copies of one; picture and its encoding; four layers at once;
    // 64 MiB for what allocators keep.
    let jacobians = n * p * sample * 4 + 2 * p * sample * 8;
    let activations = n * (sample * 8 + 4 * spec.widest as u64 * 4) + memory + (64 << 20);
    let what = format!("a tile of {tile} samples of {} (latent {d}, sample {sample})", spec.id);
    crate::memory::require(&what, jacobians + activations, remedy)
}
