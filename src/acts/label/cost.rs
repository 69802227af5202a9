//! What labelling is going to take, measured on a few labels right where it is asked.

use super::parts::readings_at;
use crate::error::Result;
use crate::generator::{self, Generator};
use crate::reward::{Quantity, label_latents};
use std::time::Instant;

/// The time of a label on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Seconds for each.
    pub seconds: f64,
    /// How many were measured.
    pub measured: usize,
}

/// Labels that are measured.
const MEASURED: usize = 3;
/// A first label that takes longer than this, in seconds, is all that is measured.
const LONG: f64 = 5.0;

impl Cost {
    /// Measures labels of this quantity. One more is made before the clock starts, since the first holds what is done only
    /// once.
    ///
    /// # Errors
    /// When the quantity cannot be measured on this model, or there is too little memory.
    pub fn measure(quantity: &dyn Quantity, generator: &dyn Generator, seed: u64) -> Result<Self> {
        quantity.check(generator)?;
        let spec = generator.spec();
        let remedy = "choose an estimator of fewer directions (labels.estimator), or a machine with more";
        generator::check_memory(spec, MEASURED, quantity.directions(spec)?, generator::DEFAULT_MEMORY, remedy)?;
        let timed = |n: usize| -> Result<f64> {
            let began = Instant::now();
            readings_at(label_latents(seed, 0..n, spec.latent_width).into_values(), generator, quantity)?;
            Ok(began.elapsed().as_secs_f64())
        };
        let first = timed(1)?;
        Ok(match first > LONG {
            true => Self { seconds: first, measured: 1 },
            false => Self { seconds: timed(MEASURED)? / MEASURED as f64, measured: MEASURED },
        })
    }
}
