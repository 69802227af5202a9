//! Training a reward (theory, 11-14): split the labels, fit, report on the test split, calibrate.

use super::labels::{self, LabelConfig, Labels};
use super::network::{CARD_FORMAT, RewardCard, reward_folder};
use super::predictor::{NoisedConfig, Predictor, picture_layers};
use super::report::{Report, Split, report_html};
use super::{Calibration, QuantityRow, quantity};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator;
use crate::geometry::model_rank;
use crate::nn::Parameters;
use crate::nn::adam::{AdamConfig, AdamState, gradients, squared_norm};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::statistics::{quantile, spearman};
use crate::store::{self, WeightTensor};
use crate::tensors::{host, rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A reward config as the user wrote it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RewardConfig {
    /// Model name or path.
    pub model: String,
    /// Name of an extra reward beside the model's own: it is written to `reward-NAME/` and chosen by `--reward NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The labelled set.
    pub labels: LabelConfig,
    /// Model rank k; determined from the labels if absent.
    #[serde(default)]
    pub model_rank: Option<usize>,
    /// If present, train on noised pictures instead of latents.
    #[serde(default)]
    pub noised: Option<NoisedConfig>,
    /// The fit.
    pub fit: FitConfig,
}

/// The `[fit]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FitConfig {
    /// Width of the residual blocks.
    pub width: usize,
    /// Number of residual blocks.
    pub blocks: usize,
    /// Passes over the training split.
    pub epochs: u32,
    /// Latents or pictures per step.
    pub batch: usize,
    /// Peak step size; falls to 0 along a cosine.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// Seed of the initial weights and of the order of the labels.
    #[serde(default)]
    pub seed: u64,
}

/// What to train, and where.
pub struct TrainReward<'a> {
    /// The config.
    pub config: &'a RewardConfig,
    /// What messages call the config.
    pub place: &'a str,
    /// The model's folder.
    pub model: &'a Path,
    /// What was measured for every label, in index order; see [`Labels`].
    pub readings: Vec<Vec<f64>>,
    /// Shares of the training split to fit for the learning curve; empty for no curve.
    pub curve: &'a [f64],
}

/// A fitted network, with its loss on the validation split.
struct Fit {
    parameters: Parameters,
    validation_nll: f64,
}

/// The data of a fit: the inputs (latents or pictures, `d` values each, row-major) and the level of each.
struct Table {
    d: usize,
    inputs: Vec<f32>,
    targets: Vec<f32>,
}

/// What a reward learns: the value of the quantity for every label that has one.
struct Target {
    /// k of ψ_k; 0 for a quantity without a spectrum.
    model_rank: usize,
    /// (index of the label, value).
    values: Vec<(usize, f64)>,
    calibration: Calibration,
}

/// The parts of the labelled set; see [`Split`].
struct Splits {
    training: Table,
    validation: Table,
    test: Table,
}

/// The layers of a reward and what they are fed.
struct Architecture {
    layers: Vec<toml::Table>,
    /// The noise it is trained under.
    noised: Option<NoisedConfig>,
    /// Shape of one input.
    shape: Vec<usize>,
}

/// Trains the reward of a model from measured labels and writes it to `model/reward/`, or `model/reward-NAME/`.
///
/// # Errors
/// [`Error::Config`] for the config; [`Error::Input`] for the model, or when the quantity is undefined or constant for
/// it; [`Error::Interrupted`].
pub fn train_reward(job: TrainReward, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<Report> {
    let config = job.config;
    check_config(config, job.place)?;
    let generator = generator::load(job.model, device)?;
    let spec = generator.spec();
    let row = quantity(&config.labels.quantity, &config.labels.estimator)?.row();
    let labels = Labels::new(row, config.labels.seed, job.readings, spec.latent_width);
    let target = Target::of(&labels, row, config, job.model)?;
    let Architecture { layers, noised, shape } = Architecture::of(config, &*generator)?;
    let network = Predictor::build(&layers, noised.as_ref(), &shape).map_err(|e| Error::Bug(e.to_string()))?;
    let norm_range = norm_range(&labels);
    let mut report = Report::new(&spec.id, row, target.model_rank, &target.calibration, labels.spectra());
    let inputs = match noised {
        None => labels.latents.into_values(),
        Some(_) => pictures(labels.latents.values(), &*generator, progress, cancel)?,
    };
    let splits = Splits::of(&inputs, network.width(), &target);
    let fit = |on: &Table| fit(&network, on, &splits.validation, &config.fit, device, progress, cancel);
    for share in job.curve {
        let part = splits.training.share(*share, config.fit.batch);
        let (mean, _) = predict(&network, &fit(&part)?.parameters, &splits.test, None, device)?;
        report.add_curve_point(part.targets.len(), &mean, &splits.test.targets);
    }
    let fit = fit(&splits.training)?;
    let noised =
        noised.map(|config| with_levels(config, &network, &fit.parameters, &splits.test, device)).transpose()?;
    report.levels = noised.as_ref().map(|n| n.levels.clone()).unwrap_or_default();
    let (mean, log_var) = predict(&network, &fit.parameters, &splits.test, None, device)?;
    report.test(&mean, &log_var, &splits.test.targets, fit.validation_nll);
    let mut stds: Vec<f64> = log_var.iter().map(|v| (0.5 * f64::from(*v)).exp()).collect();
    stds.sort_by(f64::total_cmp);
    let card = RewardCard {
        format: CARD_FORMAT,
        model: spec.id.clone(),
        model_sha256: generator.model_sha256().to_owned(),
        sha256: String::new(),
        calibration_sha256: String::new(),
        target: super::network::target(row),
        quantity: config.labels.quantity.clone(),
        estimator: config.labels.estimator.clone(),
        model_rank: target.model_rank,
        labels: target.values.len(),
        norm_range,
        std_limit: quantile(&stds, 0.999).unwrap_or(f64::MAX),
        noised,
        layers,
    };
    let folder = reward_folder(job.model, config.name.as_deref());
    write(&folder, row.symbol, card, &network, &fit.parameters, &target.calibration, &report)?;
    Ok(report)
}

impl Target {
    /// The values of the quantity `row`, with their calibration table.
    fn of(labels: &Labels, row: &QuantityRow, config: &RewardConfig, model: &Path) -> Result<Self> {
        let model_rank = match row.of_spectrum {
            true => config.model_rank.unwrap_or_else(|| model_rank(labels.spectra())),
            false => 0,
        };
        let (rank, remedy) = match row.of_spectrum {
            true => (format!(" at model rank {model_rank}"), "lower model_rank or raise"),
            false => (String::new(), "raise"),
        };
        let (symbol, count, least) = (row.symbol, config.labels.count, crate::limits::CALIBRATION_MIN);
        let values = labels.values(model_rank);
        if values.len() < least {
            let found = values.len();
            let message = format!(
                "{symbol}{rank} is defined for {found} of {count} latents, at least {least} are needed; {remedy} labels.count"
            );
            return Err(Error::input(model, message));
        }
        // Singular values come from a Jacobian in f32, so a spread of a few eps per direction is only rounding.
        let rounding = 64.0 * f64::from(f32::EPSILON) * model_rank.max(1) as f64;
        let calibration = Calibration::new(values.iter().map(|v| v.1).collect()).filter(|c| c.std() > rounding);
        let constant =
            || format!("{symbol}{rank} is undefined or constant over {count} latents: there is nothing to learn");
        let calibration = calibration.ok_or_else(|| Error::input(model, constant()))?;
        Ok(Self { model_rank, values, calibration })
    }
}

impl Splits {
    /// Splits the labels that have a value; `inputs` holds `width` values per label, row-major.
    fn of(inputs: &[f32], width: usize, target: &Target) -> Self {
        let table = |which: Split| {
            let mut table = Table { d: width, inputs: Vec::new(), targets: Vec::new() };
            for (i, value) in target.values.iter().filter(|(i, _)| Split::of(*i) == which) {
                table.inputs.extend_from_slice(&inputs[i * width..(i + 1) * width]);
                table.targets.push(target.calibration.level_of(*value).0 as f32);
            }
            table
        };
        Self { training: table(Split::Train), validation: table(Split::Validation), test: table(Split::Test) }
    }
}

impl Table {
    /// The first rows: a `share` of all of them, but at least `least` if there are that many.
    fn share(&self, share: f64, least: usize) -> Self {
        let all = self.targets.len();
        let n = ((all as f64 * share) as usize).max(least.min(all));
        Self { d: self.d, inputs: self.inputs[..n * self.d].to_vec(), targets: self.targets[..n].to_vec() }
    }
}

/// Checks a reward config; `place` names it in messages.
///
/// # Errors
/// [`Error::Config`] naming the key.
pub fn check_config(config: &RewardConfig, place: &str) -> Result<()> {
    if let Some(name) = &config.name {
        store::check_id(name).map_err(|m| Error::config(format!("{place}: name"), m))?;
    }
    labels::check(&config.labels, place)?;
    let quantity = quantity(&config.labels.quantity, &config.labels.estimator)?;
    if config.model_rank.is_some() && !quantity.row().of_spectrum {
        let message = format!("\"{}\" has no spectrum and so no rank; leave it out", quantity.row().name);
        return Err(Error::config(format!("{place}: model_rank"), message));
    }
    if let Some(noised) = &config.noised {
        noised.check().map_err(|e| e.at(&format!("{place}: noised.")))?;
    }
    let fit = &config.fit;
    let bad = |key: &str, message: String| Err(Error::config(format!("{place}: fit.{key}"), message));
    if !(8..=4096).contains(&fit.width) {
        return bad("width", format!("expected 8 to 4096, found {}", fit.width));
    }
    if fit.blocks > 32 {
        return bad("blocks", format!("expected 0 to 32, found {}", fit.blocks));
    }
    if !(1..=10_000).contains(&fit.epochs) {
        return bad("epochs", format!("expected 1 to 10000, found {}", fit.epochs));
    }
    if !(8..=65_536).contains(&fit.batch) {
        return bad("batch", format!("expected 8 to 65536, found {}", fit.batch));
    }
    if !(fit.learning_rate > 0.0 && fit.learning_rate < 1.0) {
        return bad("learning_rate", format!("expected a number between 0 and 1, found {}", fit.learning_rate));
    }
    if !(0.0..=10.0).contains(&fit.weight_decay) {
        return bad("weight_decay", format!("expected 0 to 10, found {}", fit.weight_decay));
    }
    Ok(())
}

impl Architecture {
    /// The architecture that suits a config: layers on latents, or on noised pictures.
    fn of(config: &RewardConfig, generator: &dyn generator::Generator) -> Result<Self> {
        let spec = generator.spec();
        Ok(match &config.noised {
            None => Self { layers: layers(&config.fit), noised: None, shape: vec![spec.latent_width] },
            Some(noised) => {
                let (layers, embed) = picture_layers(spec.state_shape, config.fit.width)?;
                let noised = Some(NoisedConfig { embed, ..noised.clone() });
                Self { layers, noised, shape: spec.state_shape.to_vec() }
            }
        })
    }
}

/// The pictures `[n, sample width]` of latents `[n, d]`, both row-major, in generator calls of a fixed number of rows.
fn pictures(
    latents: &[f32],
    generator: &dyn generator::Generator,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<Vec<f32>> {
    const CALL: usize = 16;
    let d = generator.spec().latent_width;
    let bar = progress.start(format!("pictures of {}", generator.spec().id), (latents.len() / d) as u64);
    let mut all = Vec::new();
    for call in latents.chunks(CALL * d) {
        cancel.check(|| "the labels are kept".into())?;
        let mut filled = call.to_vec();
        filled.resize(CALL * d, 0.0);
        let made = host(generator.states(rows(filled, d, generator.device())))?;
        all.extend_from_slice(&made[..made.len() / CALL * (call.len() / d)]);
        bar.advance((call.len() / d) as u64);
    }
    bar.finish();
    Ok(all)
}

/// Fills in `levels`: Spearman correlations on noised test pictures at ten noise levels (theory, 13), 0 if undefined.
fn with_levels(
    config: NoisedConfig,
    network: &Predictor,
    parameters: &Parameters,
    test: &Table,
    device: &Device,
) -> Result<NoisedConfig> {
    let truth: Vec<f64> = test.targets.iter().map(|v| f64::from(*v)).collect();
    let at = |(i, sigma): (usize, f64)| {
        let noise = noise::normals(0, i as u64, Stream::Probe, 4, test.inputs.len());
        let inputs = test.inputs.iter().zip(noise).map(|(x, e)| x + sigma as f32 * e).collect();
        let noised = Table { d: test.d, inputs, targets: Vec::new() };
        let (mean, _) = predict(network, parameters, &noised, Some(sigma), device)?;
        let mean: Vec<f64> = mean.iter().map(|v| f64::from(*v)).collect();
        Ok([sigma, spearman(&mean, &truth).unwrap_or(0.0)])
    };
    let levels = config.deciles().into_iter().enumerate().map(at).collect::<Result<_>>()?;
    Ok(NoisedConfig { levels, ..config })
}

/// The network on latents: linear → blocks of (silu, linear, silu, linear) with skips → silu → linear to two values.
fn layers(fit: &FitConfig) -> Vec<toml::Table> {
    let linear = |key: String, out: usize| {
        toml::Table::from_iter([
            ("kind".into(), "linear".into()),
            ("key".into(), key.into()),
            ("out".into(), toml::Value::Integer(out as i64)),
        ])
    };
    let silu = || toml::Table::from_iter([("kind".to_owned(), "silu".into())]);
    let mut layers = vec![linear("in".into(), fit.width)];
    for b in 0..fit.blocks {
        let body = [silu(), linear(format!("block{b}.a"), fit.width), silu(), linear(format!("block{b}.b"), fit.width)];
        let body = body.into_iter().map(toml::Value::Table).collect();
        layers.push(toml::Table::from_iter([
            ("kind".to_owned(), "residual".into()),
            ("body".to_owned(), toml::Value::Array(body)),
        ]));
    }
    layers.extend([silu(), linear("out".into(), 2)]);
    layers
}

/// Minimises the Gaussian negative log-likelihood ½(s + (y − m)²·exp(−s)), where s is the predicted log-variance.
/// Returns the running average of the weights, from the epoch where it did best on the validation split.
fn fit(
    network: &Predictor,
    training: &Table,
    validation: &Table,
    config: &FitConfig,
    device: &Device,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<Fit> {
    let n = training.targets.len();
    let steps_per_epoch = n.div_ceil(config.batch);
    let total = steps_per_epoch as u64 * u64::from(config.epochs);
    let start = network.parameters().into_iter().map(|s| (s.key.clone(), s.start(config.seed, None)));
    let mut parameters = Parameters::from_values(start, device);
    let mut average = parameters.clone();
    let mut adam = AdamState::default();
    let optimiser = AdamConfig { weight_decay: config.weight_decay, ..AdamConfig::default() };
    let bar = progress.start(format!("fitting {n} labels"), total);
    let mut best: Option<Fit> = None;
    let mut step = 0u64;
    for epoch in 0..config.epochs {
        cancel.check(|| "the labels are kept".into())?;
        let order = noise::permutation(config.seed, Stream::Shuffle, epoch, n);
        for picked in order.chunks(config.batch) {
            let (x, y, sigmas) = batch(training, picked, network.noised(), config.seed, step, device);
            let tracked = parameters.tracked(|_| true);
            let out = network.forward(&tracked, x, &sigmas)?;
            let mean = out.clone().narrow(1, 0, 1);
            let log_var = out.narrow(1, 1, 1).clamp(-10.0, 5.0);
            let error = y - mean;
            let loss = (log_var.clone() + error.clone() * error * log_var.neg().exp()).mean() * 0.5;
            let grads = gradients(&tracked, loss.backward());
            let warm = ((step + 1) as f64 / 200.0).min(1.0);
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / total as f64).cos());
            let finite = squared_norm(&grads).and_then(|g| g.try_into_scalar::<f32>().ok()).is_some_and(f32::is_finite);
            if finite {
                optimiser.step(config.learning_rate * warm * cosine, &mut parameters, &mut adam, grads);
            }
            let decay = 0.99f64.min((1.0 + step as f64) / (10.0 + step as f64));
            for name in parameters.iter().map(|(k, _)| k.to_owned()).collect::<Vec<_>>() {
                average.set(&name, average.get(&name) * decay + parameters.get(&name) * (1.0 - decay));
            }
            step += 1;
        }
        bar.advance(steps_per_epoch as u64);
        let (mean, log_var) = predict(network, &average, validation, None, device)?;
        let nll = mean
            .iter()
            .zip(&log_var)
            .zip(&validation.targets)
            .map(|((m, s), y)| 0.5 * f64::from(s + (y - m) * (y - m) * (-s).exp()))
            .sum::<f64>()
            / mean.len() as f64;
        if nll.is_finite() && best.as_ref().is_none_or(|b| nll < b.validation_nll) {
            best = Some(Fit { parameters: average.clone(), validation_nll: nll });
        }
    }
    bar.finish();
    best.ok_or_else(|| Error::Stopped("the reward's loss was never finite; lower fit.learning_rate".into()))
}

/// One training batch: inputs `[n, d]`, targets `[n, 1]` and, where the network sees noise, the noise level of each
/// row. A share `clean` of the rows gets the least level; the others are spread evenly in ln σ.
fn batch(
    table: &Table,
    picked: &[usize],
    noised: Option<&NoisedConfig>,
    seed: u64,
    step: u64,
    device: &Device,
) -> (crate::nn::Rows, crate::nn::Rows, Vec<f64>) {
    let mut x: Vec<f32> = picked.iter().flat_map(|i| &table.inputs[i * table.d..(i + 1) * table.d]).copied().collect();
    let y: Vec<f32> = picked.iter().map(|i| table.targets[*i]).collect();
    let mut sigmas = Vec::new();
    if let Some(config) = noised {
        let [low, high] = config.sigma;
        let draws = noise::uniforms(seed, step, Stream::Training, 40, 2 * picked.len());
        let level = |u: &[f32]| match f64::from(u[0]) < config.clean {
            true => low,
            false => (low.ln() + (high / low).ln() * f64::from(u[1])).exp(),
        };
        sigmas = draws.chunks_exact(2).map(level).collect();
        let noise = noise::normals(seed, step, Stream::Training, 41, x.len());
        x.iter_mut().zip(noise).enumerate().for_each(|(i, (x, e))| *x += sigmas[i / table.d] as f32 * e);
    }
    (rows(x, table.d, device), rows(y, 1, device), sigmas)
}

/// Means and log-variances of the level for every row of `table`. A network that sees noise is told the level `sigma`,
/// or its least one if that is `None`.
fn predict(
    network: &Predictor,
    parameters: &Parameters,
    table: &Table,
    sigma: Option<f64>,
    device: &Device,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let sigma = sigma.or(network.noised().map(|n| n.sigma[0])).unwrap_or(1.0);
    let mut out = Vec::new();
    for x in table.inputs.chunks(1024 * table.d) {
        let sigmas = vec![sigma; x.len() / table.d];
        out.extend(host(network.forward(parameters, rows(x.to_vec(), table.d, device), &sigmas)?)?);
    }
    Ok(out.chunks_exact(2).map(|v| (v[0], v[1].clamp(-10.0, 5.0))).unzip())
}

fn norm_range(labels: &Labels) -> [f64; 2] {
    let norms = labels.latents.rows().map(|z| z.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt());
    norms.fold([f64::MAX, 0.0], |[low, high], n| [low.min(n), high.max(n)])
}

fn write(
    folder: &Path,
    symbol: &str,
    mut card: RewardCard,
    network: &Predictor,
    parameters: &Parameters,
    calibration: &Calibration,
    report: &Report,
) -> Result<()> {
    let mut tensors = BTreeMap::new();
    for spec in network.parameters() {
        tensors.insert(spec.key.clone(), WeightTensor { shape: spec.shape, values: host(parameters.get(&spec.key))? });
    }
    let weights = store::write_safetensors(&tensors)?;
    let sorted: Vec<f32> = calibration.sorted().iter().map(|v| *v as f32).collect();
    let table = WeightTensor { shape: vec![sorted.len()], values: sorted };
    let table = store::write_safetensors(&BTreeMap::from([(symbol.to_owned(), table)]))?;
    card.sha256 = store::sha256_hex(&weights);
    card.calibration_sha256 = store::sha256_hex(&table);
    let text = toml::to_string(&card).map_err(|e| Error::Bug(format!("reward card: {e}")))?;
    let page = report_html(report)?;
    store::replace_folder(
        folder,
        &[
            ("reward.safetensors", &weights),
            ("calibration.safetensors", &table),
            ("report.json", report.json().as_bytes()),
            ("report.html", page.as_bytes()),
            ("card.toml", text.as_bytes()),
        ],
    )
}
