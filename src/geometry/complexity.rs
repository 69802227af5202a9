//! Local complexity (theory, 4): how many folds of the network pass near a latent.
//!
//! The network is evaluated at the 2P vertices z ± h·v_p of a cross-polytope. A unit whose pre-activation is positive
//! at some vertices and not at others has its fold between them. Counting needs no derivative, only forward passes.

use super::estimators::EstimatorSettings;
use super::frame::{Use, frame};
use super::pushforward::rows_within;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::tensors::{host, rows};
use burn::tensor::Tensor;

/// How many units change sign over the vertices of a cross-polytope around one latent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complexity {
    /// One count per nonlinear layer, in the order of the network. A unit counts if its pre-activation is positive at
    /// one vertex and not at another. With a smooth activation that is a zero crossing, not a fold; in a normalising
    /// layer it is neither.
    pub layers: Vec<u64>,
}

/// The default of P, the number of directions of the cross-polytope; capped at d.
const DIRECTIONS: usize = 16;
/// The default of c in the radius h = c·‖z‖/√d of the cross-polytope. It is five times the default c of a stencil.
pub const COMPLEXITY_RADIUS: f64 = 0.05;

/// The local complexity (4) at each of `latents` (`[n, d]` row-major): sign changes over z ± h·v_p, p = 1..P, with
/// h = c·‖z‖/√d. The directions come from `settings.seed` and are shared by all latents. An entry is `None` if a
/// pre-activation is not finite, or for z = 0, where h would be 0.
///
/// # Errors
/// [`Error::Key`] for a setting that does not fit the generator, [`Error::Device`].
pub fn local_complexity(
    generator: &dyn Generator,
    latents: &[f32],
    settings: &EstimatorSettings,
) -> Result<Vec<Option<Complexity>>> {
    settings.check()?;
    let spec = generator.spec();
    let d = spec.latent_width;
    let p = settings.directions.unwrap_or(DIRECTIONS.min(d));
    if !(1..=d).contains(&p) {
        return Err(Error::key("directions", format!("expected 1 to {d}, the latent's width, found {p}")));
    }
    let frame = frame(settings.seed, Use::Complexity, p, d);
    // All pre-activations of a pass are alive at once until their signs have been counted.
    let at_once = rows_within(settings.memory, spec.activations.div_ceil(2));
    let chunk = (at_once / 2).clamp(1, p);
    let samples = (at_once / (2 * chunk)).max(1);
    let mut found = Vec::new();
    for part in latents.chunks(samples * d) {
        found.extend(count(generator, part, &frame, chunk, settings)?);
    }
    Ok(found)
}

/// [`local_complexity`] of latents that fit into memory together, in parts of `chunk` directions.
fn count(
    g: &dyn Generator,
    latents: &[f32],
    frame: &[f32],
    chunk: usize,
    settings: &EstimatorSettings,
) -> Result<Vec<Option<Complexity>>> {
    let d = g.spec().latent_width;
    let n = latents.len() / d;
    let mut vertices = 0;
    // Per layer, `[n, units]`: at how many of the vertices seen so far each unit is positive.
    let mut positive: Vec<Tensor<2>> = Vec::new();
    for part in frame.chunks(chunk * d) {
        let k = 2 * part.len() / d;
        let each = latents.chunks_exact(d).flat_map(|z| polytope(z, part, settings.radius_at(z) as f32));
        let taps = g.taps(rows(each.collect(), d, g.device()));
        vertices += k;
        for (layer, tap) in taps.into_iter().enumerate() {
            let [_, units] = tap.dims();
            // 0·x is NaN if x is not finite, and the sum then stays NaN.
            let signs = tap.clone().greater_scalar(0.0).float() + tap * 0.0;
            let sum = signs.reshape([n, k, units]).sum_dim(1).reshape([n, units]);
            match positive.get_mut(layer) {
                Some(before) => *before = before.clone() + sum,
                None => positive.push(sum),
            }
        }
    }
    let mut counts: Vec<Option<Vec<u64>>> =
        latents.chunks_exact(d).map(|z| (settings.radius_at(z) > 0.0).then(Vec::new)).collect();
    for sum in positive {
        let mixed = sum.clone().greater_scalar(0.5).float() * sum.clone().lower_scalar(vertices as f64 - 0.5).float();
        let layer = host((mixed + sum * 0.0).sum_dim(1))?;
        for (count, changed) in counts.iter_mut().zip(layer) {
            match count {
                Some(layers) if changed.is_finite() => layers.push(changed.round() as u64),
                _ => *count = None,
            }
        }
    }
    Ok(counts.into_iter().map(|layers| layers.map(|layers| Complexity { layers })).collect())
}

/// The vertices z + h·v for every direction v of `part` (`[k, d]`) and then z − h·v, `[2k, d]` row-major.
fn polytope(z: &[f32], part: &[f32], h: f32) -> Vec<f32> {
    let side = |s: f32| part.chunks_exact(z.len()).flat_map(move |v| z.iter().zip(v).map(move |(z, v)| z + s * v));
    side(h).chain(side(-h)).collect()
}
