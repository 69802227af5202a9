//! Directions pushed forward through a generator by tensors, z ↦ A·v, in parts that fit into a memory budget.

use crate::error::Result;
use crate::generator::Generator;
use crate::nn::Tangents;
use crate::tensors::{host, rows};

/// How many copies of the widest activation are alive at once in a forward pass with tangents.
pub const BUFFERS: usize = 4;

/// How many rows a forward pass may take at once: as many as keep [`BUFFERS`] f32 copies of an activation of `widest`
/// values per row within `memory` bytes, and at least one.
pub fn rows_within(memory: usize, widest: usize) -> usize {
    (memory / (4 * BUFFERS * widest.max(1))).max(1)
}

/// For each of `latents` (`[n, d]` row-major), the products of its Jacobian with the directions v_j (`[k, d]`
/// row-major, the same for all latents): n matrices `[k, D]` whose row j is A·v_j. `memory` is in bytes.
///
/// # Errors
/// [`crate::error::Error::Device`].
pub fn push(generator: &dyn Generator, latents: &[f32], directions: &[f32], memory: usize) -> Result<Vec<Vec<f32>>> {
    let spec = generator.spec();
    let d = spec.latent_width;
    let n = latents.len() / d;
    let k = directions.len() / d;
    let at_once = rows_within(memory, spec.widest);
    let samples = at_once.clamp(1, n.max(1));
    let chunk = (at_once / samples).clamp(1, k.max(1));
    let mut products: Vec<Vec<f32>> = vec![Vec::new(); n];
    for (latents, products) in latents.chunks(samples * d).zip(products.chunks_mut(samples)) {
        let z = rows(latents.to_vec(), d, generator.device());
        for part in directions.chunks(chunk * d) {
            let (_, t) = generator.tangents(z.clone(), Tangents::shared(rows(part.to_vec(), d, generator.device())));
            let cube = host(t.expanded(products.len()))?;
            let width = (cube.len() / products.len()).max(1);
            products.iter_mut().zip(cube.chunks_exact(width)).for_each(|(p, c)| p.extend_from_slice(c));
        }
    }
    Ok(products)
}
