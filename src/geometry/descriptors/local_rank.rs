//! Local rank ν: the exponential of the entropy of the normalised singular values (theory, 3). A real number from 1 to
//! d, not the numerical rank r.

use super::ShownIn::{Compared, Map, Path, Related, Sample};
use super::{Descriptor, LocalGeometry, Measured, NO_PARTS};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "nu",
    about: "local rank, exp(−Σ α_i ln α_i) with α_i = σ_i / Σ σ_j; 1 ≤ ν ≤ d",
    unit: "directions",
    range: "1 to d, the width of the latent",
    empty: "every singular value is 0, or a value is not finite",
    label: "local rank ν",
    shown: &[Sample, Compared, Related, Map, Path],
    measure: |g: &LocalGeometry| -> Measured { g.local_rank(1) },
    parts: NO_PARTS,
};
