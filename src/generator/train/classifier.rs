//! Training a network that tells several things of a picture, from a data set with a table of attributes.
//!
//! What is minimised is the sum over the targets, each times its weight, of the mean over the batch of: the cross entropy of
//! the classes, or the squared error of a number in standard deviations. All targets share every layer but the last, which
//! is put behind the draft card's layers: one linear map to all outputs.

use super::course::Course;
use super::held_out::{HeldOut, figure};
use super::targets::{Truth, check_targets, taught};
use super::{Objective, State, StepInput, Stepped, TrainConfig, Training, finite, fold_statistics, output, trainable};
use crate::cancel::Cancel;
use crate::data::{Attributes, DataConfig, Dataset};
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::generator::{CLASSIFIER, OutputKind, OutputSpec, Provenance, finish_card, read_outputs};
use crate::nn::adam::{AdamConfig, gradients};
use crate::nn::{Network, Parameters, Pass};
use crate::noise;
use crate::progress::Progress;
use crate::store;
use crate::tensors::{host, rows};
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

/// The key of the last layer, which training adds.
const LAST: &str = "outputs";
/// Held-out pictures of one call.
const BATCH: usize = 64;

/// A classifier's card without weights and outputs.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    format: u32,
    id: String,
    family: String,
    #[serde(rename = "about")]
    _about: String,
    input: DraftInput,
    #[serde(rename = "provenance")]
    _provenance: Provenance,
    layers: Vec<toml::Table>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftInput {
    shape: [usize; 3],
    range: [f32; 2],
}

impl Draft {
    fn read(path: &Path) -> Result<(Self, String)> {
        let (draft, text): (Self, String) = store::read_toml(path)?;
        let bad = |key: &str, message: String| Error::config(format!("{}: {key}", shown(path)), message);
        if draft.format != 1 {
            return Err(bad("format", format!("expected 1, found {}", draft.format)));
        }
        if draft.family != CLASSIFIER {
            return Err(bad("family", format!("expected \"{CLASSIFIER}\", found \"{}\"", draft.family.escape_debug())));
        }
        store::check_id(&draft.id).map_err(|rule| bad("id", rule))?;
        let DraftInput { shape: [channels, height, width], range: [low, high] } = draft.input;
        let side = 1..=crate::limits::IMAGE_SIDE_OUT;
        if !(matches!(channels, 1 | 3) && side.contains(&height) && side.contains(&width)) {
            let most = side.end();
            let found = draft.input.shape;
            return Err(bad("input.shape", format!("expected [1 or 3, height, width] up to {most}, found {found:?}")));
        }
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(bad("input.range", format!("expected [low, high] with low < high, found [{low}, {high}]")));
        }
        Ok((draft, text))
    }

    /// The network of the draft's layers and of the last one.
    fn network(&self, width: usize, path: &Path) -> Result<Network> {
        let mut layers = self.layers.clone();
        let mut last = toml::Table::new();
        last.insert("kind".into(), "linear".into());
        last.insert("key".into(), LAST.into());
        last.insert("out".into(), toml::Value::Integer(width as i64));
        layers.push(last);
        let place = format!("{}: ", shown(path));
        let network = Network::build(layers, &self.input.shape).map_err(|e| e.at(&place))?;
        if network.parameters().iter().filter(|s| s.key == format!("{LAST}.weight")).count() > 1 {
            let message = format!("the key \"{LAST}\" is that of the layer that training adds; choose another");
            return Err(Error::config(format!("{place}layers"), message));
        }
        match network.condition_width() {
            Ok(None) => Ok(network),
            _ => {
                let message = "expected layers that read pictures alone, found some that read a noise level or class";
                Err(Error::config(format!("{place}layers"), message))
            }
        }
    }
}

/// Pictures and what is so of them.
struct Known {
    pictures: Dataset,
    table: Attributes,
}

impl Known {
    fn read(config: &DataConfig, key: &str, targets: &TrainConfig, job: &Training, shape: [usize; 3]) -> Result<Self> {
        let at = |e: Error| e.inside(key).at(&format!("{}: ", shown(job.config_path)));
        let wanted: BTreeSet<&str> = targets.targets.iter().map(|t| t.column.as_str()).collect();
        let table = Attributes::read(config, job.data_root, &wanted).map_err(at)?;
        let pictures = Dataset::read(config, job.data_root, shape).map_err(at)?;
        Ok(Self { pictures, table })
    }

    fn truths(&self, config: &TrainConfig, outputs: &[OutputSpec]) -> Result<Vec<Truth>> {
        config.targets.iter().zip(outputs).map(|(target, output)| target.truth(output, &self.table)).collect()
    }
}

/// The sum of the targets' losses.
struct Reading {
    network: Network,
    /// Of each output: where it starts, how many values it takes, how it is read, what its loss counts.
    parts: Vec<(usize, usize, OutputKind, f64)>,
    /// What is so, `[pictures, width]`.
    taught: Vec<f32>,
    width: usize,
    adam: AdamConfig,
    device: Device,
}

impl Objective for Reading {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.network]
    }

    fn step(&self, state: &mut State, input: &StepInput) -> Result<Stepped> {
        let trained = trainable(&self.network);
        let tracked = state.parameters.tracked(|k| trained.contains(k));
        let statistics = RefCell::new(Vec::new());
        let scores = self.network.forward(input.real.clone(), &Pass::training(&tracked, &statistics));
        let row = |i: &usize| self.taught[i * self.width..(i + 1) * self.width].iter().copied();
        let truth = rows(input.picked.iter().flat_map(row).collect(), self.width, &self.device);
        let mut sums: [Option<Tensor<1>>; 2] = [None, None];
        for (start, width, kind, weight) in &self.parts {
            let (scores, truth) = (scores.clone().narrow(1, *start, *width), truth.clone().narrow(1, *start, *width));
            let loss = match kind {
                OutputKind::Class => (log_softmax(scores, 1) * truth).sum().neg(),
                OutputKind::Number => {
                    let error = scores - truth;
                    (error.clone() * error).sum()
                }
            };
            let loss = loss * (weight / input.picked.len() as f64);
            let sum = &mut sums[usize::from(*kind == OutputKind::Number)];
            *sum = Some(sum.take().map_or(loss.clone(), |s| s + loss));
        }
        let [classes, numbers] = sums;
        let Some(classes) = classes else { return Err(Error::Bug("a classifier without classes".into())) };
        let loss = numbers.map_or(classes.clone(), |n| classes.clone() + n);
        let grads = gradients(&tracked, loss.backward());
        let Some(total) = finite(loss, &grads) else { return Ok(Stepped::Skipped) };
        self.adam.step(input.learning_rate, &mut state.parameters, state.adam.entry("all".into()).or_default(), grads);
        fold_statistics(&mut state.parameters, statistics.into_inner());
        let classes = f64::from(classes.inner().try_into_scalar::<f32>().unwrap_or(f32::NAN));
        Ok(Stepped::Losses(vec![("loss", total), ("classes", classes), ("numbers", total - classes)]))
    }
}

/// Trains from the start or from the last checkpoint, measures the network on the held-out pictures, and writes its folder.
/// `None` where the job asked to stop before the end.
///
/// # Errors
/// [`Error::Config`] for the config or card, [`Error::Input`] for data, [`Error::Stopped`] when ten steps in a row were
/// not finite, [`Error::Interrupted`] after a signal (a checkpoint is written first).
pub fn train_classifier(
    job: &Training,
    device: &Device,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<Option<HeldOut>> {
    let (config, text) = super::read_config(job.config_path)?;
    let bad = |key: &str, message: &str| Error::config(format!("{}: {key}", shown(job.config_path)), message);
    if !config.objective.is_empty() || !config.settings.is_empty() {
        return Err(bad("objective", "expected neither objective nor settings; a classifier learns its targets"));
    }
    if config.start.is_some() {
        return Err(bad("start", "expected none; a classifier's training starts from drawn weights"));
    }
    if config.autoencoder.is_some() {
        return Err(bad("autoencoder", "expected none; a classifier reads pictures as they are"));
    }
    if config.half {
        return Err(bad("half", "expected false; the weights of a classifier are kept as they are"));
    }
    check_targets(&config.targets).map_err(|(key, message)| bad(&key, &message))?;
    let Some(held_out) = &config.held_out else {
        return Err(bad("held_out", "missing; expected pictures that it is not taught with, a table like [data]"));
    };
    let path = job.config_path.with_file_name(&config.card);
    let (draft, draft_text) = Draft::read(&path)?;
    let known = Known::read(&config.data, "data", &config, job, draft.input.shape)?;
    let judged = Known::read(held_out, "held_out", &config, job, draft.input.shape)?;
    let outputs = config.targets.iter().map(|t| t.output(&known.table)).collect::<Result<Vec<_>>>()?;
    let (truths, judged_truths) = (known.truths(&config, &outputs)?, judged.truths(&config, &outputs)?);
    let width: usize = outputs.iter().map(OutputSpec::width).sum();
    let taught = taught(&outputs, &truths, known.pictures.count());
    let bytes: Vec<u8> = taught.iter().flat_map(|v| v.to_le_bytes()).collect();
    let (pictures, told) = (known.pictures.sha256(), store::sha256_hex(&bytes));
    let recipe = format!("{text}\n{draft_text}\n{} {pictures} {told} {}", noise::SCHEME, job.device_class);
    let mut parts = Vec::with_capacity(outputs.len());
    let mut start = 0;
    for (target, output) in config.targets.iter().zip(&outputs) {
        parts.push((start, output.width(), output.kind, target.weight));
        start += output.width();
    }
    let network = draft.network(width, &path)?;
    let reading = Reading { network, parts, taught, width, adam: config.adam, device: device.clone() };
    let course = Course {
        id: &draft.id,
        config: &config,
        recipe: store::sha256_hex(recipe.as_bytes()),
        start: None,
        data: &known.pictures,
        range: draft.input.range,
        objective: &reading,
        job,
        device,
    };
    let mut after = |state: &State, epoch, means| output::metrics(&job.work, state, epoch, means);
    let Some(state) = course.run(&mut after, progress, cancel)? else { return Ok(None) };
    let scores = scores(&reading.network, &state.average, &judged.pictures, draft.input.range, device)?;
    let told = read_outputs(&outputs, &scores);
    let mut found = HeldOut { pictures: judged.pictures.count(), outputs: Vec::new() };
    for (i, output) in outputs.iter().enumerate() {
        let unknown = config.targets[i].unknown(output, &judged.table)?;
        found.outputs.push(figure(output, &told[i], &judged_truths[i], &truths[i], unknown));
    }
    let specs = reading.network.parameters();
    let weights = store::write_safetensors(&output::averaged(&specs, &[], &state, None)?)?;
    let count: usize = specs.iter().map(|s| s.shape.iter().product::<usize>()).sum();
    let sizes = [
        ("epochs", i64::from(config.epochs)),
        ("steps", state.step as i64),
        ("parameters", count as i64),
        ("held_out", found.pictures as i64),
    ];
    let card = finish_card(&draft_text, &path, &store::sha256_hex(&weights), Some(&job.how), &[])?;
    let card = finished(&card, &path, &outputs, sizes, &found)?;
    store::replace_folder(&job.model, &[("weights.safetensors", &weights), ("card.toml", card.as_bytes())])?;
    Ok(Some(found))
}

/// The network's last values for every picture, `[pictures, width]`.
fn scores(
    network: &Network,
    parameters: &Parameters,
    pictures: &Dataset,
    range: [f32; 2],
    device: &Device,
) -> Result<Vec<f32>> {
    let features: usize = network.input_shape().iter().product();
    let mut all = Vec::new();
    for start in (0..pictures.count()).step_by(BATCH) {
        let picked = start..(start + BATCH).min(pictures.count());
        let values = picked.flat_map(|i| pictures.values(i, range)).collect();
        all.extend(host(network.forward(rows(values, features, device), &Pass::frozen(parameters)))?);
    }
    match all.iter().all(|v: &f32| v.is_finite()) {
        true => Ok(all),
        false => Err(Error::Stopped("the network's values are not finite after training; no model was written".into())),
    }
}

/// The card with the last layer, the outputs, and the figures on held-out pictures.
fn finished(
    card: &str,
    path: &Path,
    outputs: &[OutputSpec],
    sizes: [(&str, i64); 4],
    found: &HeldOut,
) -> Result<String> {
    let bug = |e: toml_edit::TomlError| Error::Bug(format!("card: {e}"));
    let mut doc: DocumentMut = card.parse().map_err(bug)?;
    let Some(layers) = doc.get_mut("layers").and_then(Item::as_array_of_tables_mut) else {
        return Err(Error::config(format!("{}: layers", shown(path)), "expected them as [[layers]] tables"));
    };
    let width: usize = outputs.iter().map(OutputSpec::width).sum();
    let mut last = Table::new();
    last["kind"] = value("linear");
    last["key"] = value(LAST);
    last["out"] = value(width as i64);
    layers.push(last);
    let mut tables = ArrayOfTables::new();
    for output in outputs {
        let mut table = Table::new();
        table["name"] = value(&output.name);
        match output.kind {
            OutputKind::Class => {
                table["kind"] = value("class");
                table["classes"] = value(output.classes.iter().map(String::as_str).collect::<Array>());
                table["shares"] = value(output.shares.iter().copied().collect::<Array>());
            }
            OutputKind::Number => table["kind"] = value("number"),
        }
        for (key, number) in [("mean", output.mean), ("std", output.std)] {
            if let Some(number) = number {
                table[key] = value(number);
            }
        }
        tables.push(table);
    }
    doc["outputs"] = Item::ArrayOfTables(tables);
    let mut figures = Table::new();
    for (name, size) in sizes {
        figures[name] = value(size);
    }
    for (kind, numbers) in found.by_kind() {
        let mut table = Table::new();
        for (name, number) in numbers {
            table[name] = value((number * 1e6).round() / 1e6);
        }
        figures[kind] = Item::Table(table);
    }
    doc["provenance"]["figures"] = Item::Table(figures);
    Ok(doc.to_string())
}
