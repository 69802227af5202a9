//! Log-likelihood on the manifold ℓ = ln p_z(z) − ψ_k in nats, with p_z = N(0, I) and k the model rank (theory, 2).

use super::ShownIn::Sample;
use super::{Descriptor, LocalGeometry, Measured, NO_PARTS};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "log_likelihood",
    about: "ln N(z; 0, I) − ψ_k: density on the k-dimensional piece, up to what the other directions add",
    unit: "nats",
    range: "any real number",
    empty: "psi_k is empty",
    label: "log-likelihood",
    shown: &[Sample],
    measure,
    parts: NO_PARTS,
};

fn measure(g: &LocalGeometry) -> Measured {
    let square: f64 = g.latent.iter().map(|v| f64::from(*v).powi(2)).sum();
    let prior = -0.5 * (square + g.latent.len() as f64 * (2.0 * std::f64::consts::PI).ln());
    g.psi_k().map(|psi, stderr| (prior - psi, stderr))
}
