//! The steering methods, one file each, and their table.

mod gradient;
mod none;
mod search;
mod truncation;

pub use none::Unsteered;

use super::Steering;
use super::own_keys::own_keys;
use crate::error::{Error, Result, did_you_mean};

/// One row of the table of methods.
pub struct MethodRow {
    /// As in `--method NAME`.
    pub name: &'static str,
    /// One line for `isoline list steering`.
    pub about: &'static str,
    /// Makes the method.
    pub make: fn() -> Box<dyn Steering>,
}

/// Every method.
pub static METHODS: &[MethodRow] = &[gradient::ROW, search::ROW, truncation::ROW, none::ROW];

own_keys! {
    /// The keys of methods that have some.
    MethodKeys {
        /// Of `gradient`.
        gradient: gradient::GradientKeys,
        /// Of `truncation`.
        truncation: truncation::TruncationKeys,
    }
}

/// The method called `name`.
///
/// # Errors
/// [`Error::Key`] that suggests the nearest name.
pub fn method(name: &str) -> Result<Box<dyn Steering>> {
    match METHODS.iter().find(|m| m.name == name) {
        Some(row) => Ok((row.make)()),
        None => {
            let known: Vec<&str> = METHODS.iter().map(|m| m.name).collect();
            Err(Error::key_found("method", name, format!("no such steering method{}", did_you_mean(name, known))))
        }
    }
}
