//! All integration tests in one binary: linking is the slowest part of building them.

// Test fixtures write files directly and fail loudly; clippy.toml excuses only functions marked #[test].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

mod architecture;
#[cfg(unix)]
mod cancel;
mod classifier;
mod cli;
mod columns;
mod corpus;
mod descriptors;
mod devices;
mod diffusion;
mod documents;
mod estimators;
mod evaluate;
mod extending;
#[cfg(target_os = "linux")]
mod families;
mod faults;
mod features;
mod generate;
mod geometry;
mod identity;
mod import;
mod knowing;
mod layers;
mod models;
mod named;
mod noise;
mod onnx;
mod pictures;
mod pretrained;
mod psi_gradient;
mod runs;
mod shared;
mod sheets;
mod showers;
mod steer_report;
mod steering;
#[cfg(all(target_os = "linux", feature = "studio"))]
mod studio;
mod study;
mod tiles;
mod training;
mod unchanged;
mod unrewarded;
mod vary;
