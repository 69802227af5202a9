//! A denoiser from a card:
//!
//! ```text
//! (time(σ), one-hot class) ──embed──→ condition
//! input(σ)·x ──network, under the condition──→ F,   D(x; σ) = skip(σ)·x + output(σ)·F
//! ```
//!
//! The coefficients are those of the [`Prediction`], that is, of what the network was trained to predict.

use super::predictions::{Prediction, prediction};
use super::{Classes, Denoiser, SamplerConfig, State};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::host::HostGraph;
use crate::nn::{HostParameters, Network, ParameterSpec, Parameters, Pass, Rows};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The `[denoiser]` table of a card.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserConfig {
    /// What the network predicts: a name in [`super::predictions::PREDICTIONS`].
    pub prediction: String,
    /// Number of classes the model was trained with, 0 for none. The embedding is given the class one-hot after the
    /// time, or zeros for no class.
    #[serde(default)]
    pub classes: usize,
    /// How many numbers the model is given beside the class, such as the energy of an incident particle. The embedding reads
    /// them last, and no sample is made without them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given: usize,
    /// Whether D(x; σ) is clipped to `sample.range`.
    #[serde(default)]
    pub clip: bool,
    /// Whether the network was distilled: then D(x; σ) is the end of a teacher's path through x and no mean of what x may
    /// have been, so there is neither a likelihood nor a FLIPD of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub distilled: bool,
    /// The prediction's own keys.
    #[serde(default)]
    pub settings: toml::Table,
    /// How pictures are made unless the user says otherwise.
    #[serde(default)]
    pub sampler: SamplerConfig,
    /// The layers of the embedding, `[1 + classes + given] → [width of the condition]`. The condition is what the network's
    /// `modulate` layers read.
    pub embed: Vec<toml::Table>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// A denoiser without its weights.
pub struct Parts {
    /// The network F, which keeps the shape of a sample and reads a condition.
    pub network: Network,
    /// The embedding of time and class.
    pub embed: Network,
    /// The parametrisation, which turns F into D.
    pub prediction: Box<dyn Prediction>,
}

impl DenoiserConfig {
    /// Builds the parts around the network of `layers`, for samples of the given `shape`, and checks that they fit
    /// together.
    ///
    /// # Errors
    /// [`Error::Key`] when a key is wrong, when the network changes the shape or reads no condition, or when the
    /// embedding does not give a condition of the width it reads.
    pub fn parts(&self, layers: Vec<toml::Table>, shape: &[usize]) -> Result<Parts> {
        let network = Network::build(layers, shape)?;
        if network.output_shape() != shape {
            let message = format!("a denoiser keeps the shape {shape:?}, found {:?}", network.output_shape());
            return Err(Error::key("layers", message));
        }
        if self.classes > 10_000 {
            return Err(Error::key("denoiser.classes", format!("expected 0 to 10000, found {}", self.classes)));
        }
        if self.given > 16 {
            return Err(Error::key("denoiser.given", format!("expected 0 to 16, found {}", self.given)));
        }
        let shown = [1 + self.classes + self.given];
        let embed = Network::build_list(self.embed.clone(), &shown, "embed").map_err(|e| e.inside("denoiser"))?;
        let given: usize = embed.output_shape().iter().product();
        match network.condition_width() {
            Ok(Some(width)) if width == given => {}
            Ok(None) => return Err(Error::key("layers", "no modulate layer, so the network would not see σ")),
            Ok(Some(width)) | Err((width, _)) => {
                let message = format!("ends in {given} values, but the network's modulate layers read {width}");
                return Err(Error::key("denoiser.embed", message));
            }
        }
        let prediction = prediction(&self.prediction, self.settings.clone()).map_err(|e| e.inside("denoiser"))?;
        self.sampler.check(prediction.range()).map_err(|e| e.inside("denoiser.sampler"))?;
        Ok(Parts { network, embed, prediction })
    }
}

impl Parts {
    /// Every tensor that the network and the embedding need, the network's first.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        self.network.parameters().into_iter().chain(self.embed.parameters()).collect()
    }

    /// How many numbers a model of so many classes is given.
    pub fn given(&self, classes: usize) -> usize {
        self.embed.input_shape().iter().product::<usize>().saturating_sub(1 + classes)
    }
}

/// Checks that a model with `known` classes has this one.
///
/// # Errors
/// [`Error::Key`] for `class`.
pub fn check_class(class: usize, known: usize) -> Result<()> {
    let message = match known {
        0 => format!("this model has no classes, found {class}"),
        _ if class >= known => format!("expected a class from 0 to {}, found {class}", known - 1),
        _ => return Ok(()),
    };
    Err(Error::key("class", message))
}

/// Checks that a model which covers noise levels from `known[0]` to `known[1]` covers those from `low` to `high`. A
/// small margin at both ends allows for rounding when people type them.
///
/// # Errors
/// What the model covers and what was `found`, as the message for the key in question.
pub fn check_levels(known: [f64; 2], [low, high]: [f64; 2], found: impl std::fmt::Display) -> Result<(), String> {
    if low >= known[0] * 0.999 && high <= known[1] * 1.001 {
        return Ok(());
    }
    let [least, greatest] = known;
    Err(format!("the model knows noise levels from {least:.6} to {greatest:.4}, found {found}"))
}

/// The input of the embedding, `[n, 1 + known]`: each row's time, then its class one-hot, or zeros. `times` are n
/// values as the network expects them; `known` is the number of classes of the model.
///
/// # Errors
/// [`Error::Key`] for a class that the model does not have; [`Error::Bug`] unless there is one class per time.
pub fn condition_rows(times: &[f64], classes: Classes, known: usize, device: &Device) -> Result<Rows> {
    let mut values = vec![0.0f32; times.len() * (1 + known)];
    for (row, time) in values.chunks_exact_mut(1 + known).zip(times) {
        row[0] = *time as f32;
    }
    if let Some(classes) = classes {
        if classes.len() != times.len() {
            return Err(Error::Bug(format!("{} classes for {} rows", classes.len(), times.len())));
        }
        for (row, class) in values.chunks_exact_mut(1 + known).zip(classes) {
            check_class(*class, known)?;
            row[1 + class] = 1.0;
        }
    }
    Ok(Tensor::from_data(TensorData::new(values, [times.len(), 1 + known]), device))
}

/// The input of the embedding with what the model is given behind it: the same row for all, or one for each.
///
/// # Errors
/// [`Error::Bug`] for another number of rows.
pub fn with_given(shown: Rows, given: &[f32], width: usize) -> Result<Rows> {
    let n = shown.dims()[0];
    if width == 0 {
        return Ok(shown);
    }
    let values = match given.len() {
        one if one == width => given.repeat(n),
        all if all == n * width => given.to_vec(),
        other => return Err(Error::Bug(format!("{other} given numbers for {n} rows of {width}"))),
    };
    let given = Tensor::from_data(TensorData::new(values, [n, width]), &shown.device());
    Ok(Tensor::cat(vec![shown, given], 1))
}

/// A denoiser with its weights on a device, frozen.
pub struct NetworkDenoiser {
    parts: Parts,
    parameters: Parameters,
    /// How many classes its embedding reads.
    known: usize,
    /// How many of them can be asked for.
    classes: usize,
    /// What the model is given: one row for all samples, or one for each.
    given: Vec<f32>,
    clip: Option<[f32; 2]>,
    device: Device,
}

impl NetworkDenoiser {
    /// Builds a denoiser from its parts and weights. The weights must be on `device` and include all of
    /// [`Parts::parameters`]. D(x; σ) is clipped to `clip` = `[low, high]`, if given.
    pub fn new(parts: Parts, parameters: Parameters, classes: usize, clip: Option<[f32; 2]>, device: &Device) -> Self {
        // Zeros until it is told.
        let given = vec![0.0; parts.given(classes)];
        Self { parts, parameters, known: classes, classes, given, clip, device: device.clone() }
    }

    /// The same denoiser, of which no class can be asked for: one that was taught without them.
    pub fn without_classes(self) -> Self {
        Self { classes: 0, ..self }
    }

    /// Tells the model what it is given: one row of [`DenoiserConfig::given`] numbers for all samples, or a row for each of the
    /// samples that it is asked about next.
    ///
    /// # Errors
    /// [`Error::Bug`] unless `given` is made of whole rows.
    pub fn give(&mut self, given: Vec<f32>) -> Result<()> {
        let width = self.parts.given(self.known);
        if (width == 0) != given.is_empty() || (width > 0 && !given.len().is_multiple_of(width)) {
            return Err(Error::Bug(format!("{} numbers for a model that is given {width}", given.len())));
        }
        self.given = given;
        Ok(())
    }

    /// The device it computes on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Number of classes that can be asked for; 0 for an unconditional model.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The least and the greatest σ it covers.
    pub fn range(&self) -> [f64; 2] {
        self.parts.prediction.range()
    }

    /// Its networks and parametrisation.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The range `[low, high]` that D(x; σ) is clipped to, if any.
    pub fn clip(&self) -> Option<[f32; 2]> {
        self.clip
    }

    /// The weights in host memory, if the processor is the device; `None` on other devices, or when they cannot be
    /// read.
    pub fn host_parameters(&self) -> Option<HostParameters> {
        HostParameters::read(&self.parameters).ok().filter(|_| crate::device::is_host(&self.device))
    }

    /// The network F at a fixed `time` and class as a chain in host memory, from its own input to its own output (see
    /// [`predict`](Self::predict)); `None` if some layer cannot be put in plain terms.
    ///
    /// # Errors
    /// As for [`Denoiser::denoise`].
    pub fn host(&self, parameters: &HostParameters, time: f64, class: Option<usize>) -> Result<Option<HostGraph>> {
        let condition = self.pass(1, time, class.map(|c| [c]).as_ref().map(<[usize; 1]>::as_slice))?.condition();
        let network = &self.parts.network;
        let parameters = parameters.under(crate::tensors::host(condition)?);
        Ok(HostGraph::of_network(network, &parameters))
    }

    /// A pass for `rows` rows at one time, under the condition that the embedding gives for it and the classes.
    fn pass(&self, rows: usize, time: f64, classes: Classes) -> Result<Pass<'_>> {
        let input = condition_rows(&vec![time; rows], classes, self.known, &self.device)?;
        let input = with_given(input, &self.given, self.parts.given(self.known))?;
        let condition = self.parts.embed.forward(input, &Pass::frozen(&self.parameters));
        Ok(Pass::frozen(&self.parameters).under(condition))
    }

    /// Pre-activations of all nonlinear layers of the network in D(x; σ), `[n, units]` each, for x `[n, D_amb]`. Those
    /// of the embedding are not included.
    ///
    /// # Errors
    /// As for [`Denoiser::denoise`].
    pub fn taps(&self, x: Rows, sigma: f64, classes: Classes) -> Result<Vec<Rows>> {
        let c = self.parts.prediction.at(sigma);
        let pass = self.pass(x.dims()[0], c.time, classes)?;
        Ok(self.parts.network.tap(x * c.input, &pass).1)
    }

    /// The network's own output F(input, time), `[n, D_amb]`; if `input` has tangents, so has the result. `input` (`[n,
    /// D_amb]`) and `time` are in the coordinates that the network was trained in, not in ours.
    ///
    /// # Errors
    /// As for [`Denoiser::denoise`].
    pub fn predict(&self, input: &State, time: f64, classes: Classes) -> Result<State> {
        let pass = self.pass(input.value.dims()[0], time, classes)?;
        let network = &self.parts.network;
        Ok(match input.tangents.clone() {
            None => State::plain(network.forward(input.value.clone(), &pass)),
            Some(t) => {
                let (value, t) = network.tangent(input.value.clone(), t, &pass);
                State { value, tangents: Some(t) }
            }
        })
    }
}

impl Denoiser for NetworkDenoiser {
    fn width(&self) -> usize {
        self.parts.network.input_shape().iter().product()
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        let c = self.parts.prediction.at(sigma);
        let predicted = self.predict(&x.clone().times(c.input), c.time, classes)?;
        let x0 = if c.skip == 0.0 { predicted.times(c.output) } else { x.clone().blend(c.skip, predicted, c.output) };
        Ok(match self.clip {
            Some(range) => x0.clipped(range),
            None => x0,
        })
    }
}
