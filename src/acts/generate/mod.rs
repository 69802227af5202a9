//! Pictures of seeds, steered or plain: keys, recipe, tiles, contact sheet and table.

mod jobs;
mod keys;
mod make;
mod recipe;
mod row;
mod sheet;
mod subject;
mod table;
mod tiles;

pub use jobs::{Jobs, models};
pub use keys::{BatchConfig, JobConfig, JobKeys, Overrides};
pub use make::{check, make, row};
pub use recipe::{PictureRecipe, Recipe};
pub use row::{SampleRow, Shown, missed, unmeasured};
pub use sheet::contact_sheet;
pub use subject::{NO_REWARD, Subject};
pub use table::samples_table;
pub use tiles::{GeneratePlan, Pictures, PlannedJob, ROW, Subjects};
