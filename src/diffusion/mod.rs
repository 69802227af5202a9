//! Diffusion models (theory, 22 to 30): denoisers, noise schedules, solvers, guidance, and what is measured on them.
//!
//!   noise ──[`schedules`]: σ_0 > σ_1 > … > 0──[`solvers`]: one step each, calling D──→ picture
//!
//! Everything works on a [`Denoiser`], D(x; σ) ≈ E[x₀ | x], in variance-exploding coordinates x = x₀ + σ·noise. The
//! [`predictions`] bring models that were trained in other coordinates to these.

mod autoguided;
mod clock;
mod denoiser;
mod flipd;
mod growth_of_density;
pub mod guidance;
mod integrate;
pub mod lid;
mod likelihood;
mod network;
mod noise_optimisation;
pub mod particles;
pub mod predictions;
pub mod schedulers;
pub mod schedules;
pub mod solvers;
mod state;

pub use autoguided::Autoguided;
pub use clock::Clock;
pub use denoiser::{Classes, Denoiser};
pub use flipd::{Estimate, Fault, Flipd, Trace, flipd, to_f64, trace};
pub use growth_of_density::{densities, log_grid, score_norms, slope};
pub use integrate::{SamplerConfig, Sampling, sampling_noise};
pub use likelihood::{log_likelihood, to_noise};
pub use network::{DenoiserConfig, NetworkDenoiser, Parts, check_class, check_levels, condition_rows, with_given};
pub use noise_optimisation::{NoiseOptimisation, PictureReward};
pub use state::State;
