//! Local scaling ψ = Σ_{i ≤ r} ln σ_i in nats, over the numerical rank r (theory, 1). Values at different r are in
//! different units, so compare ψ_k instead.

use super::ShownIn::{Compared, Sample};
use super::{Descriptor, LocalGeometry, Measured, NO_PARTS, Undefined};
use crate::geometry::psi_k;

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "psi",
    about: "local scaling, Σ ln σ_i over the r singular values above the tolerance",
    unit: "nats",
    range: "any real number",
    empty: "no singular value is above the tolerance, or a value is not finite",
    label: "local scaling ψ",
    shown: &[Sample, Compared],
    measure,
    parts: NO_PARTS,
};

fn measure(g: &LocalGeometry) -> Measured {
    let rank = g.spectrum.rank();
    psi_k(&g.spectrum.singular_values, rank)
        .map_or(Measured::Undefined(Undefined::ZeroRank), |psi| Measured::with_error(psi, g.spectrum.psi_stderr(rank)))
}
