//! The largest singular value σ₁, a cheap rival of ψ.

use super::ShownIn::Related;
use super::{Descriptor, LocalGeometry, Measured, Undefined, no_parts};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "sigma_1",
    about: "the largest singular value of the Jacobian",
    label: "σ₁",
    shown: &[Related],
    measure,
    parts: no_parts,
};

fn measure(g: &LocalGeometry) -> Measured {
    let Some(first) = g.spectrum.singular_values.first() else { return Measured::Undefined(Undefined::ZeroRank) };
    // A maximum is no smooth function of the directions: the jackknife's interval held 89 % instead of
    // 95 % in a trial, so from part of the directions it has no standard error.
    let whole = g.spectrum.n_directions >= g.spectrum.frame_of;
    Measured::with_error(*first, if whole { 0.0 } else { f64::INFINITY })
}
