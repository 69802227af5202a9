//! Studies: what the numbers are worth on a model.

mod convergence;
mod paths;
mod pictures;
pub mod relate;
mod session;

pub use convergence::{Convergence, Trial, Trials};
pub use paths::{cell, path, plane};
pub use pictures::{PICTURE_MEASURES, PictureMeasure};
pub use session::Session;
