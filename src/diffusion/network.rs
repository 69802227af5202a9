//! A denoiser from a card: a network, its embedding of σ and class, and a parametrisation.

use super::predictions::{Prediction, prediction};
use super::{Classes, Denoiser, SamplerConfig, State};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::host::{HostChain, HostParameters};
use crate::nn::{Network, ParameterSpec, Parameters, Pass, Rows};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// `[denoiser]` of a card.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserConfig {
    /// What the network predicts: one of [`super::predictions::PREDICTIONS`].
    pub prediction: String,
    /// Classes the model knows; 0 = none. The embedding is shown a one-hot row behind the noise level, zeros for none.
    #[serde(default)]
    pub classes: usize,
    /// Whether x₀ estimates are held within `sample.range`.
    #[serde(default)]
    pub clip: bool,
    /// Keys of the prediction.
    #[serde(default)]
    pub settings: toml::Table,
    /// How pictures are made unless told otherwise.
    #[serde(default)]
    pub sampler: SamplerConfig,
    /// The embedding: `[time, one-hot class …]` → the condition that `modulate` layers read.
    pub embed: Vec<toml::Table>,
}

/// The networks of a denoiser without weights.
pub struct Parts {
    /// x → prediction, under a condition.
    pub network: Network,
    /// Noise level and class → condition.
    pub embed: Network,
    /// The parametrisation.
    pub prediction: Box<dyn Prediction>,
}

impl DenoiserConfig {
    /// Builds the parts around the network `layers` on samples of `shape`; an error is (key, message).
    ///
    /// # Errors
    /// Where a key is wrong, the network changes the shape, or its condition is not what the embedding gives.
    pub fn parts(&self, layers: Vec<toml::Table>, shape: &[usize]) -> Result<Parts, (String, String)> {
        let network = Network::build(layers, shape).map_err(|e| (e.key, e.message))?;
        if network.output_shape() != shape {
            let message = format!("a denoiser keeps the shape {shape:?}, found {:?}", network.output_shape());
            return Err(("layers".into(), message));
        }
        if self.classes > 10_000 {
            return Err(("denoiser.classes".into(), format!("expected 0 to 10000, found {}", self.classes)));
        }
        let embed = Network::build(self.embed.clone(), &[1 + self.classes])
            .map_err(|e| (format!("denoiser.{}", e.key.replacen("layers", "embed", 1)), e.message))?;
        let given: usize = embed.output_shape().iter().product();
        match network.condition_width() {
            Ok(Some(width)) if width == given => {}
            Ok(None) => return Err(("layers".into(), "no modulate layer: the network would not see σ".into())),
            Ok(Some(width)) | Err((width, _)) => {
                let message = format!("ends in {given} values, but the network's modulate layers read {width}");
                return Err(("denoiser.embed".into(), message));
            }
        }
        let prediction =
            prediction(&self.prediction, self.settings.clone()).map_err(|(k, m)| (format!("denoiser.{k}"), m))?;
        self.sampler.check(prediction.range()).map_err(|(k, m)| (format!("denoiser.sampler.{k}"), m))?;
        Ok(Parts { network, embed, prediction })
    }
}

impl Parts {
    /// Every tensor that the two networks read.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        self.network.parameters().into_iter().chain(self.embed.parameters()).collect()
    }
}

/// Whether a model of `known` classes has this one.
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

/// Whether a model that knows noise levels from `known[0]` to `known[1]` has those from `low` to `high`. The ends of its table
/// are rounded where people type them.
///
/// # Errors
/// What is known, and `found`, for a message.
pub fn check_levels(known: [f64; 2], [low, high]: [f64; 2], found: impl std::fmt::Display) -> Result<(), String> {
    if low >= known[0] * 0.999 && high <= known[1] * 1.001 {
        return Ok(());
    }
    Err(format!("the model knows noise levels from {:.6} to {:.4}, found {found}", known[0], known[1]))
}

/// The embedding's input: a noise level, and a one-hot class or zeros, for each row; `[n, 1 + classes]`.
///
/// # Errors
/// [`Error::Config`] for a class that the model does not know, or a count that is not the rows'.
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

/// A loaded denoiser, frozen.
pub struct NetworkDenoiser {
    parts: Parts,
    parameters: Parameters,
    classes: usize,
    clip: Option<[f32; 2]>,
    device: Device,
}

impl NetworkDenoiser {
    /// A denoiser from its parts and weights on `device`; x₀ is held within `clip`, where given.
    pub fn new(parts: Parts, parameters: Parameters, classes: usize, clip: Option<[f32; 2]>, device: &Device) -> Self {
        Self { parts, parameters, classes, clip, device: device.clone() }
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Classes it knows.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Least and greatest σ it knows.
    pub fn range(&self) -> [f64; 2] {
        self.parts.prediction.range()
    }

    /// The networks.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What x₀ is held within, where it is.
    pub fn clip(&self) -> Option<[f32; 2]> {
        self.clip
    }

    /// The weights on the host, where the processor computes.
    pub fn host_parameters(&self) -> Option<HostParameters> {
        HostParameters::read(&self.parameters).ok().filter(|_| crate::device::is_host(&self.device))
    }

    /// The bare prediction at `time` for one class on host memory; `None` where a layer has no host rule.
    ///
    /// # Errors
    /// As [`Denoiser::denoise`].
    pub fn host(&self, parameters: &HostParameters, time: f64, class: Option<usize>) -> Result<Option<HostChain>> {
        let condition = self.pass(1, time, class.map(|c| [c]).as_ref().map(<[usize; 1]>::as_slice))?.condition();
        let network = &self.parts.network;
        Ok(network.host(&parameters.under(crate::tensors::host(condition)?), network.layers().len()))
    }

    fn pass(&self, rows: usize, time: f64, classes: Classes) -> Result<Pass<'_>> {
        let input = condition_rows(&vec![time; rows], classes, self.classes, &self.device)?;
        let condition = self.parts.embed.forward(input, &Pass::frozen(&self.parameters));
        Ok(Pass::frozen(&self.parameters).under(condition))
    }

    /// The network's own output at an input in its own coordinates, and the pre-activations of its nonlinear layers.
    ///
    /// # Errors
    /// As [`Denoiser::denoise`].
    pub fn taps(&self, x: Rows, sigma: f64, classes: Classes) -> Result<Vec<Rows>> {
        let c = self.parts.prediction.at(sigma);
        let pass = self.pass(x.dims()[0], c.time, classes)?;
        Ok(self.parts.network.tap(x * c.input, &pass).1)
    }

    /// The bare prediction F(input, time), with its tangents.
    ///
    /// # Errors
    /// As [`Denoiser::denoise`].
    pub fn predict(&self, input: &State, time: f64, classes: Classes) -> Result<State> {
        let pass = self.pass(input.value.dims()[0], time, classes)?;
        let network = &self.parts.network;
        Ok(match input.tangents.clone() {
            None => State::plain(network.forward(input.value.clone(), &pass)),
            Some(t) => {
                let (value, t) = network.tangent(input.value.clone(), t, &pass, network.layers().len());
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
