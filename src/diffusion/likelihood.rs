//! The likelihood of a sample under the probability-flow equation (theory, 30),
//!
//!   ln p(x) = ln N(x_max; 0, σ_max² I) + ∫ (D_amb − tr ∂D/∂x)/σ dσ,
//!
//! where x_max is x carried up to σ_max along the flow.

use super::flipd::{Estimate, Trace, to_f64, trace};
use super::{Denoiser, State};
use crate::error::{Error, Result};
use crate::nn::Rows;

/// ln p in nats at each row of x (`[n, D_amb]`), as n estimates. x is carried from its own noise level `sigmas[0]` up
/// through the ascending `sigmas` to the last, and the divergence (D_amb − tr ∂D/∂x)/σ is integrated on the way, both
/// by Heun's method. The standard error covers the probes of the traces, which are independent at every evaluation, but
/// not the error of the integration.
///
/// The density is that of the data noised to `sigmas[0]`, not of the data themselves. At the last level it is taken to
/// be N(0, σ_max² I), so that level must be far above the size of the data.
///
/// # Errors
/// Those of the denoiser and of [`trace`]; [`Error::Config`] unless the levels ascend and are above 0.
pub fn log_likelihood(denoiser: &dyn Denoiser, x: &Rows, sigmas: &[f64], how: Trace) -> Result<Vec<Estimate>> {
    let ascending = sigmas.windows(2).all(|w| w[0] < w[1]);
    let (Some(first), Some(last)) = (sigmas.first(), sigmas.last()) else {
        return Err(Error::config("sigma", "expected at least two noise levels, found none"));
    };
    if !(ascending && sigmas.len() > 1 && *first > 0.0) {
        let message = format!("expected noise levels that ascend from above 0, found {first} to {last}");
        return Err(Error::config("sigma", message));
    }
    let [n, width] = x.dims();
    let step_probes = |i: usize| match how {
        Trace::Exact => Trace::Exact,
        Trace::Hutchinson { probes, seed } => Trace::Hutchinson { probes, seed: seed ^ ((i as u64 + 1) << 32) },
    };
    // dx/dσ and the divergence at one point of the path.
    let look = |x: &Rows, sigma: f64, i: usize| -> Result<(Rows, Vec<Estimate>)> {
        let (traces, denoised) = trace(denoiser, x, sigma, step_probes(i))?;
        let slope = (x.clone() - denoised) * (1.0 / sigma);
        let div = |t: Estimate| Estimate { value: (width as f64 - t.value) / sigma, stderr: t.stderr / sigma };
        Ok((slope, traces.into_iter().map(div).collect()))
    };
    let mut x = x.clone();
    let mut sum = vec![0.0; n];
    let mut variance = vec![0.0; n];
    for (i, ends) in sigmas.windows(2).enumerate() {
        let h = ends[1] - ends[0];
        let (slope, div) = look(&x, ends[0], 2 * i)?;
        let predicted = x.clone() + slope.clone() * h;
        let (next_slope, next_div) = look(&predicted, ends[1], 2 * i + 1)?;
        for j in 0..n {
            sum[j] += 0.5 * h * (div[j].value + next_div[j].value);
            variance[j] += (0.5 * h).powi(2) * (div[j].stderr.powi(2) + next_div[j].stderr.powi(2));
        }
        x = x + (slope + next_slope) * (0.5 * h);
    }
    let squares = to_f64((x.clone() * x).sum_dim(1))?;
    let constant = -0.5 * width as f64 * (2.0 * std::f64::consts::PI * last * last).ln();
    let end = |j: usize| constant - 0.5 * squares[j] / (last * last);
    Ok((0..n).map(|j| Estimate { value: end(j) + sum[j], stderr: variance[j].sqrt() }).collect())
}

/// Carries x (`[n, D_amb]`) from its noise level `sigmas[0]` up through the ascending `sigmas` to the last, by Heun's
/// method and without the likelihood. Dividing the result, `[n, D_amb]`, by the last level gives the noise from which a
/// deterministic sampler would make x.
///
/// # Errors
/// Those of the denoiser.
pub fn to_noise(denoiser: &dyn Denoiser, x: Rows, sigmas: &[f64]) -> Result<Rows> {
    let mut x = x;
    for ends in sigmas.windows(2) {
        let h = ends[1] - ends[0];
        let slope = |x: &Rows, sigma: f64| -> Result<Rows> {
            let denoised = denoiser.denoise(&State::plain(x.clone()), sigma, None)?.value;
            Ok((x.clone() - denoised) * (1.0 / sigma))
        };
        let first = slope(&x, ends[0])?;
        let second = slope(&(x.clone() + first.clone() * h), ends[1])?;
        x = x + (first + second) * (0.5 * h);
    }
    Ok(x)
}
