//! Numbers read off one local spectrum, one file each.

mod intrinsic_dimension;
mod latent_norm;
mod local_complexity;
mod local_rank;
mod local_rank_squares;
mod local_scaling;
mod log_frobenius;
mod log_likelihood;
mod numerical_rank;
mod psi_k;
mod top_singular_value;
mod volume;

use super::complexity::Complexity;
use super::{Spectrum, jackknife};

/// Why a descriptor has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// Every singular value is zero.
    ZeroRank,
    /// Fewer than k singular values are above zero.
    BelowModelRank,
    /// The Jacobian or the latent holds a value that is not finite.
    NonFinite,
    /// Too large or too small for a number.
    OutOfRange,
    /// What it is read from was not asked for.
    NotMeasured,
}

impl std::fmt::Display for Undefined {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::ZeroRank => "zero rank",
            Self::BelowModelRank => "below the model rank",
            Self::NonFinite => "not finite",
            Self::OutOfRange => "out of range",
            Self::NotMeasured => "not measured",
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

    /// A value with its standard error, which is infinite where it is not known.
    pub fn with_error(value: f64, stderr: f64) -> Self {
        if value.is_finite() { Self::Value { value, stderr } } else { Self::Undefined(Undefined::NonFinite) }
    }

    /// Another value and standard error from those here; out of range where the value is not a positive
    /// or negative normal number.
    fn map(self, f: impl FnOnce(f64, f64) -> (f64, f64)) -> Self {
        let Self::Value { value, stderr } = self else { return self };
        let (value, stderr) = f(value, stderr);
        if value.is_normal() { Self::Value { value, stderr } } else { Self::Undefined(Undefined::OutOfRange) }
    }

    /// The standard error, where it is known.
    pub fn stderr(self) -> Option<f64> {
        match self {
            Self::Value { stderr, .. } if stderr.is_finite() => Some(stderr),
            _ => None,
        }
    }

    /// The value, where there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Value { value, .. } => Some(value),
            Self::Undefined(_) => None,
        }
    }
}

/// Scale of the intrinsic dimension where none is asked for.
pub const SCALE: f64 = 0.1;

/// What descriptors read: one latent's spectrum, the latent, the model rank.
#[derive(Clone, Copy)]
pub struct LocalGeometry<'a> {
    /// Singular values and Vᵀz.
    pub spectrum: &'a Spectrum,
    /// z.
    pub latent: &'a [f32],
    /// k of ψ_k.
    pub model_rank: usize,
    /// Sign changes around z, where they were counted.
    pub complexity: Option<&'a Complexity>,
    /// Scales of the intrinsic dimension, positive.
    pub scales: &'a [f64],
}

impl<'a> LocalGeometry<'a> {
    /// Without local complexity, intrinsic dimension at [`SCALE`] only.
    pub fn new(spectrum: &'a Spectrum, latent: &'a [f32], model_rank: usize) -> Self {
        Self { spectrum, latent, model_rank, complexity: None, scales: &[] }
    }

    fn psi_k(&self) -> Measured {
        let (spectrum, k) = (self.spectrum, self.model_rank);
        super::psi_k(&spectrum.singular_values, k).map_or(Measured::Undefined(Undefined::BelowModelRank), |psi| {
            Measured::with_error(psi, spectrum.psi_stderr(k))
        })
    }

    /// exp of the entropy of σ^power over their sum.
    fn local_rank(&self, power: i32) -> Measured {
        let s = &self.spectrum.singular_values;
        let Some(first) = s.first().filter(|first| **first > 0.0) else {
            return Measured::Undefined(Undefined::ZeroRank);
        };
        let weights = || s.iter().map(|v| (v / first).powi(power));
        let total: f64 = weights().sum();
        let shares = weights().map(|w| w / total).filter(|a| *a > 0.0);
        Measured::exact(shares.map(|a| -a * a.ln()).sum::<f64>().exp())
    }

    /// The spectra of the jackknife.
    fn replicated(&self) -> Vec<Spectrum> {
        let whole = Spectrum { replicates: Vec::new(), ..self.spectrum.clone() };
        let replicate = |r: &super::Replicate| Spectrum {
            singular_values: r.singular_values.clone(),
            rotated_latent: r.rotated_latent.clone(),
            ..whole.clone()
        };
        self.spectrum.replicates.iter().map(replicate).collect()
    }
}

/// A place that shows descriptors without being asked for them, and reads from the table which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownIn {
    /// The table of pictures.
    Sample,
    /// A calibration: an estimate of it is compared with the exact one.
    Compared,
    /// The study that relates descriptors to pictures.
    Related,
    /// Maps of a plane.
    Map,
    /// Paths between seeds.
    Path,
}

/// The descriptors that a place shows, in the order of columns.
pub fn shown_in(place: ShownIn) -> impl Iterator<Item = &'static Descriptor> {
    DESCRIPTORS.iter().filter(move |d| d.shown.contains(&place))
}

/// A number about one latent.
pub struct Descriptor {
    /// Column name.
    pub name: &'static str,
    /// Formula in one line.
    pub about: &'static str,
    /// What it is called beside an axis.
    pub label: &'static str,
    /// Where it is shown without being asked for.
    pub shown: &'static [ShownIn],
    /// The measurement; its standard error is 0 where it is not known here, see [`measure_all`].
    pub measure: fn(&LocalGeometry) -> Measured,
    /// Columns of its own beside it, such as one per layer; see [`no_parts`].
    pub parts: fn(&LocalGeometry) -> Vec<(String, Measured)>,
}

/// The parts of a descriptor that is one number.
pub fn no_parts(_: &LocalGeometry) -> Vec<(String, Measured)> {
    Vec::new()
}

/// The descriptors `wanted` with their parts, in order, by column name. Those read from a spectrum of some
/// directions get their standard error by its jackknife, unless they bring one.
pub fn measure_all(g: &LocalGeometry, wanted: &[&Descriptor]) -> Vec<(String, Measured)> {
    let replicated = g.replicated();
    let mut columns = Vec::new();
    for descriptor in wanted {
        let all = |g: &LocalGeometry| {
            let mut all = vec![(descriptor.name.to_owned(), (descriptor.measure)(g))];
            all.extend((descriptor.parts)(g));
            all
        };
        let others: Vec<_> = replicated.iter().map(|spectrum| all(&LocalGeometry { spectrum, ..*g })).collect();
        for (i, (name, found)) in all(g).into_iter().enumerate() {
            let found = match found {
                Measured::Value { value, stderr: 0.0 } if !others.is_empty() => {
                    let values: Vec<Option<f64>> = others.iter().map(|o| o.get(i).and_then(|o| o.1.value())).collect();
                    let stderr = jackknife(&values, g.spectrum.n_directions, g.spectrum.frame_of);
                    Measured::with_error(value, stderr.unwrap_or(f64::INFINITY))
                }
                other => other,
            };
            columns.push((name, found));
        }
    }
    columns
}

/// Every descriptor, in the order of columns.
pub static DESCRIPTORS: &[Descriptor] = &[
    local_scaling::DESCRIPTOR,
    psi_k::DESCRIPTOR,
    local_rank::DESCRIPTOR,
    local_rank_squares::DESCRIPTOR,
    numerical_rank::DESCRIPTOR,
    local_complexity::DESCRIPTOR,
    log_likelihood::DESCRIPTOR,
    volume::DESCRIPTOR,
    intrinsic_dimension::DESCRIPTOR,
    top_singular_value::DESCRIPTOR,
    log_frobenius::DESCRIPTOR,
    latent_norm::DESCRIPTOR,
];
