//! Training on pictures: one driver, one file per objective of a generator, and that of a classifier.
//!
//! Every random number is keyed by the global step. A run that was stopped and resumed therefore takes the same steps
//! as one that was not, bit for bit on the CPU.

mod autoencoder;
mod checkpoint;
mod classifier;
mod codes;
mod course;
mod denoising;
pub mod distill;
mod gan;
mod held_out;
mod noised;
mod output;
mod source;
mod start;
mod targets;
mod vae;

pub use classifier::train_classifier;
pub use held_out::{ClassFigure, Figure, HeldOut, NumberFigure};
pub use targets::TargetConfig;

use super::{Card, RawCard, card_parameters};
use crate::cancel::Cancel;
use crate::data::{DataConfig, Skipped};
use crate::device::Device;
use crate::error::{Error, Result, did_you_mean};
use crate::nn::adam::{AdamConfig, AdamState};
use crate::nn::{Network, Parameters, Pass, Role, Rows};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::store;
use burn::tensor::{Tensor, TensorData};
use codes::FirstStage;
use course::Course;
use noised::{NoiseConfig, told, without_noise};
use source::{Coded, Samples, Source};
use start::Start;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A training config as the user wrote it.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Path of the draft card, relative to the config.
    pub card: String,
    /// Name of one of [`OBJECTIVES`]; none for a classifier, which has [`targets`](Self::targets).
    #[serde(default)]
    pub objective: String,
    /// The data set of pictures.
    pub data: DataConfig,
    /// Model, name or path, whose encoder turns the pictures into codes, and whose decoder becomes the second stage of the
    /// model that is trained on them.
    #[serde(default)]
    pub autoencoder: Option<String>,
    /// What is learnt of a picture's code, where there is an autoencoder.
    #[serde(default)]
    pub codes: CodeKind,
    /// Model, name or path, whose weights training starts from, in place of drawn ones. It must have all tensors of the draft, of
    /// the same shapes.
    #[serde(default)]
    pub start: Option<String>,
    /// Passes over the data.
    pub epochs: u32,
    /// Pictures per step.
    pub batch: usize,
    /// Step size. Over the second half it falls to a tenth along a cosine, unless `decay` is false.
    pub learning_rate: f64,
    /// Whether the step size falls. With averaged weights (`ema`) it need not.
    #[serde(default = "yes")]
    pub decay: bool,
    /// Seed of all noise.
    #[serde(default)]
    pub seed: u64,
    /// Standard deviation of normally distributed initial weights; without it, the fan-in rule applies.
    #[serde(default)]
    pub init_std: Option<f32>,
    /// Decay of the running average of the weights, which is what ships; 0 ships the last weights.
    #[serde(default)]
    pub ema: f64,
    /// Whether the model's weights are rounded to f16, for a file of half the length.
    #[serde(default)]
    pub half: bool,
    /// Noise on the pictures that are learnt.
    #[serde(default)]
    pub noise: NoiseConfig,
    /// Settings of the optimiser.
    #[serde(default)]
    pub adam: AdamConfig,
    /// Settings of the objective; each objective has its own keys.
    #[serde(default)]
    pub settings: toml::Table,
    /// What a classifier is to tell; a generator has none.
    #[serde(default)]
    pub targets: Vec<TargetConfig>,
    /// The pictures by which a classifier is judged when it is trained; a generator has none.
    #[serde(default)]
    pub held_out: Option<DataConfig>,
}

/// What is learnt of a picture's code, of which the encoder says mean and variance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeKind {
    /// A code drawn anew in every step, as the autoencoder was taught.
    #[default]
    Drawn,
    /// The mean: then the codes of the data have no more dimensions than the data.
    Mean,
}

fn yes() -> bool {
    true
}

/// Weights and optimiser states at one step of the training.
pub struct State {
    /// All weights.
    pub parameters: Parameters,
    /// Running averages of the weights.
    pub average: Parameters,
    /// Optimiser states, one per group of weights that is updated together.
    pub adam: BTreeMap<String, AdamState>,
    /// Steps taken.
    pub step: u64,
    /// Steps skipped because a loss or gradient was not finite.
    pub skipped: u64,
}

/// What one training step needs besides the state.
pub struct StepInput {
    /// Real pictures, `[batch, features]`, in the card's value range, or their standardised codes.
    pub real: Rows,
    /// How much noise is on each, `[batch, 1]`, where the networks are told.
    pub levels: Option<Rows>,
    /// Their places in the data set.
    pub picked: Vec<usize>,
    /// Their classes, where the data set has labels.
    pub classes: Option<Vec<usize>>,
    /// What the model is given for each, `[batch × given]`; empty for a model that is given nothing.
    pub given: Vec<f32>,
    /// Step size.
    pub learning_rate: f64,
    /// Number of the global step; it keys the step's noise.
    pub step: u64,
    /// Seed of all noise.
    pub seed: u64,
}

impl StepInput {
    /// Standard normal noise of this step, `[rows, width]`; `part` separates several draws within one step.
    pub fn noise(&self, rows: usize, width: usize, part: u32, device: &Device) -> Rows {
        let values = noise::normals(self.seed, self.step, Stream::Training, part, rows * width);
        Tensor::from_data(TensorData::new(values, [rows, width]), device)
    }
}

/// The result of a step.
pub enum Stepped {
    /// The step was taken; its losses by name.
    Losses(Vec<(&'static str, f64)>),
    /// A loss or gradient was not finite; nothing was changed.
    Skipped,
}

/// What is minimised, and the networks it needs besides the generator.
pub trait Objective {
    /// Every network that has weights, the generator first.
    fn networks(&self) -> Vec<&Network>;

    /// The pictures, or the codes of a model of two stages, `[n, state width]`, that a model with these `parameters` makes of
    /// latents `z` `[n, d]`.
    ///
    /// # Errors
    /// When the device fails.
    fn pictures(&self, parameters: &Parameters, z: Rows) -> Result<Rows> {
        let network = self.networks()[0];
        Ok(network.forward(without_noise(network, z), &Pass::frozen(parameters)))
    }

    /// What the averaged weights make of real pictures `[n, sample width]`, for objectives that rebuild them; their sheets
    /// show this instead of pictures from noise.
    fn rebuilt(&self, _state: &State, _real: Rows) -> Option<Rows> {
        None
    }

    /// The number of classes that it wants pictures of; 0 if it does not look at classes.
    fn classes(&self) -> usize {
        0
    }

    /// Takes one step on a batch.
    ///
    /// # Errors
    /// When the device fails.
    fn step(&self, state: &mut State, input: &StepInput) -> Result<Stepped>;
}

type MakeObjective = fn(&Card, &TrainConfig, &Device) -> Result<Box<dyn Objective>>;

/// Every objective: its name, a one-line description, its constructor.
pub static OBJECTIVES: &[(&str, &str, MakeObjective)] =
    &[vae::ROW, autoencoder::ROW, gan::ROW, denoising::EDM, denoising::FLOW];

/// What an encoder says of pictures, and a code drawn from it, `[n, width]` each.
struct Coding {
    mean: Rows,
    log_variance: Rows,
    drawn: Rows,
}

impl Coding {
    /// Encodes the pictures of a step; the draw is part 0 of its noise.
    fn of(encoder: &Network, input: &StepInput, width: usize, pass: &Pass, device: &Device) -> Self {
        let code = encoder.forward(told(encoder, input.real.clone(), input.levels.as_ref()), pass);
        let mean = code.clone().narrow(1, 0, width);
        let log_variance = code.narrow(1, width, width).clamp(LOG_VARIANCE[0], LOG_VARIANCE[1]);
        let noise = input.noise(input.real.dims()[0], width, 0, device);
        let drawn = mean.clone() + (log_variance.clone() * 0.5).exp() * noise;
        Self { mean, log_variance, drawn }
    }
}

/// The least and the greatest log-variance of a code.
const LOG_VARIANCE: [f64; 2] = [-12.0, 6.0];

/// What [`train`] is given.
pub struct Training<'a> {
    /// The config file.
    pub config_path: &'a Path,
    /// Root of the data sets.
    pub data_root: &'a Path,
    /// Folder for checkpoints, metrics and sample sheets.
    pub work: PathBuf,
    /// Folder the finished model is written to.
    pub model: PathBuf,
    /// The command that was run, to be written into the card.
    pub how: String,
    /// `cpu`, `wgpu` or `cuda`. A checkpoint from one is not continued on another.
    pub device_class: &'a str,
    /// Stop after this many of the config's epochs and leave a checkpoint, for tests and quick looks.
    pub stop_after: Option<u32>,
}

impl Training<'_> {
    /// What lies in the folder of the pictures and is not read.
    ///
    /// # Errors
    /// [`Error::Config`] for the config; [`Error::Io`] if the folder cannot be listed.
    pub fn skipped(&self) -> Result<Option<Skipped>> {
        read_config(self.config_path)?.0.data.skipped(self.data_root)
    }
}

/// Trains from the start or from the last checkpoint, and writes the model folder at the end.
///
/// # Errors
/// [`Error::Config`] for the config or card, [`Error::Input`] for data, [`Error::Stopped`] when ten steps in a row were
/// not finite, [`Error::Interrupted`] after a signal (a checkpoint is written first).
pub fn train(job: &Training, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<()> {
    let (config, text) = read_config(job.config_path)?;
    if !config.targets.is_empty() || config.held_out.is_some() || config.data.attributes.is_some() {
        let place = format!("{}: targets", crate::error::shown(job.config_path));
        let message = "targets, held_out and data.attributes are for a classifier; isoline train-classifier trains one";
        return Err(Error::config(place, message));
    }
    let draft = job.config_path.with_file_name(&config.card);
    let (mut raw, draft_text): (RawCard, String) = store::read_toml(&draft)?;
    let first = config.autoencoder.as_deref().map(|name| FirstStage::load(name, device)).transpose()?;
    if let Some(first) = &first {
        first.try_on(&mut raw, &draft)?;
    }
    let mut card = Card::check(raw, &draft)?;
    if first.is_some() {
        codes::check_names(&card)?;
    }
    let objective = objective(&card, &config, device)?;
    let start = config.start.as_deref().map(|name| Start::load(name, &card_parameters(&card)?, &objective.networks()));
    let start = start.transpose()?;
    if let (0, Some(first), Some(start)) = (config.epochs, &first, &start) {
        first.check_codes(start)?;
    }
    let data = Source::read(&config, job.data_root, &card).map_err(|e| match e {
        e @ Error::Key { .. } => e.inside("data").at(&format!("{}: ", crate::error::shown(job.config_path))),
        e => e,
    })?;
    data.check_classes(&config.data, objective.classes(), job.data_root)?;
    let mut parts = format!("{text}\n{draft_text}\n{} {} {}", noise::SCHEME, data.sha256(), job.device_class);
    let coded = match (&first, &data) {
        (Some(first), Source::Pictures(pictures)) => {
            parts += first.sha256();
            let codes = first.encode(pictures, config.codes == CodeKind::Drawn, device, progress, cancel)?;
            first.complete(&mut card.raw, codes.moments());
            Some(Coded { codes, pictures })
        }
        _ => None,
    };
    if let Some(start) = &start {
        parts += &start.sha256;
    }
    let samples: &dyn Samples = coded.as_ref().map_or(&data, |coded| coded);
    let ahead: Vec<usize> = (0..data.count().min(output::SHEET_SIDE * output::SHEET_SIDE / 2)).collect();
    let range = card.raw.sample.range;
    let out = output::Output {
        data: &data,
        job,
        card: &card,
        draft: &draft_text,
        objective: &*objective,
        config: &config,
        shown: data.batch(&ahead, range, [config.seed, 0], device),
        first: first.as_ref(),
        device,
    };
    let course = Course {
        id: &card.raw.id,
        config: &config,
        recipe: store::sha256_hex(parts.as_bytes()),
        start: start.as_ref(),
        data: samples,
        range,
        objective: &*objective,
        job,
        device,
    };
    let state = course.run(&mut |state, epoch, means| out.epoch(state, epoch, means), progress, cancel)?;
    state.map_or(Ok(()), |state| out.model(&state))
}

fn read_config(path: &Path) -> Result<(TrainConfig, String)> {
    let (config, text): (TrainConfig, String) = store::read_toml(path)?;
    let at = |key: &str| format!("{}: {key}", crate::error::shown(path));
    // Without a pass a model is taken as it is, and joined with the autoencoder that the config names.
    let least = if config.start.is_some() && config.autoencoder.is_some() { 0 } else { 1 };
    if !(least..=10_000).contains(&config.epochs) {
        return Err(Error::config(at("epochs"), format!("expected {least} to 10000, found {}", config.epochs)));
    }
    if !(2..=4096).contains(&config.batch) {
        return Err(Error::config(at("batch"), format!("expected 2 to 4096, found {}", config.batch)));
    }
    if !(config.learning_rate > 0.0 && config.learning_rate < 1.0) {
        return Err(Error::config(
            at("learning_rate"),
            format!("expected a number between 0 and 1, found {}", config.learning_rate),
        ));
    }
    if config.codes != CodeKind::Drawn && config.autoencoder.is_none() {
        return Err(Error::config(at("codes"), "expected an autoencoder beside it, whose codes are learnt"));
    }
    config
        .noise
        .check(&config.objective, config.start.is_some())
        .map_err(|e| e.at(&format!("{}: ", crate::error::shown(path))))?;
    if !(0.0..1.0).contains(&config.ema) {
        return Err(Error::config(at("ema"), format!("expected 0 or more and less than 1, found {}", config.ema)));
    }
    Ok((config, text))
}

fn objective(card: &Card, config: &TrainConfig, device: &Device) -> Result<Box<dyn Objective>> {
    match OBJECTIVES.iter().find(|o| o.0 == config.objective) {
        Some((_, _, make)) => make(card, config, device),
        None => {
            let known: Vec<&str> = OBJECTIVES.iter().map(|o| o.0).collect();
            Err(Error::config(
                "objective",
                format!("unknown objective \"{}\"{}", config.objective, did_you_mean(&config.objective, known)),
            ))
        }
    }
}

/// Names of the tensors of `network` that are trained by gradients.
fn trainable(network: &Network) -> std::collections::BTreeSet<String> {
    network.parameters().into_iter().filter(|s| s.role != Role::Statistic).map(|s| s.key).collect()
}

/// Blends batch statistics into the running ones, with PyTorch's momentum of 0.1.
fn fold_statistics(parameters: &mut Parameters, statistics: Vec<(String, Tensor<1>)>) {
    for (name, value) in statistics {
        let folded = parameters.get(&name) * 0.9 + value * 0.1;
        parameters.set(&name, folded);
    }
}

/// The loss as a host number; `None` if it, or the squared norm of the gradients, is not finite.
fn finite(loss: Tensor<1>, gradients: &[(String, Tensor<1>)]) -> Option<f64> {
    let norm = crate::nn::adam::squared_norm(gradients)?;
    let loss = loss.inner().try_into_scalar::<f32>().ok()?;
    let norm = norm.try_into_scalar::<f32>().ok()?;
    (loss.is_finite() && norm.is_finite()).then_some(f64::from(loss))
}
