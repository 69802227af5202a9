//! The loop that all trainings share: batches in a shuffled order, steps, running averages, checkpoints, and what is done
//! after each pass over the data.

use super::output::Means;
use super::source::Samples;
use super::start::Start;
use super::{Objective, State, StepInput, Stepped, TrainConfig, Training, checkpoint};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::{Network, ParameterSpec, Parameters, Rows};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// Training stops after this many steps in a row that were not finite.
const SKIPS_IN_A_ROW: u32 = 10;

/// A training, ready to run.
pub struct Course<'a> {
    /// What is trained, for people.
    pub id: &'a str,
    /// The config.
    pub config: &'a TrainConfig,
    /// The hash of everything that a step depends on.
    pub recipe: String,
    /// The weights that it starts from; drawn ones without it.
    pub start: Option<&'a Start>,
    /// What it is trained on.
    pub data: &'a dyn Samples,
    /// The values of black and of white that the network sees.
    pub range: [f32; 2],
    /// What is minimised.
    pub objective: &'a dyn Objective,
    /// The training job.
    pub job: &'a Training<'a>,
    /// The device it runs on.
    pub device: &'a Device,
}

impl Course<'_> {
    /// Trains from the start or from the last checkpoint, and calls `after` with each epoch's number and means. Returns the
    /// state at the end, or `None` where the job asked to stop before it.
    ///
    /// # Errors
    /// [`Error::Stopped`] when ten steps in a row were not finite, [`Error::Interrupted`] after a signal (a checkpoint is
    /// written first), and those of the objective and of `after`.
    pub fn run(
        &self,
        after: &mut dyn FnMut(&State, u64, Means) -> Result<()>,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<Option<State>> {
        let Self { config, data, objective, job, device, .. } = self;
        let mut state = match checkpoint::latest(&job.work, &self.recipe, device)? {
            Some(state) => state,
            None => fresh(&objective.networks(), config, self.start, device),
        };
        let per_epoch = (data.count() / config.batch).max(1) as u64;
        let total = per_epoch * u64::from(job.stop_after.unwrap_or(config.epochs).min(config.epochs));
        let bar = progress.start(format!("training {}", self.id), total);
        bar.skip(state.step.min(total));
        let mut sums = Means::default();
        let mut in_a_row = 0;
        while state.step < total {
            if let Err(stop) = cancel.check(|| format!("step {} of {total} is in the checkpoint", state.step)) {
                checkpoint::save(&job.work, &self.recipe, &state)?;
                return Err(stop);
            }
            let picked = picked(*data, config, state.step, per_epoch);
            let mut input = StepInput {
                real: spoilt(data.batch(&picked, self.range, [config.seed, state.step], device), state.step),
                levels: None,
                classes: data.classes(&picked),
                given: data.given(&picked),
                picked,
                learning_rate: learning_rate(config, state.step, per_epoch * u64::from(config.epochs)),
                step: state.step,
                seed: config.seed,
            };
            config.noise.apply(&mut input, device);
            match objective.step(&mut state, &input)? {
                Stepped::Losses(losses) => {
                    in_a_row = 0;
                    sums.add(&losses);
                    average(&mut state, config.ema);
                }
                Stepped::Skipped => {
                    in_a_row += 1;
                    state.skipped += 1;
                    if in_a_row >= SKIPS_IN_A_ROW {
                        let message = format!(
                            "{in_a_row} steps in a row up to step {} were not finite; the last checkpoint is good; for a lower learning_rate choose another folder",
                            state.step
                        );
                        return Err(Error::Stopped(message));
                    }
                }
            }
            state.step += 1;
            bar.advance(1);
            if state.step.is_multiple_of(per_epoch) {
                let epoch = state.step / per_epoch;
                bar.note(format!("epoch {epoch}: {}", sums.text()));
                after(&state, epoch, std::mem::take(&mut sums))?;
                checkpoint::save(&job.work, &self.recipe, &state)?;
            }
        }
        bar.finish();
        Ok(job.stop_after.is_none_or(|e| e >= config.epochs).then_some(state))
    }
}

/// For tests of failures: the batch of a step, made non-finite where a failpoint says so.
fn spoilt(batch: Rows, step: u64) -> Rows {
    match failpoint!("train.batch", step + 1) {
        Some(value) => batch + value,
        None => batch,
    }
}

fn fresh(networks: &[&Network], config: &TrainConfig, start: Option<&Start>, device: &Device) -> State {
    let specs = networks.iter().flat_map(|n| n.parameters());
    let first = |s: &ParameterSpec| {
        start.and_then(|start| start.values(s)).unwrap_or_else(|| s.start(config.seed, config.init_std))
    };
    let values: Vec<(String, Vec<f32>)> = specs.map(|s| (s.key.clone(), first(&s))).collect();
    let parameters = Parameters::from_values(values, device);
    State { average: parameters.clone(), parameters, adam: BTreeMap::new(), step: 0, skipped: 0 }
}

/// Indices of the pictures of a step: batch `step % per_epoch` in the shuffled order of its epoch.
fn picked(data: &dyn Samples, config: &TrainConfig, step: u64, per_epoch: u64) -> Vec<usize> {
    let order = noise::permutation(config.seed, Stream::Shuffle, (step / per_epoch) as u32, data.count());
    let first = (step % per_epoch) as usize * config.batch;
    order[first..(first + config.batch).min(order.len())].to_vec()
}

fn learning_rate(config: &TrainConfig, step: u64, total: u64) -> f64 {
    if !config.decay {
        return config.learning_rate;
    }
    falling(config.learning_rate, step, total)
}

/// A step size that falls to a tenth over the second half of `total` steps, along a cosine.
pub fn falling(rate: f64, step: u64, total: u64) -> f64 {
    let late = ((2 * step) as f64 / total as f64 - 1.0).max(0.0);
    rate * (0.55 + 0.45 * (std::f64::consts::PI * late).cos())
}

/// Blends the weights into their running averages.
pub fn average(state: &mut State, decay: f64) {
    // The average has a shorter memory at first, so that the initial weights are forgotten.
    let decay = decay.min((1.0 + state.step as f64) / (10.0 + state.step as f64));
    let live: Vec<(String, Tensor<1>)> = state.parameters.iter().map(|(k, t)| (k.to_owned(), t.clone())).collect();
    for (name, tensor) in live {
        let mean = if decay > 0.0 { state.average.get(&name) * decay + tensor * (1.0 - decay) } else { tensor };
        state.average.set(&name, mean);
    }
}
