//! Runs: from a job's config to a run directory that is the truth about what was made.

mod config;
mod engine;
mod job;
mod recipe;
mod record;
mod seeds;
mod sheet;
mod table;

pub use config::{BatchConfig, JobConfig, KEYS, Overrides};
pub use engine::Engine;
pub use job::{Job, run};
pub use recipe::{PictureRecipe, Recipe};
pub use record::{Record, SampleRow};
pub use seeds::parse_seeds;
pub use sheet::contact_sheet;
pub use table::samples_table;
