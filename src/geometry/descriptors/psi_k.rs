//! ψ_k = Σ_{i ≤ k} ln σ_i in nats, with k the model rank (theory, 1b): what rewards learn and novelty is measured in.

use super::ShownIn::{Compared, Map, Path, Related, Sample};
use super::{Descriptor, LocalGeometry, Measured, NO_PARTS};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "psi_k",
    about: "local scaling of the k leading directions, k the model rank",
    unit: "nats",
    range: "any real number",
    empty: "fewer than k singular values are above 0, or a value is not finite",
    label: "local scaling ψ_k",
    shown: &[Sample, Compared, Related, Map, Path],
    measure: |g: &LocalGeometry| -> Measured { g.psi_k() },
    parts: NO_PARTS,
};
