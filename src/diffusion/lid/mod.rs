//! Local intrinsic dimension: synthetic manifolds of known dimension, a score network to train on them, methods that
//! need no model, and the scale at which a curve over σ is read.

mod knee;
pub mod manifolds;
pub mod methods;
mod metrics;
mod neighbours;
mod normal_bundle;
mod score;

pub use knee::knee;
pub use manifolds::{MANIFOLDS, Points};
pub use methods::{METHODS, MethodRow};
pub use metrics::{concordance, mean_absolute_error, rounding_accuracy};
pub use neighbours::{Cloud, purity};
pub use normal_bundle::normal_bundle;
pub use score::{ScoreConfig, train_score};
