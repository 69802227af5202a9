//! Numerical rank r: the number of singular values above the rounding of f32 (theory, 1).

use super::ShownIn::Sample;
use super::{Descriptor, LocalGeometry, Measured, NO_PARTS};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "rank",
    about: "r, singular values above 128·eps(f32)·√(8·max(D, d))·σ₁",
    unit: "directions",
    range: "whole, 0 to d",
    empty: "a value is not finite",
    label: "numerical rank r",
    shown: &[Sample],
    measure: |g: &LocalGeometry| -> Measured { Measured::exact(g.spectrum.rank() as f64) },
    parts: NO_PARTS,
};
