//! Local scaling ψ = Σ_{i ≤ r} ln σ_i in nats, over the numerical rank r (theory, 1). Values at different r are in
//! different units, so compare ψ_k instead.

use super::ShownIn::{Compared, Sample};
use super::{Descriptor, LocalGeometry, Measured, Undefined, no_parts};
use crate::geometry::psi_k;

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "psi",
    about: "local scaling, Σ ln σ_i over the r singular values above the tolerance",
    label: "local scaling ψ",
    shown: &[Sample, Compared],
    measure,
    parts: no_parts,
};

fn measure(g: &LocalGeometry) -> Measured {
    let rank = g.spectrum.rank();
    psi_k(&g.spectrum.singular_values, rank)
        .map_or(Measured::Undefined(Undefined::ZeroRank), |psi| Measured::with_error(psi, g.spectrum.psi_stderr(rank)))
}
