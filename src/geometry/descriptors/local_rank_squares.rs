//! Local rank from the squares of the singular values (theory, 3, power 2). It is never larger than ν.

use super::{Descriptor, LocalGeometry, Measured, no_parts};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "nu_2",
    about: "local rank with α_i = σ_i² / Σ σ_j², which leading directions dominate more",
    label: "nu_2",
    shown: &[],
    measure: |g: &LocalGeometry| -> Measured { g.local_rank(2) },
    parts: no_parts,
};
