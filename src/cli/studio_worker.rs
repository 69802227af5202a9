//! `isoline studio-worker`: the process that makes the studio's pictures. The studio starts it; people do not.

use super::{CommandRow, Context, parsed};
use crate::error::Result;

/// The row of `isoline studio-worker`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "studio-worker",
    "Make pictures for a studio, which starts this by itself",
    |typed, context| run(&parsed(typed)?, context),
)
.hidden();

/// Arguments of `isoline studio-worker`: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Works until the studio closes the pipe.
///
/// # Errors
/// Those of [`crate::studio::work`].
pub fn run(_: &Args, context: &Context) -> Result<()> {
    crate::studio::work(&context.device)
}
