//! Schedules: which noise levels the steps of a sampler pass through, one file each. A schedule gives σ at a fraction u
//! of the way, from the greatest level at u = 0 to the least level above 0 at u = 1. Each is evenly spaced in some
//! function f of σ, σ(u) = f⁻¹(f(high) + u·(f(low) − f(high))); they differ in f.

mod cosine;
mod exponential;
mod flow;
mod karras;
mod linear_vp;

use crate::error::{Error, Result, did_you_mean};

/// A schedule with its settings.
pub trait Schedule: Send + Sync {
    /// σ at the fraction `u` of the way from `high` (u = 0) to `low` (u = 1). It decreases in u, and both ends are
    /// exact.
    fn sigma(&self, u: f64, low: f64, high: f64) -> f64;
}

type Constructor = fn(toml::Table) -> Result<Box<dyn Schedule>>;

/// One row of the table of schedules.
pub struct ScheduleRow {
    /// Its name, as in `schedule = "…"`.
    pub name: &'static str,
    /// One line for `isoline list schedules`.
    pub about: &'static str,
    /// Builds it from its settings; [`Error::Key`] for a setting that is unknown or out of range.
    pub make: Constructor,
}

/// Every schedule, in the order of `isoline list schedules`.
pub static SCHEDULES: &[ScheduleRow] = &[karras::ROW, exponential::ROW, cosine::ROW, linear_vp::ROW, flow::ROW];

/// The schedule called `name`, with these settings.
///
/// # Errors
/// [`Error::Key`] for an unknown name, with the nearest one, or for a setting that is unknown or out of range.
pub fn schedule(name: &str, settings: toml::Table) -> Result<Box<dyn Schedule>> {
    match SCHEDULES.iter().find(|s| s.name == name) {
        Some(row) => (row.make)(settings).map_err(|e| e.inside("schedule_settings")),
        None => {
            let known: Vec<&str> = SCHEDULES.iter().map(|s| s.name).collect();
            let near = did_you_mean(name, known);
            Err(Error::key("schedule", format!("unknown schedule \"{}\"{near}", name.escape_debug())))
        }
    }
}

/// Reads settings; unknown keys are refused.
fn settings<C: serde::de::DeserializeOwned>(table: toml::Table) -> Result<C> {
    C::deserialize(table).map_err(|e| Error::key("", crate::error::explain_toml(e.message())))
}

/// f⁻¹ of the point a fraction `u` of the way from f(high) to f(low).
fn even_in(u: f64, low: f64, high: f64, f: impl Fn(f64) -> f64, inverse: impl Fn(f64) -> f64) -> f64 {
    // The ends are returned as given, without rounding.
    if u <= 0.0 {
        return high;
    }
    if u >= 1.0 {
        return low;
    }
    inverse(f(high) + u * (f(low) - f(high)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values worked out from the formulas with other arithmetic (bc, 40 digits).
    #[test]
    fn golden_values() {
        let golden = [
            // (80^⅐ + ¼(0.002^⅐ − 80^⅐))^7 and so on.
            ("karras", [0.25, 0.5, 0.75], [17.527_831_964_644_11, 2.515_218_976_147_158, 0.169_752_756_268_764]),
            ("exponential", [0.25, 0.5, 0.75], [5.656_854_249_492_38, 0.4, 0.028_284_271_247_461_9]),
        ];
        for (name, at, expected) in golden {
            let s = schedule(name, toml::Table::new()).unwrap_or_else(|e| unreachable!("{e:?}"));
            for (u, e) in at.iter().zip(expected) {
                let found = s.sigma(*u, 0.002, 80.0);
                assert!((found / e - 1.0).abs() < 1e-13, "{name}({u}) = {found:.12}, expected {e}");
            }
        }
    }

    #[test]
    fn every_schedule_falls_from_end_to_end() {
        for row in SCHEDULES {
            let s = schedule(row.name, toml::Table::new()).unwrap_or_else(|e| unreachable!("{e:?}"));
            let values: Vec<f64> = (0..=64).map(|i| s.sigma(f64::from(i) / 64.0, 0.01, 100.0)).collect();
            assert_eq!((values[0], values[64]), (100.0, 0.01), "{}", row.name);
            assert!(values.windows(2).all(|w| w[1] < w[0] && w[1].is_finite()), "{}: {values:?}", row.name);
            let unknown = toml::Table::from_iter([("no_such_key".to_owned(), 1.into())]);
            assert!((row.make)(unknown).is_err(), "{} takes unknown keys", row.name);
        }
    }

    /// Three schedules are compared with the definitions of the processes behind them: their times are evenly spaced.
    #[test]
    fn times_are_even() {
        let middle = |name: &str, low: f64, high: f64| {
            schedule(name, toml::Table::new()).unwrap_or_else(|e| unreachable!("{e:?}")).sigma(0.5, low, high)
        };
        // σ = t/(1 − t): from t = 0.8 to 0.2 the middle is t = 0.5, σ = 1.
        assert!((middle("flow", 0.25, 4.0) - 1.0).abs() < 1e-12);
        // σ² = exp(0.1t + 9.95t²) − 1 from t = 0.8 to 0.2.
        let vp = |t: f64| (0.1 * t + 9.95 * t * t).exp_m1().sqrt();
        assert!((middle("linear-vp", vp(0.2), vp(0.8)) / vp(0.5) - 1.0).abs() < 1e-12);
        // σ = tan of the angle, ᾱ = cos²((t + s)/(1 + s)·π/2)/cos²(s/(1 + s)·π/2) with s = 0.008.
        let angle = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        let cosine = |t: f64| (angle(0.0) / angle(t) - 1.0).sqrt();
        assert!((middle("cosine", cosine(0.2), cosine(0.8)) / cosine(0.5) - 1.0).abs() < 1e-12);
    }
}
