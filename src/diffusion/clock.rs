//! Clocks: which noise level σ corresponds to the time t that a variance-preserving network was trained with. Such a
//! model works on x_t = √ᾱ·x₀ + √(1 − ᾱ)·ε with ᾱ falling in t; in our coordinates that is x = x_t/√ᾱ at
//! σ = √((1 − ᾱ)/ᾱ).

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The keys of a clock; they are among the settings of a prediction.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// `linear`, `scaled_linear` or `cosine` for a table of steps; `vp` for the continuous process with linear β.
    clock: String,
    /// Number of steps in the table.
    #[serde(default = "thousand")]
    steps: usize,
    /// First and last β of the table, or β₀ and β₁ of the process.
    #[serde(default = "betas")]
    beta: [f64; 2],
    /// The network is given t times this.
    #[serde(default = "one")]
    time_scale: f64,
}

fn thousand() -> usize {
    1000
}

fn betas() -> [f64; 2] {
    [1e-4, 0.02]
}

fn one() -> f64 {
    1.0
}

/// The relation σ ↔ t of a variance-preserving model, σ = √((1 − ᾱ)/ᾱ); σ increases with t.
#[derive(Clone, Debug)]
pub enum Clock {
    /// A model's own table, one entry per step t = 0, 1, …; between steps ln σ is linear in t.
    Table {
        /// ln σ of every step, ascending.
        log_sigma: Vec<f64>,
        /// The network is given t times this.
        time_scale: f64,
    },
    /// The continuous process with β(t) = β₀ + (β₁ − β₀)t for t in (0, 1].
    Continuous {
        /// β₀ and β₁.
        beta: [f64; 2],
        /// The network is given t times this.
        time_scale: f64,
    },
}

impl Clock {
    /// A clock from its keys: `clock`, `steps`, `beta`, `time_scale`.
    ///
    /// # Errors
    /// [`Error::Key`] at the first key that is unknown or out of range.
    pub fn parse(table: toml::Table) -> Result<Self> {
        let c: Config = Deserialize::deserialize(table)
            .map_err(|e: toml::de::Error| Error::key("", crate::error::explain_toml(e.message())))?;
        let [low, high] = c.beta;
        let top = if c.clock == "vp" { 1e3 } else { 1.0 };
        if !(low > 0.0 && low <= high && high < top) {
            return Err(Error::key("beta", format!("expected 0 < first ≤ last < {top}, found [{low}, {high}]")));
        }
        if !(2..=100_000).contains(&c.steps) {
            return Err(Error::key("steps", format!("expected 2 to 100000, found {}", c.steps)));
        }
        if !(c.time_scale > 0.0 && c.time_scale.is_finite()) {
            return Err(Error::key("time_scale", format!("expected a number above 0, found {}", c.time_scale)));
        }
        let part = |i: usize| i as f64 / (c.steps - 1) as f64;
        let betas: Vec<f64> = match c.clock.as_str() {
            "vp" => return Ok(Self::Continuous { beta: c.beta, time_scale: c.time_scale }),
            "linear" => (0..c.steps).map(|i| low + (high - low) * part(i)).collect(),
            "scaled_linear" => {
                (0..c.steps).map(|i| (low.sqrt() + (high.sqrt() - low.sqrt()) * part(i)).powi(2)).collect()
            }
            "cosine" => {
                let f = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
                let n = c.steps as f64;
                (0..c.steps).map(|i| (1.0 - f((i + 1) as f64 / n) / f(i as f64 / n)).min(0.999)).collect()
            }
            other => {
                let known = ["linear", "scaled_linear", "cosine", "vp"];
                let near = crate::error::did_you_mean(other, known);
                return Err(Error::key("clock", format!("unknown clock \"{}\"{near}", other.escape_debug())));
            }
        };
        Ok(Self::from_betas(&betas, c.time_scale))
    }

    /// The table of a model whose step t adds noise of variance β_t: ᾱ_t = Π_{s ≤ t} (1 − β_s). `betas` must hold at
    /// least two steps.
    pub fn from_betas(betas: &[f64], time_scale: f64) -> Self {
        let log_sigma = betas.iter().scan(0.0f64, |sum, beta| {
            *sum += (-beta).ln_1p();
            // σ² = 1/ᾱ − 1 with ln ᾱ = sum.
            Some(0.5 * (-*sum).exp_m1().ln())
        });
        Self::Table { log_sigma: log_sigma.collect(), time_scale }
    }

    /// The least and the greatest σ that the model was trained for.
    pub fn range(&self) -> [f64; 2] {
        match self {
            Self::Table { log_sigma, .. } => [log_sigma[0].exp(), log_sigma[log_sigma.len() - 1].exp()],
            // B(t) = β₀t + ½(β₁ − β₀)t², σ² = e^B − 1.
            Self::Continuous { beta: [low, high], .. } => [1e-5, (0.5 * (low + high)).exp_m1().sqrt()],
        }
    }

    /// σ at the time `t`, before scaling: a step of the table (fractions are interpolated), or a time in (0, 1].
    pub fn sigma_at(&self, t: f64) -> f64 {
        match self {
            Self::Table { log_sigma, .. } => {
                let t = t.clamp(0.0, (log_sigma.len() - 1) as f64);
                let i = (t.floor() as usize).min(log_sigma.len() - 2);
                let part = t - i as f64;
                ((1.0 - part) * log_sigma[i] + part * log_sigma[i + 1]).exp()
            }
            Self::Continuous { beta: [low, high], .. } => {
                (low * t + 0.5 * (high - low) * t * t).exp_m1().max(0.0).sqrt()
            }
        }
    }

    /// What the network is given as its time at σ: the inverse of [`sigma_at`](Self::sigma_at), times the time scale.
    pub fn time(&self, sigma: f64) -> f64 {
        match self {
            Self::Table { log_sigma, time_scale } => {
                let s = sigma.ln();
                let i = log_sigma.partition_point(|v| *v < s).clamp(1, log_sigma.len() - 1);
                let (a, b) = (log_sigma[i - 1], log_sigma[i]);
                let t = (i - 1) as f64 + if b > a { (s - a) / (b - a) } else { 0.0 };
                // A σ from the table itself must give its whole step, free of rounding errors.
                let step = t.round();
                (if (t - step).abs() < 1e-9 { step } else { t.clamp(0.0, (log_sigma.len() - 1) as f64) }) * time_scale
            }
            Self::Continuous { beta: [low, high], time_scale } => {
                let b = (sigma * sigma).ln_1p();
                let slope = high - low;
                let t = if slope < 1e-12 {
                    b / low
                } else {
                    // The root of ½·slope·t² + low·t = B, in the form that loses no digits when B is small.
                    2.0 * b / (low + (low * low + 2.0 * slope * b).sqrt())
                };
                t * time_scale
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(text: &str) -> Clock {
        toml::from_str(text)
            .map(Clock::parse)
            .unwrap_or_else(|e| unreachable!("{e}"))
            .unwrap_or_else(|e| unreachable!("{e:?}"))
    }

    #[test]
    fn there_and_back() {
        for text in [
            "clock = \"linear\"",
            "clock = \"scaled_linear\"",
            "clock = \"cosine\"",
            "clock = \"vp\"\nbeta = [0.1, 20.0]",
        ] {
            let c = clock(text);
            let [low, high] = c.range();
            for i in 0..=20 {
                let sigma = (low.max(1e-3).ln() + (high / low.max(1e-3)).ln() * f64::from(i) / 20.0).exp();
                assert!((c.sigma_at(c.time(sigma)) / sigma - 1.0).abs() < 1e-9, "{text} at {sigma}");
            }
        }
    }

    #[test]
    fn values_by_hand() {
        // Two steps of β = 0.5: ᾱ = 0.5, 0.25, so σ = 1, √3.
        let c = Clock::from_betas(&[0.5, 0.5], 1.0);
        assert!((c.sigma_at(0.0) - 1.0).abs() < 1e-15 && (c.sigma_at(1.0) - 3f64.sqrt()).abs() < 1e-15);
        assert_eq!(c.time(3f64.sqrt()), 1.0);
        // t(δ) of the process with β from 0.1 to 20 (seeds of FLIPD): (−0.1 + √(0.01 + 39.8·ln(1 + δ²)))/19.9.
        let c = clock("clock = \"vp\"\nbeta = [0.1, 20.0]");
        let by_hand = |d: f64| (-0.1 + (0.01 + 39.8 * (d * d).ln_1p()).sqrt()) / 19.9;
        assert!((c.time(0.3) - by_hand(0.3)).abs() < 1e-12);
        for bad in ["clock = \"lineer\"", "clock = \"linear\"\nbeta = [0.1, 2.0]", "clock = \"linear\"\nsteps = 1"] {
            assert!(toml::from_str(bad).map(Clock::parse).unwrap_or_else(|e| unreachable!("{e}")).is_err());
        }
    }
}
