//! From latents to pictures.

use super::Generator;
use crate::error::Result;
use crate::render::Picture;
use crate::tensors::{host, rows};

/// The pictures the generator makes of `latents` (`[n, d]`, row-major); `None` for one with a value that is not finite.
///
/// # Errors
/// [`crate::error::Error::Device`].
pub fn pictures(generator: &dyn Generator, latents: &[f32]) -> Result<Vec<Option<Picture>>> {
    let spec = generator.spec();
    let d = spec.latent_width;
    let width: usize = spec.sample_shape.iter().product();
    let mut found = Vec::new();
    for part in latents.chunks(16 * d) {
        let values = host(generator.generate(rows(part.to_vec(), d, generator.device())))?;
        for x in values.chunks_exact(width) {
            let whole = x.iter().all(|v| v.is_finite());
            found.push(if whole { Some(Picture::from_values(x, spec.sample_shape, spec.range)?) } else { None });
        }
    }
    Ok(found)
}
