//! Numerical rank r: the number of singular values above the rounding of f32 (theory, 1).

use super::ShownIn::Sample;
use super::{Descriptor, LocalGeometry, Measured, no_parts};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "rank",
    about: "r, singular values above 128·eps(f32)·√(8·max(D, d))·σ₁",
    label: "numerical rank r",
    shown: &[Sample],
    measure: |g: &LocalGeometry| -> Measured { Measured::exact(g.spectrum.rank() as f64) },
    parts: no_parts,
};
