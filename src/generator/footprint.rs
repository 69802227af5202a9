//! Estimates of the memory that tiles take.

use super::Spec;
use crate::error::Result;

/// Memory budget for one pass through the network, in bytes, when none is given.
pub const DEFAULT_MEMORY: u64 = 192 << 20;

/// Checks that a tile of `tile` samples fits into the free memory. Counted are the products of their Jacobians with
/// `directions` directions, the pictures, the activations, and the passes of `memory` bytes that the
/// estimator makes; the weights are in memory by then. `remedy` tells the user how to need less.
///
/// # Errors
/// [`crate::error::Error::Memory`].
pub fn check_memory(spec: &Spec, tile: usize, directions: usize, memory: u64, remedy: &str) -> Result<()> {
    let (n, d, p) = (tile as u64, spec.latent_width as u64, directions as u64);
    let sample = spec.sample_shape.iter().map(|s| *s as u64).product::<u64>();
    // In bytes: the f32 products of every sample; f64 copies of one sample's products in two threads; the picture and
    // its encoding; twice the values alive at once, for what an operation needs beside them; 64 MiB for what allocators keep.
    let jacobians = n * p * sample * 4 + 2 * p * sample * 8;
    let activations = n * (sample * 8 + 2 * spec.widest as u64 * 4) + memory + (64 << 20);
    let what = format!("a tile of {tile} samples of {} (latent {d}, sample {sample})", spec.id);
    crate::memory::require(&what, jacobians + activations, remedy)
}
