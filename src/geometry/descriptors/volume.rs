//! The volume scalar exp ψ_k of MaGNET and polarity sampling (theory, 5), with k the model rank.

use super::{Descriptor, LocalGeometry, Measured, NO_PARTS};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "volume",
    about: "volume scalar, the product of the k leading singular values; undefined beyond 1e±308",
    unit: "1",
    range: "above 0",
    empty: "psi_k is empty, or the product is beyond 1e±308",
    label: "volume",
    shown: &[],
    measure,
    parts: NO_PARTS,
};

fn measure(g: &LocalGeometry) -> Measured {
    g.psi_k().map(|psi, stderr| (psi.exp(), psi.exp() * stderr))
}
