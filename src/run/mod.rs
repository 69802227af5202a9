//! Runs: from a job's config to a run directory that is the truth about what was made.

mod config;
mod describing;
mod engine;
mod events;
mod guided;
mod kinds;
mod merge;
mod metrics;
mod plan;
mod recipe;
mod record;
mod seeds;
mod shard;
mod sheet;
mod status;
mod table;
mod work;

pub use config::{BatchConfig, JobConfig, KEYS, Overrides};
pub use describing::{DescribeKeys, Describing, Subject};
pub use engine::Engine;
pub use events::{Event, Session, sessions};
pub use guided::Guide;
pub use kinds::generate::{GeneratePlan, Pictures, PlannedJob, check_table_memory};
pub use kinds::{DescribePlan, Descriptions, KINDS, LabelsPlan};
pub use merge::{is_finished, merge, work_shard};
pub use plan::Plan;
pub use recipe::{PictureRecipe, Recipe};
pub use record::{Record, SampleRow, record_path};
pub use seeds::parse_seeds;
pub use shard::{Manifest, Shard, array_expression};
pub use sheet::contact_sheet;
pub use status::{Problem, Survey, survey};
pub use table::samples_table;
pub use work::{Drive, Driven, Made, Maker, TileState, Work};
