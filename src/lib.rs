//! isoline: choose between typical and novel pictures of one generator by the geometry of its own map.
//!
//! Data flows one way: card and weights → network → generator → geometry → reward → steering → run
//! directory. `docs/architecture.md` draws it; `docs/theory.md` numbers the equations.

/// Fails here if a test asks for it: `failpoint!("store.write.before")` gives an `std::io::Result<()>`, and
/// `failpoint!("reward", sample)` gives the number to use instead of a result, if any. See [`faults`].
macro_rules! failpoint {
    ($name:expr) => {
        $crate::faults::hit($name)
    };
    ($name:expr, $sample:expr) => {
        $crate::faults::number($name, $sample)
    };
}

pub mod acts;
pub mod cancel;
pub mod cli;
pub mod data;
pub mod device;
pub mod diffusion;
pub mod error;
pub mod evaluate;
pub mod families;
pub mod faults;
pub mod generator;
pub mod geometry;
pub mod host;
pub mod limits;
pub mod linalg;
pub mod memory;
pub mod nn;
pub mod noise;
pub mod onnx;
pub mod panics;
pub mod progress;
pub mod render;
pub mod reward;
pub mod run;
pub mod statistics;
pub mod steer;
pub mod store;
#[cfg(feature = "studio")]
pub mod studio;
pub mod table;
pub mod tensors;
pub mod tile;
pub mod units;
