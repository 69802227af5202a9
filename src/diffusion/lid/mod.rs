//! Local intrinsic dimension: what it takes to judge FLIPD (theory, 29) against the truth. Synthetic manifolds of known
//! dimension, a score network trained on them, methods without a network to compare with, measures of error, and the
//! knee, at which a curve of dimension over σ is read.

mod growth;
mod knee;
pub mod manifolds;
pub mod methods;
mod metrics;
mod neighbours;
mod normal_bundle;
mod score;

pub use growth::{DataDimension, data_dimension};
pub use knee::{SLOPE, WIDTH, knee};
pub use manifolds::{MANIFOLDS, Points};
pub use methods::{METHODS, MethodRow};
pub use metrics::{concordance, mean_absolute_error, rounding_accuracy};
pub use neighbours::{Cloud, Local, purity};
pub use normal_bundle::normal_bundle;
pub use score::{ScoreConfig, train_score};
