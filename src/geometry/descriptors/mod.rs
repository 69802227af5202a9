//! Descriptors: numbers read off the geometry at one latent, one file each. To add one, write its file and put its row
//! into [`DESCRIPTORS`]. The row also says which tables and figures show it without being asked ([`ShownIn`]).

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
use crate::table::Note;

/// Why a descriptor has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// Every singular value is zero.
    ZeroRank,
    /// Fewer than k singular values are above 0, k the model rank.
    BelowModelRank,
    /// It was measured along fewer directions than the model rank.
    FewDirections,
    /// The value, or something it is computed from, is not finite.
    NonFinite,
    /// Too large or too small for an f64.
    OutOfRange,
    /// It needs something that was not measured, such as local complexity.
    NotMeasured,
}

impl std::fmt::Display for Undefined {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::ZeroRank => "zero rank",
            Self::BelowModelRank => "below the model rank",
            Self::FewDirections => "fewer directions than the model rank",
            Self::NonFinite => "not finite",
            Self::OutOfRange => "out of range",
            Self::NotMeasured => "not measured",
        })
    }
}

/// A measured number, or the reason why there is none. Never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// A value and the standard error of its estimate.
    Value {
        /// The number, always finite.
        value: f64,
        /// Its standard error: 0 if nothing was estimated, infinite if it is not known.
        stderr: f64,
    },
    /// No value, and why.
    Undefined(Undefined),
}

impl Measured {
    /// A value without estimation error, or [`Undefined::NonFinite`].
    pub fn exact(value: f64) -> Self {
        if value.is_finite() { Self::Value { value, stderr: 0.0 } } else { Self::Undefined(Undefined::NonFinite) }
    }

    /// A value with its standard error (infinite if that is not known), or [`Undefined::NonFinite`].
    pub fn with_error(value: f64, stderr: f64) -> Self {
        if value.is_finite() { Self::Value { value, stderr } } else { Self::Undefined(Undefined::NonFinite) }
    }

    /// Applies `f` to value and standard error; [`Undefined::OutOfRange`] if the new value is 0, subnormal or not
    /// finite.
    fn map(self, f: impl FnOnce(f64, f64) -> (f64, f64)) -> Self {
        let Self::Value { value, stderr } = self else { return self };
        let (value, stderr) = f(value, stderr);
        if value.is_normal() { Self::Value { value, stderr } } else { Self::Undefined(Undefined::OutOfRange) }
    }

    /// The standard error, if it is known.
    pub fn stderr(self) -> Option<f64> {
        match self {
            Self::Value { stderr, .. } if stderr.is_finite() => Some(stderr),
            _ => None,
        }
    }

    /// The value, if there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Value { value, .. } => Some(value),
            Self::Undefined(_) => None,
        }
    }
}

/// Default scale s of the intrinsic dimension, in units of sample values.
pub const SCALE: f64 = 0.1;

/// Everything that descriptors read at one latent.
#[derive(Clone, Copy)]
pub struct LocalGeometry<'a> {
    /// Singular values of the Jacobian, and Vᵀz.
    pub spectrum: &'a Spectrum,
    /// The latent z, `[d]`.
    pub latent: &'a [f32],
    /// The model rank k.
    pub model_rank: usize,
    /// Local complexity at z, if it was measured.
    pub complexity: Option<&'a Complexity>,
    /// Scales s of the intrinsic dimension, each above 0. If empty, [`SCALE`] is used.
    pub scales: &'a [f64],
}

impl<'a> LocalGeometry<'a> {
    /// The geometry without local complexity, and with the intrinsic dimension at [`SCALE`] only.
    pub fn new(spectrum: &'a Spectrum, latent: &'a [f32], model_rank: usize) -> Self {
        Self { spectrum, latent, model_rank, complexity: None, scales: &[] }
    }

    /// ψ_k at the model rank, with its standard error.
    fn psi_k(&self) -> Measured {
        let (spectrum, k) = (self.spectrum, self.model_rank);
        if spectrum.singular_values.len() < k {
            return Measured::Undefined(Undefined::FewDirections);
        }
        super::psi_k(&spectrum.singular_values, k).map_or(Measured::Undefined(Undefined::BelowModelRank), |psi| {
            Measured::with_error(psi, spectrum.psi_stderr(k))
        })
    }

    /// exp(−Σ α_i ln α_i) with α_i = σ_i^power / Σ_j σ_j^power (theory, 3).
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

    /// The replicates of the jackknife, each as a spectrum of its own.
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

/// A table or figure that shows some descriptors without being asked. Each row of [`DESCRIPTORS`] says where it is
/// shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownIn {
    /// The table of a run, one row per picture.
    Sample,
    /// A calibration, which compares an estimate of the descriptor with its exact value.
    Compared,
    /// The study that relates descriptors to pictures.
    Related,
    /// Maps over a plane of latents.
    Map,
    /// Curves along a path between seeds.
    Path,
}

/// The descriptors shown in `place`, in the order of their columns.
pub fn shown_in(place: ShownIn) -> impl Iterator<Item = &'static Descriptor> {
    DESCRIPTORS.iter().filter(move |d| d.shown.contains(&place))
}

/// One row of the table of descriptors: a number about one latent.
pub struct Descriptor {
    /// Name of its column.
    pub name: &'static str,
    /// The formula in one line, for `isoline list descriptors`.
    pub about: &'static str,
    /// The unit of its column.
    pub unit: &'static str,
    /// The values its column can have.
    pub range: &'static str,
    /// When its column is empty.
    pub empty: &'static str,
    /// Its label on the axis of a figure.
    pub label: &'static str,
    /// Tables and figures that show it without being asked.
    pub shown: &'static [ShownIn],
    /// Computes the value from the given geometry. A standard error of 0 asks [`measure_all`] to fill in that of the
    /// jackknife.
    pub measure: fn(&LocalGeometry) -> Measured,
    /// Further columns, such as one per layer; [`NO_PARTS`] for a descriptor that is one number.
    pub parts: Parts,
}

/// Further columns of a descriptor.
pub struct Parts {
    /// Their entries in the dictionary of columns.
    pub notes: &'static [Note],
    /// Name and value of each.
    pub measure: fn(&LocalGeometry) -> Vec<(String, Measured)>,
}

/// [`Descriptor::parts`] of a descriptor that is one number: none.
pub const NO_PARTS: Parts = Parts { notes: &[], measure: |_| Vec::new() };

impl Descriptor {
    /// Its entry in the dictionary of columns.
    pub fn note(&self) -> Note {
        Note::new(self.name, self.unit, self.range, self.about, self.empty)
    }
}

/// The descriptors `wanted` and their parts, in order, as (column name, value). If the spectrum comes from part of the
/// directions, a value without a standard error of its own gets that of the jackknife over the spectrum's replicates.
pub fn measure_all(g: &LocalGeometry, wanted: &[&Descriptor]) -> Vec<(String, Measured)> {
    let replicated = g.replicated();
    let mut columns = Vec::new();
    for descriptor in wanted {
        let all = |g: &LocalGeometry| {
            let mut all = vec![(descriptor.name.to_owned(), (descriptor.measure)(g))];
            all.extend((descriptor.parts.measure)(g));
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
