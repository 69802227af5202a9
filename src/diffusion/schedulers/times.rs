//! At which of the network's steps a scheduler calls it, and the noise levels there.

use super::alphas::Alphas;
use super::keys::Keys;
use crate::error::{Error, Result};

/// How the times are spaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// From the last step to the first, both included.
    Linspace,
    /// Multiples of a whole number of steps, from 0 up; the last steps are never taken.
    Leading,
    /// Multiples of a fraction, from the last step down.
    Trailing,
}

impl Spacing {
    /// From the key `timestep_spacing`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn read(keys: &Keys, usual: Self) -> Result<Self> {
        let names = [("linspace", Self::Linspace), ("leading", Self::Leading), ("trailing", Self::Trailing)];
        keys.one_of("timestep_spacing", usual, &names)
    }

    /// `n` times of `train` steps, falling. Solvers of several steps take one more apart (`apart`) and leave out the last.
    pub fn times(self, train: usize, n: usize, offset: usize, apart: bool) -> Vec<f64> {
        let points = if apart { n + 1 } else { n };
        let rising: Vec<f64> = match self {
            Self::Linspace => {
                let last = (train - 1) as f64;
                (0..points).map(|i| if points == 1 { 0.0 } else { last * i as f64 / (points - 1) as f64 }).collect()
            }
            Self::Leading => (0..points).map(|i| (i * (train / points) + offset) as f64).collect(),
            Self::Trailing => {
                let step = train as f64 / n as f64;
                return (0..n).map(|i| (train as f64 - i as f64 * step).round_ties_even() - 1.0).collect();
            }
        };
        rising.into_iter().rev().take(n).collect()
    }
}

/// Times rounded to whole steps.
pub fn whole(times: Vec<f64>) -> Vec<f64> {
    times.into_iter().map(f64::round_ties_even).collect()
}

/// The value at `x` of the piecewise linear function through `ys` at 0, 1, ….
pub fn interpolated(x: f64, ys: &[f64]) -> f64 {
    let x = x.clamp(0.0, (ys.len() - 1) as f64);
    let i = (x.floor() as usize).min(ys.len() - 2);
    ys[i] + (x - i as f64) * (ys[i + 1] - ys[i])
}

/// The time, between steps, at which a rising table of noise levels has `sigma`, linear in ln σ.
pub fn time_of(sigma: f64, table: &[f64]) -> f64 {
    let i = table.partition_point(|s| *s <= sigma).clamp(1, table.len() - 1) - 1;
    let [low, high] = [table[i].ln(), table[i + 1].ln()];
    i as f64 + ((sigma.ln() - low) / (high - low)).clamp(0.0, 1.0)
}

/// How noise levels are spread between their ends in place of those of the times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Those of the times.
    None,
    /// Evenly in σ^(1/7).
    Karras,
    /// Evenly in ln σ.
    Exponential,
}

impl Spread {
    /// From the keys `use_karras_sigmas` and `use_exponential_sigmas`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn read(keys: &Keys) -> Result<Self> {
        match (keys.flag("use_karras_sigmas", false)?, keys.flag("use_exponential_sigmas", false)?) {
            (true, true) => {
                Err(Error::key("use_exponential_sigmas", "expected one kind of noise levels, found Karras too"))
            }
            (true, false) => Ok(Self::Karras),
            (false, true) => Ok(Self::Exponential),
            (false, false) => Ok(Self::None),
        }
    }

    /// `n` levels from `high` to `low`.
    pub fn between(self, high: f64, low: f64, n: usize) -> Vec<f64> {
        let f = |s: f64| if self == Self::Karras { s.powf(1.0 / 7.0) } else { s.ln() };
        let back = |v: f64| if self == Self::Karras { v.powi(7) } else { v.exp() };
        let part = |i: usize| if n == 1 { 0.0 } else { i as f64 / (n - 1) as f64 };
        (0..n).map(|i| back(f(high) + part(i) * (f(low) - f(high)))).collect()
    }
}

/// What unit noise is multiplied by to begin at the greatest of these levels, in coordinates x₀ + σ·ε.
pub fn start_of(spacing: Spacing, sigmas: &[f64]) -> f64 {
    let most = sigmas.iter().copied().fold(0.0, f64::max);
    if spacing == Spacing::Leading { (most * most + 1.0).sqrt() } else { most }
}

/// The last noise level of a path, by the key `final_sigmas_type`: 0, or the least of the table.
///
/// # Errors
/// [`Error::Key`].
pub fn last_level(keys: &Keys, alphas: &Alphas) -> Result<f64> {
    let least = ((1.0 - alphas.first()) / alphas.first()).sqrt();
    Ok(if keys.one_of("final_sigmas_type", true, &[("zero", true), ("sigma_min", false)])? { 0.0 } else { least })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_by_hand() {
        let times = |s: Spacing, n, apart| s.times(1000, n, 1, apart);
        assert_eq!(times(Spacing::Leading, 4, false), [751.0, 501.0, 251.0, 1.0]);
        assert_eq!(times(Spacing::Leading, 4, true), [801.0, 601.0, 401.0, 201.0]);
        assert_eq!(times(Spacing::Trailing, 4, true), [999.0, 749.0, 499.0, 249.0]);
        assert_eq!(times(Spacing::Linspace, 4, false), [999.0, 666.0, 333.0, 0.0]);
        assert_eq!(whole(times(Spacing::Linspace, 4, true)), [999.0, 749.0, 500.0, 250.0]);
        // 61 does not divide 1000, and a range of floating-point numbers has one more here.
        let trailing = times(Spacing::Trailing, 61, false);
        assert!(trailing.len() == 61 && trailing.windows(2).all(|w| w[1] < w[0]) && trailing[60] > 0.0);
    }

    #[test]
    fn levels_and_times_are_each_others() {
        let table: Vec<f64> = (0..1000).map(|i| 0.03 * 1.006f64.powi(i)).collect();
        for t in [0.0, 0.25, 17.0, 998.75, 999.0] {
            let sigma = (table[0].ln() + t * 1.006f64.ln()).exp();
            assert!((time_of(sigma, &table) - t).abs() < 1e-9, "{t}");
        }
        assert_eq!((time_of(1e-3, &table), time_of(1e3, &table)), (0.0, 999.0));
        assert!((interpolated(2.5, &[0.0, 1.0, 4.0, 9.0]) - 6.5).abs() < 1e-15);
    }
}
