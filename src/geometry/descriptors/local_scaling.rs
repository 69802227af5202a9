//! Local scaling ψ = Σ_{i ≤ r} ln σ_i (theory, 1).

use super::{Descriptor, LocalGeometry, Measured, Undefined};
use crate::geometry::psi_k;

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "psi",
    about: "local scaling, Σ ln σ_i over the r singular values above the tolerance",
    measure,
};

fn measure(g: &LocalGeometry) -> Measured {
    psi_k(&g.spectrum.singular_values, g.spectrum.rank())
        .map_or(Measured::Undefined(Undefined::ZeroRank), Measured::exact)
}
