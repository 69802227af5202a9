//! Dimension without a network, from neighbours alone: one file each. They are the baselines of FLIPD.

mod cfdm;
mod ess;
mod lpca;
mod mle;

use super::neighbours::Cloud;

/// One row of the table of methods.
pub struct MethodRow {
    /// As `--method NAME`.
    pub name: &'static str,
    /// One line for `isoline list lid-methods`.
    pub about: &'static str,
    /// What its one setting is, and the values that `bench` tries.
    pub setting: (&'static str, &'static [f64]),
    /// (points, queries, setting) → one dimension per query; NaN never, infinite where neighbours coincide.
    pub estimate: fn(&Cloud, &Cloud, f64) -> Vec<f64>,
}

/// Every method.
pub static METHODS: &[MethodRow] = &[lpca::ROW, ess::ROW, mle::ROW, cfdm::ROW];
