//! How a density grows as noise is taken away (theory, 33).

use super::flipd::{Trace, to_f64};
use super::{Denoiser, State, log_likelihood};
use crate::error::Result;
use crate::nn::Rows;

/// `count` noise levels from `low` to `high`, evenly spaced in ln σ; `count` must be at least 2.
pub fn log_grid(low: f64, high: f64, count: usize) -> Vec<f64> {
    let part = |i: usize| i as f64 / (count - 1) as f64;
    (0..count).map(|i| (low.ln() + (high / low).ln() * part(i)).exp()).collect()
}

/// ln p_σ of each row of x (`[n, D]`) at each of `levels`, ascending, `[n][levels]`. The likelihoods are integrated in one grid of
/// `steps` steps per unit of ln σ from each level up to `high`.
///
/// # Errors
/// Those of [`log_likelihood`].
pub fn densities(
    denoiser: &dyn Denoiser,
    x: &Rows,
    levels: &[f64],
    (high, steps): (f64, f64),
    how: Trace,
) -> Result<Vec<Vec<f64>>> {
    let mut all = vec![Vec::with_capacity(levels.len()); x.dims()[0]];
    for level in levels {
        let count = ((high / level).ln() * steps).ceil().max(2.0) as usize;
        let found = log_likelihood(denoiser, x, &log_grid(*level, high, count + 1), how)?;
        all.iter_mut().zip(found).for_each(|(all, l)| all.push(l.value));
    }
    Ok(all)
}

/// The slope of `values` over ln σ by least squares: −(D − d) where the data have d dimensions.
pub fn slope(levels: &[f64], values: &[f64]) -> f64 {
    let logs: Vec<f64> = levels.iter().map(|l| l.ln()).collect();
    let n = logs.len() as f64;
    let (mean, middle) = (logs.iter().sum::<f64>() / n, values.iter().sum::<f64>() / n);
    let over: f64 = logs.iter().zip(values).map(|(l, v)| (l - mean) * (v - middle)).sum();
    over / logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>()
}

/// ‖score‖²/D of the density noised to σ, at each row of x with noise of that level added: `noise` has the shape of x.
///
/// # Errors
/// Those of the denoiser and the device.
pub fn score_norms(denoiser: &dyn Denoiser, x: &Rows, noise: Rows, sigma: f64) -> Result<Vec<f64>> {
    let noised = x.clone() + noise * sigma;
    let denoised = denoiser.denoise(&State::plain(noised.clone()), sigma, None)?.value;
    let score = (denoised - noised) * (1.0 / (sigma * sigma));
    to_f64((score.clone() * score).mean_dim(1))
}
