//! Diffusion models (theory, section 5): denoisers, noise schedules, solvers, what is measured on them.
//!
//! Everything works on a [`Denoiser`], D(x; σ), in variance-exploding coordinates: x = x₀ + σ·noise. Models that were
//! trained in other coordinates are brought here by their [`predictions`].

mod clock;
mod denoiser;
mod flipd;
pub mod guidance;
mod integrate;
pub mod lid;
mod likelihood;
mod mixture;
mod network;
mod noise_optimisation;
pub mod particles;
pub mod predictions;
pub mod schedules;
pub mod solvers;
mod state;

pub use clock::Clock;
pub use denoiser::{Classes, Denoiser};
pub use flipd::{Estimate, Flipd, Trace, flipd, to_f64, trace};
pub use integrate::{SamplerConfig, Sampling, sampling_noise};
pub use likelihood::{log_likelihood, to_noise};
pub use mixture::{Component, Mixture};
pub use network::{DenoiserConfig, NetworkDenoiser, Parts, check_class, check_levels, condition_rows};
pub use noise_optimisation::{NoiseOptimisation, PictureReward};
pub use state::State;
