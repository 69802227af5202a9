//! The unguided pictures of seeds, with which steered ones are compared.

use super::keys::{ConditionKeys, Denoising};
use super::task::Task;
use super::walk::images;
use crate::cancel::Cancel;
use crate::diffusion::guidance::Interval;
use crate::error::Result;
use crate::steer::{Engine, Starts};
use crate::tensors::host;

impl Engine {
    /// The pictures of where samples start with nothing steered or guided: what `balanced` makes. Under a class these are
    /// the model's pictures of that class. Nothing is measured. Values of each picture, `[D]`.
    ///
    /// # Errors
    /// As [`check_denoising`](Self::check_denoising); of the device, or a stop.
    pub fn unguided(&self, condition: &ConditionKeys, starts: &Starts, cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        let Starts { samples, noise: start } = starts;
        let states = match condition.class {
            None => images(&*self.generator, samples, start.values().to_vec(), 0, cancel)?.states,
            Some(_) => {
                let asked = Denoising { condition: condition.clone(), ..Denoising::default() };
                let sampler = self.denoised(None, &asked)?;
                let inner = &Self::conditioned(sampler, &asked);
                let interval = Interval::ALL;
                let task = Task { engine: self, sampler, inner, asked: &asked, interval, samples, start, cancel };
                task.walk(inner, task.rows(start))?.states
            }
        };
        let values = host(self.generator.pictures_of(states))?;
        let width = self.generator.spec().sample_shape.iter().product();
        Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
    }
}
