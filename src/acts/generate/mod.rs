//! Pictures of seeds, steered or plain: keys, recipe, tiles, contact sheet and table.

mod jobs;
mod keys;
mod likeness;
mod look;
mod make;
mod name;
mod origin;
mod planned;
mod recipe;
mod row;
mod scale;
mod sheet;
mod subject;
mod subjects;
mod sweep;
mod table;
mod tiles;
mod vary;

pub use jobs::{Jobs, models};
pub use keys::{BatchConfig, JobConfig, JobKeys, MODES, Overrides};
pub use likeness::{Identity, Likeness};
pub use look::{Shot, Templates, look, look_around};
pub use make::{check, make, row};
pub use name::sweep as sweep_levels;
pub use origin::Origin;
pub use planned::{GeneratePlan, PlannedJob};
pub use recipe::{IdentityRecipe, PictureRecipe, Recipe};
pub use row::{SampleRow, Shown, guarded, missed, unmeasured};
pub use scale::{Scale, Sort};
pub use sheet::{SheetJob, sheet_pages};
pub use subject::{NO_REWARD, Subject};
pub use subjects::{Subjects, subject};
pub use sweep::animation_path;
pub use table::samples_table;
pub use tiles::{Classifiers, PictureMaker, Pictures, ROW};
pub use vary::{Vary, keys_around, latent_of, named_seed, turned};
