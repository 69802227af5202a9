//! Numbers read off one local spectrum, one file each.

mod local_rank;
mod local_scaling;
mod log_likelihood;
mod numerical_rank;
mod psi_k;

use super::Spectrum;

/// Why a descriptor has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// Every singular value is zero.
    ZeroRank,
    /// Fewer than k singular values are above zero.
    BelowModelRank,
    /// The Jacobian holds a value that is not finite.
    NonFinite,
}

impl std::fmt::Display for Undefined {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::ZeroRank => "zero rank",
            Self::BelowModelRank => "below the model rank",
            Self::NonFinite => "not finite",
        })
    }
}

/// A measured number, never a NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// A value and the standard error of its estimate, 0 for an exact estimator up to rounding.
    Value {
        /// The number.
        value: f64,
        /// Its standard error.
        stderr: f64,
    },
    /// No value, and why.
    Undefined(Undefined),
}

impl Measured {
    /// An exact value.
    pub fn exact(value: f64) -> Self {
        if value.is_finite() { Self::Value { value, stderr: 0.0 } } else { Self::Undefined(Undefined::NonFinite) }
    }

    /// The value, where there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Value { value, .. } => Some(value),
            Self::Undefined(_) => None,
        }
    }
}

/// What descriptors read: one latent's spectrum, the latent, the model rank.
pub struct LocalGeometry<'a> {
    /// Singular values and Vᵀz.
    pub spectrum: &'a Spectrum,
    /// z.
    pub latent: &'a [f32],
    /// k of ψ_k.
    pub model_rank: usize,
}

/// A number about one latent.
pub struct Descriptor {
    /// Column name.
    pub name: &'static str,
    /// Formula in one line.
    pub about: &'static str,
    /// The measurement.
    pub measure: fn(&LocalGeometry) -> Measured,
}

/// Every descriptor, in the order of columns.
pub static DESCRIPTORS: &[Descriptor] = &[
    local_scaling::DESCRIPTOR,
    psi_k::DESCRIPTOR,
    local_rank::DESCRIPTOR,
    numerical_rank::DESCRIPTOR,
    log_likelihood::DESCRIPTOR,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(name: &str, singular_values: &[f64], latent: &[f32]) -> Measured {
        let spectrum = Spectrum {
            singular_values: singular_values.to_vec(),
            rotated_latent: vec![0.0; singular_values.len()],
            n_directions: singular_values.len(),
            estimator: "exact",
            sample_width: 8,
            by_qr: false,
        };
        let geometry = LocalGeometry { spectrum: &spectrum, latent, model_rank: 2 };
        DESCRIPTORS
            .iter()
            .find(|d| d.name == name)
            .map_or(Measured::Undefined(Undefined::NonFinite), |d| (d.measure)(&geometry))
    }

    #[test]
    fn scaling_a_map_shifts_psi_and_leaves_nu() {
        let s = [3.0, 1.5, 0.2];
        let scaled = s.map(|v| 7.0 * v);
        let shift =
            measure("psi", &scaled, &[0.0; 3]).value().zip(measure("psi", &s, &[0.0; 3]).value()).map(|(a, b)| a - b);
        assert!((shift.unwrap_or(f64::NAN) - 3.0 * 7.0f64.ln()).abs() < 1e-12);
        let (a, b) = (measure("nu", &s, &[0.0; 3]).value(), measure("nu", &scaled, &[0.0; 3]).value());
        assert!((a.unwrap_or(0.0) - b.unwrap_or(1.0)).abs() < 1e-12);
    }

    #[test]
    fn equal_singular_values_have_full_local_rank() {
        assert!((measure("nu", &[2.0; 5], &[0.0; 5]).value().unwrap_or(0.0) - 5.0).abs() < 1e-12);
    }

    #[test]
    fn likelihood_of_the_identity_is_the_prior() {
        let z = [1.0f32, -2.0];
        let expected = -0.5 * 5.0 - (2.0 * std::f64::consts::PI).ln();
        assert!((measure("log_likelihood", &[1.0, 1.0], &z).value().unwrap_or(0.0) - expected).abs() < 1e-12);
    }

    #[test]
    fn zero_jacobians_are_undefined_not_infinite() {
        for name in ["psi", "nu", "psi_k", "log_likelihood"] {
            assert!(matches!(measure(name, &[0.0, 0.0], &[0.0; 2]), Measured::Undefined(_)), "{name}");
        }
        assert_eq!(measure("rank", &[0.0, 0.0], &[0.0; 2]).value(), Some(0.0));
    }
}
