//! ψ_k at the model rank (theory, 1b).

use super::{Descriptor, LocalGeometry, Measured, Undefined};

pub const DESCRIPTOR: Descriptor =
    Descriptor { name: "psi_k", about: "local scaling of the k leading directions, k the model rank", measure };

fn measure(g: &LocalGeometry) -> Measured {
    crate::geometry::psi_k(&g.spectrum.singular_values, g.model_rank)
        .map_or(Measured::Undefined(Undefined::BelowModelRank), Measured::exact)
}
