//! The largest singular value σ₁: a cheap alternative to ψ, but coarser than ln ‖A‖_F.

use super::ShownIn::Related;
use super::{Descriptor, LocalGeometry, Measured, NO_PARTS, Undefined};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "sigma_1",
    about: "the largest singular value of the Jacobian",
    unit: "sample values per unit of latent",
    range: "from 0",
    empty: "a value is not finite",
    label: "σ₁",
    shown: &[Related],
    measure,
    parts: NO_PARTS,
};

fn measure(g: &LocalGeometry) -> Measured {
    let Some(first) = g.spectrum.singular_values.first() else { return Measured::Undefined(Undefined::ZeroRank) };
    // A maximum is not a smooth function of the directions: in a trial the jackknife's 95 % intervals held 89 %. So an
    // estimate from part of the directions has no standard error.
    let whole = g.spectrum.n_directions >= g.spectrum.frame_of;
    Measured::with_error(*first, if whole { 0.0 } else { f64::INFINITY })
}
