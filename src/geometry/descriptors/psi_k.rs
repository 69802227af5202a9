//! ψ_k at the model rank (theory, 1b).

use super::{Descriptor, LocalGeometry, Measured, no_parts};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "psi_k",
    about: "local scaling of the k leading directions, k the model rank",
    measure: |g: &LocalGeometry| -> Measured { g.psi_k() },
    parts: no_parts,
};
