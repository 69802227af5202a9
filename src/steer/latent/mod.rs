//! The steering methods, one file each, and their table.

mod gradient;
mod none;
mod search;
mod truncation;

pub use none::Unsteered;

use super::{Settings, Steering};
use crate::error::{Error, Result, did_you_mean};
use crate::units::Percentile;

/// One row of the table of methods.
pub struct MethodRow {
    /// As `--method NAME`.
    pub name: &'static str,
    /// One line for `isoline list steering`.
    pub about: &'static str,
    /// Makes one.
    pub make: fn() -> Box<dyn Steering>,
}

/// Every method.
pub static METHODS: &[MethodRow] = &[gradient::ROW, search::ROW, truncation::ROW, none::ROW];

/// The method of that name.
///
/// # Errors
/// [`Error::Config`] with the nearest name.
pub fn method(name: &str) -> Result<Box<dyn Steering>> {
    match METHODS.iter().find(|m| m.name == name) {
        Some(row) => Ok((row.make)()),
        None => {
            let known: Vec<&str> = METHODS.iter().map(|m| m.name).collect();
            Err(Error::key_found("method", name, format!("no such steering method{}", did_you_mean(name, known))))
        }
    }
}

/// What is wrong with the settings that belong to one method alone, in a job of `method` to `target`: (key, message).
///
/// # Errors
/// The first key.
pub fn check_settings(method: &str, settings: &Settings, target: Option<Percentile>) -> Result<()> {
    METHODS.iter().try_for_each(|row| (row.make)().check(method, settings, target))
}
