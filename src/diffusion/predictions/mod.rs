//! Parametrisations: what a network F predicts, and how the denoiser follows from it (theory, 22), one file each. All
//! are affine in x and F:
//!
//!   D(x; σ) = skip·x + output·F(input·x, time),
//!
//! with four coefficients that depend only on σ. `input` takes x from our coordinates, x = x₀ + σ·noise, to those the
//! network was trained in.

mod edm;
mod epsilon;
mod flow;
mod v;
mod x0;

use crate::error::{Error, Result, did_you_mean};

/// The four coefficients of a parametrisation at one σ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Factor of x on its way into the network.
    pub input: f64,
    /// Factor of x in D.
    pub skip: f64,
    /// Factor of the network's output in D.
    pub output: f64,
    /// What the network's embedding is given for the noise level.
    pub time: f64,
}

/// A parametrisation with its settings.
pub trait Prediction: Send + Sync {
    /// The coefficients at σ, which must lie in [`range`](Self::range).
    fn at(&self, sigma: f64) -> Coefficients;

    /// The least and the greatest σ that the network was trained for.
    fn range(&self) -> [f64; 2];
}

type Constructor = fn(toml::Table) -> Result<Box<dyn Prediction>>;

/// One row of the table of parametrisations.
pub struct PredictionRow {
    /// Its name, as in `prediction = "…"` of a card.
    pub name: &'static str,
    /// One line for `isoline list predictions`.
    pub about: &'static str,
    /// Builds it from its settings; [`Error::Key`] for a setting that is unknown or out of range.
    pub make: Constructor,
}

/// Every parametrisation, in the order of `isoline list predictions`.
pub static PREDICTIONS: &[PredictionRow] = &[edm::ROW, epsilon::ROW, v::ROW, x0::ROW, flow::ROW];

/// The parametrisation called `name`, with these settings.
///
/// # Errors
/// [`Error::Key`] for an unknown name, with the nearest one, or for a setting that is unknown or out of range.
pub fn prediction(name: &str, settings: toml::Table) -> Result<Box<dyn Prediction>> {
    match PREDICTIONS.iter().find(|p| p.name == name) {
        Some(row) => (row.make)(settings).map_err(|e| e.inside("settings")),
        None => {
            let known: Vec<&str> = PREDICTIONS.iter().map(|p| p.name).collect();
            let near = did_you_mean(name, known);
            Err(Error::key("prediction", format!("unknown prediction \"{}\"{near}", name.escape_debug())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For every parametrisation, a network that predicts its target perfectly for a known pair (x₀, noise) gives back
    /// x₀ at every σ. The targets are written out here from their definitions, in the coordinates of the training.
    #[test]
    fn a_perfect_prediction_is_denoised_to_x0() {
        let vp = || toml::from_str("clock = \"vp\"\nbeta = [0.1, 20.0]").unwrap_or_default();
        let (x0, noise) = (0.7f64, -1.3f64);
        for row in PREDICTIONS {
            let settings = if matches!(row.name, "edm" | "flow") { toml::Table::new() } else { vp() };
            let p = (row.make)(settings).unwrap_or_else(|e| unreachable!("{e:?}"));
            for sigma in [0.01, 0.3, 1.0, 7.0, 50.0] {
                let x = x0 + sigma * noise;
                let (alpha, s) = (1.0 / (1.0f64 + sigma * sigma).sqrt(), sigma / (1.0 + sigma * sigma).sqrt());
                let c = p.at(sigma);
                let target = match row.name {
                    "epsilon" => noise,
                    "x0" => x0,
                    "v" => alpha * noise - s * x0,
                    "flow" => noise - x0,
                    // EDM's own target, equation (7) of its paper: (x₀ − skip·x)/output.
                    _ => (x0 - c.skip * x) / c.output,
                };
                let found = c.skip * x + c.output * target;
                assert!((found - x0).abs() < 1e-12, "{} at {sigma}: {found}", row.name);
                // The network's input lies in the trained coordinates.
                let input = match row.name {
                    "flow" => x0 / (1.0 + sigma) + noise * sigma / (1.0 + sigma),
                    "edm" => x / (sigma * sigma + 0.25f64).sqrt(),
                    _ => alpha * x0 + s * noise,
                };
                assert!((c.input * x - input).abs() < 1e-12, "{} at {sigma}", row.name);
            }
        }
    }
}
