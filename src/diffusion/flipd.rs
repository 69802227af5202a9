//! Local intrinsic dimension from a denoiser (theory, 29): FLIPD (arXiv 2406.03537),
//!
//!   LID(x; σ) = tr ∂D/∂x (x; σ) + ‖D(x; σ) − x‖²/σ²,
//!
//! at the clean x, with no noise added: the number of directions in which the data extend by more than σ around x. In
//! terms of the score s = (D − x)/σ² it is D_amb + σ²(∇·s + ‖s‖²); in terms of an ε-network at x_t = √ᾱ·x it is D_amb −
//! √(1 − ᾱ)·tr ∂ε/∂x_t + ‖ε‖². All three are the same number, since every parametrisation gives a D.
//!
//! At *noised* points its mean is the ambient dimension D_amb for any data, which makes it a check of the network there
//! and not an estimate of anything. Values are not clamped to [0, D_amb]; one outside shows that the model does not
//! know that region.

use super::{Denoiser, State};
use crate::error::{Error, Result};
use crate::nn::{Rows, Tangents};
use crate::noise::{self, Stream};
use burn::tensor::{DType, Tensor, TensorData};
use rand::RngExt;

/// How the trace of the denoiser's Jacobian is computed; the result is an [`Estimate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// From all D_amb tangents, exact up to rounding.
    Exact,
    /// The mean of vᵀJv over Rademacher probes v (entries ±1) that all rows share (Hutchinson's estimator).
    Hutchinson {
        /// Number of probes, at least 2.
        probes: usize,
        /// Seed of the probes.
        seed: u64,
    },
}

/// An estimated number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The number. It is not finite where the model's answer was not.
    pub value: f64,
    /// Its standard error; 0 where nothing was sampled.
    pub stderr: f64,
}

/// FLIPD (29) at one point, in its two parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flipd {
    /// tr ∂D/∂x: near 1 for each direction along the data, near 0 for each across them.
    pub trace: Estimate,
    /// ‖D(x; σ) − x‖²/σ²: how far off the data the model takes x to be.
    pub residual: f64,
}

impl Flipd {
    /// LID(x; σ), the trace plus the residual.
    pub fn dimension(self) -> Estimate {
        Estimate { value: self.trace.value + self.residual, stderr: self.trace.stderr }
    }
}

/// Why a value of FLIPD at a clean point cannot be a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not finite.
    NotFinite,
    /// It is below 0.
    BelowZero,
    /// It is above the ambient dimension.
    AboveAmbient,
    /// The trace is below 0. The Jacobian of a denoiser is Cov[x₀ | x]/σ² for every distribution of data, and a covariance
    /// has no negative trace; so the network is no denoiser here.
    NegativeTrace,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "not finite",
            Self::BelowZero => "below 0, which is no dimension",
            Self::AboveAmbient => "above the number of pixels",
            Self::NegativeTrace => "trace below 0: the network is no denoiser here",
        })
    }
}

impl Flipd {
    /// Why this is no dimension in a space of `ambient` dimensions, if it is none: three standard errors and the rounding
    /// of the trace are granted.
    pub fn fault(self, ambient: usize) -> Option<Fault> {
        let Estimate { value, stderr } = self.dimension();
        let slack = 3.0 * stderr + f64::from(f32::EPSILON) * ambient as f64;
        match value {
            v if !v.is_finite() => Some(Fault::NotFinite),
            v if v < -slack => Some(Fault::BelowZero),
            v if v > ambient as f64 + slack => Some(Fault::AboveAmbient),
            _ if self.trace.value < -slack => Some(Fault::NegativeTrace),
            _ => None,
        }
    }
}

/// The values of a tensor of any number type as f64 on the host, row-major.
///
/// # Errors
/// [`Error::Device`] where the device has failed.
pub fn to_f64<const D: usize>(x: Tensor<D>) -> Result<Vec<f64>> {
    x.cast(DType::F64).try_into_vec_as::<f64>().map_err(|e| Error::Device {
        device: "in use".into(),
        message: format!("a result could not be read: {e:?}; a smaller tile, or the device cpu, may help"),
    })
}

/// Values `[n, width]`, row-major, as a tensor with the number type and device of `like`.
fn rows_like(values: Vec<f64>, width: usize, like: &Rows) -> Rows {
    let n = values.len() / width;
    Tensor::from_data(TensorData::new(values, [n, width]), (&like.device(), like.dtype()))
}

/// Probes `first..first + count` with entries ±1, `[count, width]` row-major. Probe i is the same however many are
/// drawn.
fn rademacher(seed: u64, first: usize, count: usize, width: usize) -> Vec<f64> {
    let probe = |i: usize| {
        let mut rng = noise::generator(seed, i as u64, Stream::Probe, 0);
        (0..width).map(move |_| if rng.random::<bool>() { 1.0 } else { -1.0 }).collect::<Vec<f64>>()
    };
    (first..first + count).flat_map(probe).collect()
}

/// Upper bound on the number of tangent values in one call of the denoiser, over all rows and directions.
const CHUNK: usize = 1 << 20;

/// tr ∂D/∂x at each row of x (`[n, D_amb]`), as n estimates, and D(x; σ) itself, `[n, D_amb]`. Both are unconditional.
///
/// # Errors
/// Those of the denoiser and the device; [`Error::Key`] for fewer than two probes.
pub fn trace(denoiser: &dyn Denoiser, x: &Rows, sigma: f64, how: Trace) -> Result<(Vec<Estimate>, Rows)> {
    let [n, width] = x.dims();
    let count = match how {
        Trace::Exact => width,
        Trace::Hutchinson { probes, .. } if probes >= 2 => probes,
        Trace::Hutchinson { probes, .. } => {
            let message = format!("expected at least 2 probes, found {probes}; one gives no standard error");
            return Err(Error::key("probes", message));
        }
    };
    let chunk = (CHUNK / (n * width).max(1)).clamp(1, count);
    let mut products: Vec<Vec<f64>> = vec![Vec::with_capacity(count); n];
    let mut denoised = None;
    for first in (0..count).step_by(chunk) {
        let k = chunk.min(count - first);
        let probes = match how {
            Trace::Exact => {
                let mut unit = vec![0.0; k * width];
                (0..k).for_each(|j| unit[j * width + first + j] = 1.0);
                unit
            }
            Trace::Hutchinson { seed, .. } => rademacher(seed, first, k, width),
        };
        let probes = rows_like(probes, width, x);
        let state = State { value: x.clone(), tangents: Some(Tangents::shared(probes.clone())) };
        let out = denoiser.denoise(&state, sigma, None)?;
        let Some(moved) = out.tangents else { return Err(Error::Bug("a denoiser dropped its tangents".into())) };
        let along = to_f64((moved.expanded(n) * probes.reshape([1, k, width])).sum_dim(2))?;
        products.iter_mut().zip(along.chunks_exact(k)).for_each(|(p, a)| p.extend_from_slice(a));
        denoised = Some(out.value);
    }
    let estimate = |p: Vec<f64>| match how {
        Trace::Exact => Estimate { value: p.iter().sum(), stderr: 0.0 },
        Trace::Hutchinson { .. } => {
            let m = p.len() as f64;
            let mean = p.iter().sum::<f64>() / m;
            let variance = p.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (m - 1.0);
            Estimate { value: mean, stderr: (variance / m).sqrt() }
        }
    };
    let denoised = denoised.ok_or_else(|| Error::Bug("the trace of a denoiser of width 0".into()))?;
    Ok((products.into_iter().map(estimate).collect(), denoised))
}

/// FLIPD (29) at each row of a clean x (`[n, D_amb]`), n values. The head of this file says what it means at noised
/// points.
///
/// # Errors
/// As for [`trace`].
pub fn flipd(denoiser: &dyn Denoiser, x: &Rows, sigma: f64, how: Trace) -> Result<Vec<Flipd>> {
    let (traces, denoised) = trace(denoiser, x, sigma, how)?;
    let moved = denoised - x.clone();
    let squares = to_f64((moved.clone() * moved).sum_dim(1))?;
    Ok(traces.into_iter().zip(squares).map(|(trace, s)| Flipd { trace, residual: s / (sigma * sigma) }).collect())
}
