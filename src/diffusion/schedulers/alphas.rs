//! What a variance-preserving network was trained with: ᾱ at each of its steps.

use super::keys::Keys;
use crate::error::{Error, Result};
use std::f64::consts::FRAC_PI_2;

/// ᾱ_t for t = 0, 1, …, falling.
pub struct Alphas(Vec<f64>);

/// ᾱ at the last step of a table that is to end without a picture, for schedulers that divide by it: 2⁻²⁴, as small as a number of half
/// precision can be.
pub const LEAST_ALPHA: f64 = 1.0 / 16_777_216.0;

#[derive(Clone, Copy)]
enum Betas {
    Linear,
    ScaledLinear,
    SquaredCosine,
}

/// What a class takes for the keys of its betas where they are absent.
#[derive(Clone, Copy)]
pub struct UsualBetas {
    /// First and last β.
    ends: [f64; 2],
    scaled: bool,
}

impl UsualBetas {
    /// Those of most classes.
    pub const MOST: Self = Self { ends: [1e-4, 0.02], scaled: false };
    /// Those of latent diffusion, which LCM takes.
    pub const LATENT: Self = Self { ends: [0.00085, 0.012], scaled: true };
    /// Those that Heun's class takes.
    pub const HEUN: Self = Self { ends: [0.00085, 0.012], scaled: false };
}

impl Alphas {
    /// From the keys `num_train_timesteps`, `beta_start`, `beta_end`, `beta_schedule`, `trained_betas`, `rescale_betas_zero_snr`. With
    /// the last, ᾱ ends at `least`; a class that does not know that key has none.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn read(keys: &Keys, usual: UsualBetas, least: Option<f64>) -> Result<Self> {
        let n = keys.count("num_train_timesteps", 1000, [2, 100_000])?;
        let [first, last] = [keys.number("beta_start", usual.ends[0])?, keys.number("beta_end", usual.ends[1])?];
        let names = [
            ("linear", Betas::Linear),
            ("scaled_linear", Betas::ScaledLinear),
            ("squaredcos_cap_v2", Betas::SquaredCosine),
        ];
        let kind =
            keys.one_of("beta_schedule", if usual.scaled { Betas::ScaledLinear } else { Betas::Linear }, &names)?;
        let part = |i: usize| i as f64 / (n - 1) as f64;
        let betas = match (keys.numbers("trained_betas")?, kind) {
            (Some(betas), _) => betas,
            (None, Betas::Linear) => (0..n).map(|i| first + (last - first) * part(i)).collect(),
            (None, Betas::ScaledLinear) => {
                (0..n).map(|i| (first.sqrt() + (last.sqrt() - first.sqrt()) * part(i)).powi(2)).collect()
            }
            (None, Betas::SquaredCosine) => {
                let f = |i: usize| ((i as f64 / n as f64 + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
                (0..n).map(|i| (1.0 - f(i + 1) / f(i)).min(0.999)).collect()
            }
        };
        let wrong = betas.iter().filter(|b| !(**b > 0.0 && **b < 1.0)).count();
        if betas.len() != n || wrong > 0 {
            let key = if keys.numbers("trained_betas")?.is_some() { "trained_betas" } else { "beta_end" };
            let message = format!(
                "expected {n} values between 0 and 1 for the steps, found {}, {wrong} of them outside",
                betas.len()
            );
            return Err(Error::key(key, message));
        }
        let mut product = 1.0;
        let mut all: Vec<f64> = betas
            .into_iter()
            .map(|beta| {
                product *= 1.0 - beta;
                product
            })
            .collect();
        keys.passes_over(&["rescale_betas_zero_snr"]);
        if let Some(least) = least
            && keys.flag("rescale_betas_zero_snr", false)?
        {
            // √ᾱ is shifted to end at 0 and scaled to begin where it did.
            let roots: Vec<f64> = all.iter().map(|a| a.sqrt()).collect();
            let [begin, end] = [roots[0], roots[n - 1]];
            all = roots.into_iter().map(|r| ((r - end) * begin / (begin - end)).powi(2)).collect();
            all[n - 1] = least;
        }
        Ok(Self(all))
    }

    /// Number of steps that the network was trained with.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// ᾱ at a step; `end` for one below 0.
    pub fn at(&self, t: i64, end: f64) -> f64 {
        usize::try_from(t).map_or(end, |t| self.0[t.min(self.0.len() - 1)])
    }

    /// ᾱ at the first step, where there is least noise.
    pub fn first(&self) -> f64 {
        self.0[0]
    }

    /// σ_t = √((1 − ᾱ_t)/ᾱ_t) for t = 0, 1, …, rising.
    pub fn sigmas(&self) -> Vec<f64> {
        self.0.iter().map(|a| ((1.0 - a) / a).sqrt()).collect()
    }
}
