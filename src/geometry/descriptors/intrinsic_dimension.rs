//! Intrinsic dimension LID_s at scale s of the generator, taken as its local linear map (theory, 9b). Roughly the
//! number of directions in which it moves a sample by more than s.

use super::{Descriptor, LocalGeometry, Measured, Parts};
use crate::table::Note;

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "lid",
    about: "intrinsic dimension Σ σ²/(σ²+s²) + s²σ²z'²/(σ²+s²)² at the first scale s, and at each of the scales",
    unit: "dimensions",
    range: "from 0",
    empty: "a value is not finite",
    label: "lid",
    shown: &[],
    measure: |g: &LocalGeometry| -> Measured { at(g, g.scales.first().copied().unwrap_or(super::SCALE)) },
    parts: Parts {
        notes: &[Note::new("lid_{i}", "dimensions", "from 0", "lid at scale i", "a value is not finite")],
        measure: |g: &LocalGeometry| g.scales.iter().map(|s| (format!("lid_{s}"), at(g, *s))).collect(),
    },
};

/// LID_s at s = `scale`.
fn at(g: &LocalGeometry, scale: f64) -> Measured {
    let value = crate::geometry::spectral_dimension(&g.spectrum.singular_values, &g.spectrum.rotated_latent, scale);
    // From part of the directions it is a quadratic form in a few coordinates of z, and the jackknife underestimates
    // its spread (the 95 % intervals held 84 % in a trial). No standard error is better than that one.
    let whole = g.spectrum.n_directions >= g.spectrum.frame_of;
    Measured::with_error(value, if whole { 0.0 } else { f64::INFINITY })
}
