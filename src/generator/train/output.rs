//! What training leaves behind: metrics, sample sheets, and the finished model folder.

use super::codes::FirstStage;
use super::noised::without_level;
use super::source::Source;
use super::{Objective, State, TrainConfig, Training};
use crate::device::Device;
use crate::diffusion::State as Moving;
use crate::error::{Error, Result};
use crate::generator::{Card, card_parameters, finish_card};
use crate::nn::{Network, ParameterSpec, Rows};
use crate::noise::{self, Stream};
use crate::render::{Picture, png};
use crate::store::{self, WeightTensor};
use crate::tensors::host;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;
use std::path::Path;

/// Side of the sample sheet, in pictures.
pub const SHEET_SIDE: usize = 8;

/// Running means of the losses over an epoch.
#[derive(Default)]
pub struct Means {
    sums: BTreeMap<&'static str, f64>,
    steps: u64,
}

impl Means {
    /// Adds the losses of a step.
    pub fn add(&mut self, losses: &[(&'static str, f64)]) {
        losses.iter().for_each(|(name, value)| *self.sums.entry(name).or_default() += value);
        self.steps += 1;
    }

    fn means(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.sums.iter().map(|(name, sum)| (*name, sum / self.steps.max(1) as f64))
    }

    /// The means as `name value, name value`.
    pub fn text(&self) -> String {
        self.means().map(|(name, mean)| format!("{name} {mean:.3}")).collect::<Vec<_>>().join(", ")
    }
}

/// What is written, and where.
pub struct Output<'a> {
    /// What it is trained on.
    pub data: &'a Source,
    /// The training job.
    pub job: &'a Training<'a>,
    /// The draft card, checked.
    pub card: &'a Card,
    /// The draft card's text as the user wrote it.
    pub draft: &'a str,
    /// The objective that is trained.
    pub objective: &'a dyn Objective,
    /// The config.
    pub config: &'a TrainConfig,
    /// The first pictures of the data, half as many as fit on a sheet.
    pub shown: Rows,
    /// The autoencoder whose codes are learned.
    pub first: Option<&'a FirstStage>,
    /// The device it runs on.
    pub device: &'a Device,
}

/// Writes a line of means for an epoch to `metrics.jsonl` in the folder `work`.
pub fn metrics(work: &Path, state: &State, epoch: u64, means: Means) -> Result<()> {
    let mut line = serde_json::Map::new();
    line.insert("epoch".into(), epoch.into());
    line.insert("step".into(), state.step.into());
    line.insert("skipped".into(), state.skipped.into());
    line.extend(means.means().map(|(name, mean)| (name.to_owned(), mean.into())));
    let path = work.join("metrics.jsonl");
    // A resumed run may repeat epochs; their lines are replaced.
    let old = if path.exists() {
        String::from_utf8_lossy(&store::read_bounded(&path, 1 << 26)?).into_owned()
    } else {
        String::new()
    };
    let mut lines: Vec<&str> = old.lines().take(epoch.saturating_sub(1) as usize).collect();
    let line = serde_json::Value::Object(line).to_string();
    lines.push(&line);
    store::write_atomic(&path, format!("{}\n", lines.join("\n")).as_bytes())
}

/// The averaged weights that `specs` name, of the `networks` that were trained, and those of a first stage, as they were, where they were not trained.
///
/// # Errors
/// [`Error::Stopped`] for one that is not finite; those of the device.
pub fn averaged(
    specs: &[ParameterSpec],
    networks: &[&Network],
    state: &State,
    first: Option<&FirstStage>,
) -> Result<BTreeMap<String, WeightTensor>> {
    let mut tensors = BTreeMap::new();
    let trained: Vec<ParameterSpec> = networks.iter().flat_map(|n| n.parameters()).collect();
    for spec in specs {
        let values = match (state.average.find(&spec.key), first.and_then(|first| first.tensor(&spec.key))) {
            (Some(average), _) => match trained.iter().find(|t| t.key == spec.key) {
                Some(trained) => without_level(host(average)?, trained, spec),
                None => host(average)?,
            },
            (None, Some(kept)) => kept.values.clone(),
            (None, None) => return Err(Error::Bug(format!("nothing has the tensor \"{}\"", spec.key))),
        };
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::Stopped(format!(
                "tensor \"{}\" is not finite after training; the model was not written",
                spec.key
            )));
        }
        tensors.insert(spec.key.clone(), WeightTensor { shape: spec.shape.clone(), values });
    }
    Ok(tensors)
}

impl Output<'_> {
    /// Called after an epoch: writes one line of `metrics.jsonl` and one sheet of samples.
    pub fn epoch(&self, state: &State, epoch: u64, means: Means) -> Result<()> {
        metrics(&self.job.work, state, epoch, means)?;
        if self.card.raw.showers.is_some() {
            // A sheet of scores would show nothing.
            return Ok(());
        }
        let sheet = self.sheet(state)?;
        let bytes = png::encode(&sheet, &png::PngText::default())?;
        store::write_atomic(&self.job.work.join(format!("samples/epoch-{epoch:04}.png")), &bytes)
    }

    /// A sheet of pictures from the averaged weights. The latents are the same every time. Where pictures are rebuilt, the
    /// first rows of the data and what became of them take turns.
    fn sheet(&self, state: &State) -> Result<Picture> {
        let [_, h, w] = self.card.sample_shape;
        let width: usize = self.card.sample_shape.iter().product();
        let values = match self.objective.rebuilt(state, self.shown.clone()) {
            Some(rebuilt) => {
                let [real, rebuilt] = [host(self.shown.clone())?, host(rebuilt)?];
                let row = SHEET_SIDE * width;
                real.chunks(row).zip(rebuilt.chunks(row)).flat_map(|(a, b)| [a, b].concat()).collect()
            }
            None => {
                let (n, d) = (SHEET_SIDE * SHEET_SIDE, self.card.latent_width);
                let z: Vec<f32> = (0..n as u64).flat_map(|i| noise::normals(0, i, Stream::Preview, 0, d)).collect();
                let z = Tensor::from_data(TensorData::new(z, [n, d]), self.device);
                let made = self.objective.pictures(&state.average, z)?;
                host(match self.first.map(|first| first.codec(self.card, self.device)).transpose()?.flatten() {
                    Some(codec) => codec.decode(Moving::plain(made)).value,
                    None => made,
                })?
            }
        };
        let mut sheet = Picture::blank(SHEET_SIDE * (h + 2), SHEET_SIDE * (w + 2), [40; 3]);
        for (i, values) in values.chunks_exact(width).enumerate() {
            if values.iter().all(|v| v.is_finite()) {
                let picture = Picture::from_values(values, self.card.sample_shape, self.card.raw.sample.range)?;
                sheet.paste(&picture.to_rgb(), (i / SHEET_SIDE) * (h + 2) + 1, (i % SHEET_SIDE) * (w + 2) + 1);
            }
        }
        Ok(sheet.enlarge(3))
    }

    /// Writes the model folder: averaged weights of the card's networks, and the completed card.
    pub fn model(&self, state: &State) -> Result<()> {
        let specs = card_parameters(self.card)?;
        // Tables of the data are not rounded: the energy of a shower is known better than f16 can say.
        let tables = self.data.tensors();
        let halved = |name: &str| self.config.half && !tables.contains_key(name);
        let mut tensors = averaged(&specs, &self.objective.networks(), state, self.first)?;
        tensors.extend(tables.clone());
        let bytes = store::write_safetensors_halved(&tensors, halved)?;
        let mut figures =
            vec![("epochs".to_owned(), f64::from(self.config.epochs)), ("steps".to_owned(), state.step as f64)];
        figures.push((
            "parameters".to_owned(),
            specs.iter().map(|s| s.shape.iter().product::<usize>()).sum::<usize>() as f64,
        ));
        let draft = match self.first {
            Some(_) => format!("{}\n{}", self.draft.trim_end(), FirstStage::tables(self.card)?),
            None => self.draft.to_owned(),
        };
        let card = finish_card(&draft, &self.card.path, &store::sha256_hex(&bytes), Some(&self.job.how), &figures)?;
        store::replace_folder(&self.job.model, &[("weights.safetensors", &bytes), ("card.toml", card.as_bytes())])
    }
}
