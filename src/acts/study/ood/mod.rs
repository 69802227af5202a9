//! `ood`: out-of-distribution pictures, by likelihood and dimension together (Kamkari et al. 2024; theory, 32).
//!
//! A diffusion model may give a *higher* density to pictures that it would never make than to those it was trained on: a thin set,
//! such as blurred pictures, can be dense and yet hold no mass. The volume around a picture in which the model's density lives is
//! told by its local dimension. So a picture is *in* distribution where both are usual; it is *off the manifold* where its
//! likelihood is unusually low, and *dense but without mass* where its likelihood is not low but its dimension is.
//!
//! What is usual is learnt from pictures of the distribution alone; no picture from outside is needed, and none is used.

mod fit;
mod measure;
mod score;

pub use crate::steer::guard::usual_place;
pub use fit::Fit;
pub use score::{Score, ScoreReport, Scored, Separation};
