//! Gradients of ψ_k by first-order differentiation alone (theory, 9c and 10).
//!
//! d ½ ln det(AᵀA) = tr((AᵀA)⁻¹Aᵀ dA). If the factor in front of dA is computed first and held constant, the gradient
//! of the sum of products A ∘ (A(AᵀA)⁻¹)_held is that of ψ, and no second derivative is needed. For ψ_k the inverse is
//! restricted to the k leading directions. Latents are done one at a time, because the columns of A are tracked through
//! the whole network.

use isoline::error::Result;
use isoline::generator::Generator;
use isoline::geometry::EstimatorSettings;
use isoline::nn::{Rows, Tangents};
use isoline::tensors::{host, rows};
use nalgebra::DMatrix;

/// ψ_k and its gradient at one latent.
#[derive(Clone, Debug)]
pub struct PsiGradient {
    /// ψ_k in nats, of the exact Jacobian or of the stencil's mean Jacobian.
    pub psi: f64,
    /// ∂ψ_k/∂z, `[d]`.
    pub gradient: Vec<f32>,
}

/// ψ_k of the exact Jacobian and ∇ψ_k (9c) at each of `latents` (`[n, d]` row-major), n entries; `None` if ψ_k is
/// undefined or its gradient is not finite.
///
/// In a piecewise-linear network ψ is constant on each piece, so this gradient is 0 except through a smooth last
/// activation. It is correct, but it is no direction to steer in; [`stencil_gradient`] gives one.
///
/// # Errors
/// [`isoline::error::Error::Device`].
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
/// (10), at each of `latents` (`[n, d]` row-major). The radius h is held constant. It is smooth in z also for
/// piecewise-linear networks, if h spans many pieces. `None` if ψ_k is undefined or its gradient is not finite.
///
/// # Errors
/// [`isoline::error::Error::Device`].
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
    // The last term keeps z in the graph even if A does not depend on it.
    let loss = (columns * rows(held, width, generator.device())).sum() + (tracked.clone() * 0.0).sum();
    let gradients = loss.backward();
    let gradient = match tracked.grad(&gradients) {
        Some(gradient) => host(gradient)?,
        None => vec![0.0; z.len()],
    };
    Ok(gradient.iter().all(|v| v.is_finite()).then_some(PsiGradient { psi, gradient }))
}

/// ½ Σ_{i ≤ k} ln λ_i, and the rows of (Σ_{i ≤ k} u_i u_iᵀ/λ_i)·A, which are held constant in the gradient of ψ_k
/// (theory, 9c). λ_i and u_i are the k largest eigenvalues and their eigenvectors of AAᵀ, with A given as `p` rows.
/// `None` if one of these λ is not above the rounding of f32 (64·p·eps² of the largest) or a value is not finite.
fn leading_inverse(rows: &[f32], p: usize, k: usize) -> Option<(f64, Vec<f32>)> {
    let a = DMatrix::from_row_iterator(p, rows.len() / p, rows.iter().map(|v| f64::from(*v)));
    let gram = &a * a.transpose();
    if k == 0 || k > p || gram.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let eigen = gram.symmetric_eigen();
    let mut order: Vec<usize> = (0..p).collect();
    order.sort_by(|i, j| eigen.eigenvalues[*j].total_cmp(&eigen.eigenvalues[*i]));
    let floor = 64.0 * p as f64 * f64::from(f32::EPSILON).powi(2) * eigen.eigenvalues[order[0]];
    let mut inverse = DMatrix::zeros(p, p);
    let mut psi = 0.0;
    for i in &order[..k] {
        let (value, vector) = (eigen.eigenvalues[*i], eigen.eigenvectors.column(*i));
        if value.is_nan() || value <= floor {
            return None;
        }
        psi += 0.5 * value.ln();
        inverse += vector * vector.transpose() / value;
    }
    let held = inverse * a;
    Some((psi, held.transpose().iter().map(|v| *v as f32).collect()))
}
