//! What a network predicts, and how a denoiser follows (theory, 22). Every parametrisation is affine:
//! D(x; σ) = skip·x + output·F(input·x, time).

mod edm;
mod epsilon;
mod flow;
mod v;
mod x0;

use crate::error::{Error, Result, did_you_mean};

/// The four numbers of a parametrisation at one σ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// x is multiplied by this on its way into the network.
    pub input: f64,
    /// Share of x itself.
    pub skip: f64,
    /// Factor of the network's output.
    pub output: f64,
    /// What the network is shown as the noise level.
    pub time: f64,
}

/// A parametrisation.
pub trait Prediction: Send + Sync {
    /// The coefficients at σ.
    fn at(&self, sigma: f64) -> Coefficients;

    /// Least and greatest σ that the network knows.
    fn range(&self) -> [f64; 2];
}

type Make = fn(toml::Table) -> Result<Box<dyn Prediction>>;

/// One row of the table of parametrisations.
pub struct PredictionRow {
    /// As `prediction = "…"` in a card.
    pub name: &'static str,
    /// One line for `isoline list predictions`.
    pub about: &'static str,
    /// Reads its settings; the error is (key, message).
    pub make: Make,
}

/// Every parametrisation.
pub static PREDICTIONS: &[PredictionRow] = &[edm::ROW, epsilon::ROW, v::ROW, x0::ROW, flow::ROW];

/// The parametrisation of that name.
///
/// # Errors
/// [`Error::Key`] with the nearest name.
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

    /// For every parametrisation: a network that predicts its target perfectly for a known pair (x₀, noise) gives back
    /// x₀ at every σ. The targets are written out here from their definitions, in the trained coordinates.
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
