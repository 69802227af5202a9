//! ln ‖A‖_F, a cheap alternative to ψ that needs few directions and often orders latents the same way.

use super::ShownIn::Related;
use super::{Descriptor, LocalGeometry, Measured, NO_PARTS, Undefined};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "ln_frobenius",
    about: "½ ln Σ σ_i², the logarithm of the Frobenius norm of what was measured",
    unit: "nats",
    range: "any real number",
    empty: "every singular value is 0, or a value is not finite",
    label: "ln ‖J‖_F",
    shown: &[Related],
    measure,
    parts: NO_PARTS,
};

fn measure(g: &LocalGeometry) -> Measured {
    let s = &g.spectrum.singular_values;
    // Divided by σ₁ first, so that the squares neither overflow nor underflow.
    match s.first() {
        Some(first) if *first > 0.0 => {
            Measured::exact(first.ln() + 0.5 * s.iter().map(|v| (v / first).powi(2)).sum::<f64>().ln())
        }
        _ => Measured::Undefined(Undefined::ZeroRank),
    }
}
