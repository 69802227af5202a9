//! All integration tests in one binary: linking is the slowest part of building them.

mod architecture;
mod geometry;
mod layers;
mod pretrained;
mod shared;
