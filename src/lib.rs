//! isoline: choose between typical and novel pictures of one generator by the geometry of its own map.
//!
//! Data flows one way: card and weights → network → generator → geometry → reward → steering → run
//! directory. `docs/architecture.md` draws it; `docs/theory.md` numbers the equations.

pub mod cancel;
pub mod cli;
pub mod data;
pub mod device;
pub mod error;
pub mod generator;
pub mod geometry;
pub mod limits;
pub mod linalg;
pub mod nn;
pub mod noise;
pub mod progress;
pub mod render;
pub mod reward;
pub mod run;
pub mod steering;
pub mod store;
pub mod table;
pub mod tensors;
pub mod tile;
