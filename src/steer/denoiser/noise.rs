//! Noise optimisation (theory, 28): the noise itself climbs the reward of its picture, through the sampler. The result
//! is the picture of a known noise, so without a class a quantity of latents is measured right there.

use super::walk::finished;
use super::{Finished, GuideRow, Task};
use crate::diffusion::guidance::Form;
use crate::diffusion::{Classes, NoiseOptimisation, State};
use crate::error::Result;
use crate::generator::spoilt;
use crate::nn::Rows;
use crate::reward::Place;
use crate::tensors::host;
use crate::units::{Latents, Level};

/// Its row in the table of guides.
pub const ROW: GuideRow = GuideRow {
    name: "noise",
    about: "diffusion: the noise is optimised through the sampler (28); guidance is the length of a step over |z|",
    formula: None,
    strength: 0.1,
    trial_strengths: &[],
    draws: false,
    has_set_point: true,
    run,
};

/// Steps of the ascent; each is a pass through the sampler and back.
const STEPS: usize = 12;

fn run(task: &Task, aims: Option<&[Level]>) -> Result<Vec<Finished>> {
    let (sampler, reward) = (task.sampler, &task.engine.reward);
    let form = task.form(aims);
    let worth = |x: Rows| -> Result<Rows> {
        let level = reward.of_pictures(x)?;
        Ok(match &form {
            Form::Push => level,
            Form::SetPoint { targets, scale } => {
                let off = (level - targets.clone()) / *scale;
                off.clone() * off * -0.5
            }
        })
    };
    let classes = task.classes(task.samples.len());
    let mut denoise = |x: &State, sigma: f64| {
        task.cancel.check(|| "finished tiles are kept".into())?;
        task.inner.denoise(x, sigma, classes.as_deref() as Classes).map(|out| spoilt(out, task.samples))
    };
    let optimisation = NoiseOptimisation { steps: STEPS, rate: task.asked.strength, regulariser: 1.0 };
    let (z, _) = optimisation.run(&task.rows(task.start), sampler.sampling(), &mut denoise, &worth)?;
    let images = task.walk(task.inner, z.clone())?;
    let latents = Latents::new(host(z)?, task.start.width());
    let steps = sampler.sampling().evaluations() * (STEPS + 2);
    let steered = match (reward.quantity.row().place, task.asked.condition.class) {
        (Place::Picture, _) => task.measured_pictures(&latents, &images.states, steps)?,
        (Place::Latent, None) => task.measured_at(&latents, steps)?,
        (Place::Latent, Some(_)) => task.measured(&latents, &images.states, steps)?,
    };
    finished(sampler, steered, images)
}
