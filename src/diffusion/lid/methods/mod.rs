//! Estimators of dimension that need only the points themselves and no network, one file each. They are the baselines
//! for FLIPD.

mod cfdm;
mod ess;
mod lpca;
mod mle;

use super::neighbours::{Cloud, Local};

/// One row of the table of methods.
pub struct MethodRow {
    /// Its name, as in `--method NAME`.
    pub name: &'static str,
    /// One line for `isoline list lid-methods`.
    pub about: &'static str,
    /// The name of its one setting, and the values that `isoline lid bench` tries.
    pub setting: (&'static str, &'static [f64]),
    /// (points, queries, setting) → the dimension at each query, a finite number, or why it is not defined there.
    pub estimate: fn(&Cloud, &Cloud, f64) -> Vec<Local<f64>>,
}

/// Every method, in the order of `isoline list lid-methods`.
pub static METHODS: &[MethodRow] = &[lpca::ROW, ess::ROW, mle::ROW, cfdm::ROW];
