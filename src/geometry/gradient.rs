//! Gradients of ψ_k by first-order differentiation alone (theory, 9c and 10).
//!
//! d ½ ln det(AᵀA) = tr((AᵀA)⁻¹Aᵀ dA). With the factor in front of dA computed first and held constant, the gradient of
//! the sum of products A ∘ (A(AᵀA)⁻¹)_held is that of ψ, and no second derivative is needed. For ψ_k the inverse is
//! restricted to the k leading directions. One latent is done at a time, since the columns of A are tracked through the
//! whole network.

use super::EstimatorSettings;
use crate::error::Result;
use crate::generator::Generator;
use crate::linalg::leading_inverse;
use crate::nn::{Rows, Tangents};
use crate::tensors::{host, rows};

/// ψ_k and its gradient at one latent.
#[derive(Clone, Debug)]
pub struct PsiGradient {
    /// ψ_k in nats, of the exact Jacobian or of the stencil's mean Jacobian.
    pub psi: f64,
    /// ∂ψ_k/∂z, `[d]`.
    pub gradient: Vec<f32>,
}

/// ψ_k of the exact Jacobian and ∇ψ_k (9c) at each of `latents` (`[n, d]` row-major), n entries; `None` where ψ_k is
/// undefined or its gradient not finite.
///
/// In a piecewise-linear network ψ is constant on each piece, so this gradient is 0 except through a smooth last
/// activation. It is correct and still no direction to steer in; [`stencil_gradient`] gives one.
///
/// # Errors
/// [`crate::error::Error::Device`].
pub fn psi_gradient(generator: &dyn Generator, latents: &[f32], k: usize) -> Result<Vec<Option<PsiGradient>>> {
    let d = generator.spec().latent_width;
    let unit = |i: usize| (0..d).map(move |j| f32::from(u8::from(i == j)));
    let units = rows((0..d).flat_map(unit).collect(), d, generator.device());
    let columns = |z: Rows| {
        let (_, tangents) = generator.tangents(z, Tangents::shared(units.clone()));
        let cube = tangents.expanded(1);
        let [_, directions, width] = cube.dims();
        cube.reshape([directions, width])
    };
    latents.chunks_exact(d).map(|z| gradient(generator, z, k, columns)).collect()
}

/// ψ_k of the stencil's mean Jacobian over the orthonormal directions `frame` (`[P, d]` row-major), and its gradient
/// (10), at each of `latents` (`[n, d]` row-major). The radius h is held constant. Smooth in z on piecewise-linear
/// networks too, where h spans many pieces. `None` where ψ_k is undefined or its gradient not finite.
///
/// # Errors
/// [`crate::error::Error::Device`].
pub fn stencil_gradient(
    generator: &dyn Generator,
    latents: &[f32],
    frame: &[f32],
    settings: &EstimatorSettings,
    k: usize,
) -> Result<Vec<Option<PsiGradient>>> {
    let d = generator.spec().latent_width;
    let frame = rows(frame.to_vec(), d, generator.device());
    let at = |z: &[f32]| {
        let h = settings.radius_at(z);
        let columns = |z: Rows| {
            let side = |sign: f64| generator.measured(z.clone() + frame.clone() * (sign * h));
            (side(1.0) - side(-1.0)) * (0.5 / h)
        };
        gradient(generator, z, k, columns)
    };
    latents.chunks_exact(d).map(at).collect()
}

/// ψ_k and its gradient at one latent `z` (`[d]`). `columns` maps a tracked z (`[1, d]`) to the columns of A as rows,
/// `[P, D]`.
fn gradient(
    generator: &dyn Generator,
    z: &[f32],
    k: usize,
    columns: impl FnOnce(Rows) -> Rows,
) -> Result<Option<PsiGradient>> {
    let tracked = rows(z.to_vec(), z.len(), generator.device()).autodiff().require_grad();
    let columns = columns(tracked.clone());
    let [directions, width] = columns.dims();
    let Some((psi, held)) = leading_inverse(&host(columns.clone().inner())?, directions, k) else { return Ok(None) };
    // The last term keeps z in the graph where A does not depend on it.
    let loss = (columns * rows(held, width, generator.device())).sum() + (tracked.clone() * 0.0).sum();
    let gradients = loss.backward();
    let gradient = match tracked.grad(&gradients) {
        Some(gradient) => host(gradient)?,
        None => vec![0.0; z.len()],
    };
    Ok(gradient.iter().all(|v| v.is_finite()).then_some(PsiGradient { psi, gradient }))
}
