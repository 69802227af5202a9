//! Local rank ν: the exponential of the entropy of the normalised singular values (theory, 3).

use super::{Descriptor, LocalGeometry, Measured, Undefined};

pub const DESCRIPTOR: Descriptor =
    Descriptor {
        name: "nu", about: "local rank, exp(−Σ α_i ln α_i) with α_i = σ_i / Σ σ_j; 1 ≤ ν ≤ d", measure
    };

fn measure(g: &LocalGeometry) -> Measured {
    let total: f64 = g.spectrum.singular_values.iter().sum();
    if total <= 0.0 {
        return Measured::Undefined(Undefined::ZeroRank);
    }
    let shares = g.spectrum.singular_values.iter().map(|s| s / total).filter(|a| *a > 0.0);
    Measured::exact(shares.map(|a| -a * a.ln()).sum::<f64>().exp())
}
