//! Pictures of seeds, steered or plain: keys, recipe, tiles, contact sheet and table.

mod jobs;
mod keys;
mod likeness;
mod make;
mod recipe;
mod row;
mod sheet;
mod table;
mod tiles;

pub use jobs::{Jobs, models};
pub use keys::{BatchConfig, JobConfig, JobKeys, Overrides};
pub use likeness::{Identity, Likeness};
pub use make::{check, make, row};
pub use recipe::{IdentityRecipe, PictureRecipe, Recipe};
pub use row::{SampleRow, Shown, missed};
pub use sheet::contact_sheet;
pub use table::samples_table;
pub use tiles::{Classifiers, Engines, GeneratePlan, Pictures, PlannedJob, ROW};
