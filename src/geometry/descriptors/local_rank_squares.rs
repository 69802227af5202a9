//! Local rank from the squares of the singular values (theory, 3, power 2). It is never larger than ν.

use super::{Descriptor, LocalGeometry, Measured, NO_PARTS};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "nu_2",
    about: "local rank with α_i = σ_i² / Σ σ_j², which leading directions dominate more",
    unit: "directions",
    range: "1 to nu",
    empty: "every singular value is 0, or a value is not finite",
    label: "nu_2",
    shown: &[],
    measure: |g: &LocalGeometry| -> Measured { g.local_rank(2) },
    parts: NO_PARTS,
};
