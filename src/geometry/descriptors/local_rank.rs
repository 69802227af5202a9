//! Local rank ν: the exponential of the entropy of the normalised singular values (theory, 3).

use super::{Descriptor, LocalGeometry, Measured, no_parts};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "nu",
    about: "local rank, exp(−Σ α_i ln α_i) with α_i = σ_i / Σ σ_j; 1 ≤ ν ≤ d",
    measure: |g: &LocalGeometry| -> Measured { g.local_rank(1) },
    parts: no_parts,
};
