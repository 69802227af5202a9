//! Kinds of runs, one file each: what their tiles are and how these are made and put together.

mod describe;
pub mod generate;
mod labels;

use super::plan::Plan;
use super::work::Work;
use crate::error::Error;
use std::path::Path;

pub use describe::{DescribePlan, Descriptions};
pub use labels::LabelsPlan;

/// Why a plan cannot be opened.
pub enum Refused {
    /// A key of the plan.
    Key(String),
    /// Something else.
    Error(Error),
}

impl Refused {
    /// The error of a plan in `folder`.
    pub fn at(self, folder: &Path) -> Error {
        match self {
            Self::Key(message) => Error::input(folder.join("plan.toml"), message),
            Self::Error(e) => e,
        }
    }
}

impl From<Error> for Refused {
    fn from(e: Error) -> Self {
        Self::Error(e)
    }
}

/// Opens the tiles of a plan in a folder.
type Open = fn(&Plan, &Path) -> Result<Box<dyn Work>, Refused>;

/// One row of the table of kinds.
pub struct KindRow {
    /// As `kind` in a plan.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// The tiles of a plan in a folder.
    pub open: Open,
}

/// Every kind of run.
pub static KINDS: &[KindRow] = &[generate::ROW, describe::ROW, labels::ROW];

/// The kind's own keys of a plan.
fn keys<K: serde::de::DeserializeOwned>(plan: &Plan) -> Result<K, Refused> {
    K::deserialize(plan.work.clone())
        .map_err(|e: toml::de::Error| Refused::Key(format!("work: {}", e.message().replace('\n', " "))))
}
