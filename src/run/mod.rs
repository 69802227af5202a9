//! Runs: a plan, its tiles, their records, and the loop that makes what is missing. This module knows no act; the trait
//! [`Work`] tells it what a tile is.

mod events;
mod merge;
mod metrics;
mod plan;
mod record;
mod seeds;
mod shard;
mod status;
mod work;

pub use events::{Event, Log, Session, sessions};
pub use merge::{is_finished, merge, work_shard};
pub use plan::Plan;
pub use record::{Lookup, Record, as_recorded, record_path};
pub use seeds::{Seeds, parse_seeds, repeated};
pub use shard::{Manifest, Shard, array_expression};
pub use status::{Problem, Survey, survey};
pub use work::{Drive, Maker, SampleEnd, Tally, TileState, Work};
