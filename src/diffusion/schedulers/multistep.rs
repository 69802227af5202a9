//! What DPM-Solver and UniPC have in common: times and levels of a path, in coordinates x = α·x₀ + s·ε with α² + s² = 1, and λ = ln(α/s).

use super::alphas::{Alphas, LEAST_ALPHA, UsualBetas};
use super::keys::Keys;
use super::times::{Spacing, Spread, interpolated, last_level, time_of, whole};
use crate::error::{Error, Result};

/// Times of the calls, and the levels that steps go between: one more.
pub struct Path {
    /// Times, whole.
    pub times: Vec<f64>,
    /// σ = s/α.
    pub sigmas: Vec<f64>,
}

/// A noise level in the coordinates of the solvers.
#[derive(Clone, Copy)]
pub struct Level {
    /// √ᾱ.
    pub alpha: f64,
    /// √(1 − ᾱ).
    pub rest: f64,
    /// ln(α/s): −ln σ, ∞ without noise.
    pub lambda: f64,
}

impl Path {
    /// From the keys of a multistep scheduler.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn read(keys: &Keys, steps: usize) -> Result<Self> {
        for key in ["thresholding", "use_flow_sigmas", "use_lu_lambdas", "use_dynamic_shifting", "use_beta_sigmas"] {
            if keys.flag(key, false)? {
                return Err(Error::key(key, "expected false; this is not supported"));
            }
        }
        keys.passes_over(&["time_shift_type"]);
        let alphas = Alphas::read(keys, UsualBetas::MOST, Some(LEAST_ALPHA))?;
        let spacing = Spacing::read(keys, Spacing::Linspace)?;
        let offset = keys.count("steps_offset", 0, [0, 10])?;
        let table = alphas.sigmas();
        let mut times = whole(spacing.times(alphas.len(), steps, offset, true));
        let mut sigmas: Vec<f64> = times.iter().map(|t| interpolated(*t, &table)).collect();
        let spread = Spread::read(keys)?;
        if spread != Spread::None {
            // Between the ends of the whole table, whatever the spacing.
            sigmas = spread.between(table[table.len() - 1], table[0], steps);
            times = whole(sigmas.iter().map(|s| time_of(*s, &table)).collect());
        }
        sigmas.push(last_level(keys, &alphas)?);
        Ok(Self { times, sigmas })
    }

    /// The level before step `i`.
    pub fn level(&self, i: usize) -> Level {
        let sigma = self.sigmas[i];
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        Level { alpha, rest: sigma * alpha, lambda: -sigma.ln() }
    }

    /// ᾱ before step `i`.
    pub fn alpha_bar(&self, i: usize) -> f64 {
        self.level(i).alpha.powi(2)
    }

    /// λ of the level before step `to` less that before step `from`.
    pub fn rise(&self, from: usize, to: usize) -> f64 {
        self.level(to).lambda - self.level(from).lambda
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.times.len()
    }

    /// Whether it ends without noise.
    pub fn ends_clean(&self) -> bool {
        self.sigmas[self.steps()] == 0.0
    }
}
