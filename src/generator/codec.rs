//! The second stage of a model that samples codes: picture → code and code → picture.
//!
//! ```text
//! picture ──encoder──→ code ──(code − mean)/std──→ state ──── the denoiser's world
//! picture ←──decoder── code ←──mean + std·state──── state
//! ```
//!
//! Mean and standard deviation are those of each channel of the training pictures' codes, so states vary by about 1 and noise
//! levels mean the same for every model.

use super::Card;
use crate::device::{self, Device};
use crate::diffusion::State;
use crate::error::{Error, Result, shown};
use crate::host::HostGraph;
use crate::nn::{HostParameters, Network, ParameterSpec, Parameters, Pass, Rows};
use crate::tensors::rows;
use serde::{Deserialize, Serialize};

/// The `[decoder]` table of a card: code → picture, in `layers`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawDecoder {
    /// Mean of the codes, for each channel.
    pub mean: Vec<f32>,
    /// Standard deviation of the codes, for each channel.
    pub std: Vec<f32>,
    /// The layers of the network.
    pub layers: Vec<toml::Table>,
}

impl RawDecoder {
    /// Checks it against the shape of the codes; else the key and what is wrong.
    pub(super) fn check(&self, code: &[usize]) -> Result<(), (&'static str, String)> {
        let [channels, _, _] = code else {
            return Err(("latent.shape", format!("expected [channels, height, width] of codes, found {code:?}")));
        };
        for (key, values) in [("decoder.mean", &self.mean), ("decoder.std", &self.std)] {
            if values.len() != *channels {
                return Err((
                    key,
                    format!("expected a number for each of {channels} channels, found {}", values.len()),
                ));
            }
            if let Some(bad) = values.iter().find(|v| !v.is_finite() || (key == "decoder.std" && **v <= 0.0)) {
                return Err((key, format!("expected finite numbers, deviations above 0, found {bad}")));
            }
        }
        Ok(())
    }
}

/// The networks of the second stage.
pub struct CodecParts {
    encoder: Network,
    decoder: Network,
    raw: RawDecoder,
}

impl CodecParts {
    /// Those of a card with a `[decoder]`; `None` for any other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key.
    pub fn of(card: &Card) -> Result<Option<Self>> {
        let Some(raw) = &card.raw.decoder else { return Ok(None) };
        let at = |key: &str, message: String| Error::config(format!("{}: {key}", shown(&card.path)), message);
        let decoder = Network::build(raw.layers.clone(), &card.raw.latent.shape);
        let decoder = decoder.map_err(|e| card.at(e.inside("decoder")))?;
        if decoder.output_shape() != card.sample_shape {
            let message = format!(
                "the layers end in shape {:?}, expected sample.shape {:?}",
                decoder.output_shape(),
                card.sample_shape
            );
            return Err(at("decoder.layers", message));
        }
        let Some(encoder) = card.encoder()? else {
            return Err(at("encoder", "missing; a model of two stages turns pictures into codes too".to_owned()));
        };
        Ok(Some(Self { encoder, decoder, raw: raw.clone() }))
    }

    /// The tensors of the decoder; those of the encoder are counted with the card's `[encoder]`.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        self.decoder.parameters()
    }
}

/// The second stage, with its weights on a device.
pub struct Codec {
    parts: CodecParts,
    parameters: Parameters,
    /// Mean and standard deviation for each value of a code.
    mean: Vec<f32>,
    std: Vec<f32>,
    device: Device,
}

impl Codec {
    /// Joins the networks with `parameters` that are already on the device.
    pub fn new(parts: CodecParts, parameters: Parameters, device: &Device) -> Self {
        let width: usize = parts.decoder.input_shape().iter().product();
        let each = |values: &[f32]| -> Vec<f32> {
            let area = width / values.len().max(1);
            values.iter().flat_map(|v| std::iter::repeat_n(*v, area)).collect()
        };
        let (mean, std) = (each(&parts.raw.mean), each(&parts.raw.std));
        Self { parts, parameters, mean, std, device: device.clone() }
    }

    fn row(&self, values: &[f32]) -> Rows {
        rows(values.to_vec(), values.len(), &self.device)
    }

    /// The states of pictures `[n, sample width]`: their mean codes, standardised.
    pub fn encode(&self, pictures: Rows) -> Rows {
        let mean = self.parts.encoder.forward(pictures, &Pass::frozen(&self.parameters)).narrow(1, 0, self.mean.len());
        (mean - self.row(&self.mean)) / self.row(&self.std)
    }

    /// The pictures of states, with tangents where the states have any.
    pub fn decode(&self, state: State) -> State {
        let (mean, std) = (self.row(&self.mean), self.row(&self.std));
        let codes = state.value * std.clone() + mean;
        let pass = Pass::frozen(&self.parameters);
        match state.tangents {
            None => State::plain(self.parts.decoder.forward(codes, &pass)),
            Some(t) => {
                let scaled = t.scale(std.expand(codes.shape()));
                let (value, t) = self.parts.decoder.tangent(codes, scaled, &pass);
                State { value, tangents: Some(t) }
            }
        }
    }

    /// Pre-activations of the decoder's nonlinear layers at states, `[n, units]` each.
    pub fn taps(&self, states: Rows) -> Vec<Rows> {
        let codes = states * self.row(&self.std) + self.row(&self.mean);
        self.parts.decoder.tap(codes, &Pass::frozen(&self.parameters)).1
    }

    /// Code → picture on host memory, where that is possible.
    pub fn host(&self) -> Option<HostCodec> {
        let parameters = HostParameters::read(&self.parameters).ok().filter(|_| device::is_host(&self.device))?;
        let graph = HostGraph::of_network(&self.parts.decoder, &parameters)?;
        Some(HostCodec { graph, mean: self.mean.clone(), std: self.std.clone() })
    }

    /// Values of one picture that are alive at once where decoding is at its widest, and values of all its activations.
    pub fn footprint(&self) -> [usize; 2] {
        [self.parts.decoder.widest(), self.parts.decoder.activations()]
    }
}

/// State → picture on host memory.
pub struct HostCodec {
    /// Code → picture.
    pub graph: HostGraph,
    /// Mean of each value of a code.
    pub mean: Vec<f32>,
    /// Its standard deviation.
    pub std: Vec<f32>,
}

impl HostCodec {
    /// The code of a state.
    pub fn code(&self, state: &[f32]) -> Vec<f32> {
        state.iter().zip(&self.std).zip(&self.mean).map(|((v, s), m)| v * s + m).collect()
    }
}
