//! A generator or decoder that makes its picture in a single pass.

use super::card::RawWeights;
use super::codec::CodecParts;
use super::{Card, Generator, LazyHost, Output, Spec};
use crate::device::{self, Device};
use crate::error::{Error, Result};
use crate::host::HostGraph;
use crate::nn::{HostParameters, Mismatch, Network, ParameterSpec, Parameters, Pass, Rows, Tangents};
use crate::store::{self, Weights};
use crate::tensors::{host, rows};
use std::path::Path;

/// The most values that may be alive at once in a network whose pictures are made on host memory. A block of sixteen samples
/// takes 64 bytes for each, whatever the number of samples, so this is half a gigabyte.
const LANES: usize = 8 << 20;

/// A loaded one-shot model. It is frozen: its parameters are not tracked for gradients, and its norms use stored
/// statistics.
pub struct OneShot {
    spec: Spec,
    network: Network,
    /// The map that is measured, where it is not that to the picture: the network without its last activation.
    to_preactivation: Option<Network>,
    parameters: Parameters,
    device: Device,
    model_sha256: String,
    host: LazyHost,
    /// The map to the picture on host memory, for a model that comes as a graph. The pictures of cards with layers have always
    /// been made with tensors, and keep their bits.
    pictures: Option<LazyHost>,
}

/// What `isoline inspect` shows.
pub struct Inspection {
    /// The card.
    pub card: Card,
    /// The network built from the card.
    pub network: Network,
    /// Where the tensors that the card's layers expect and those in the file differ.
    pub mismatch: Mismatch,
    /// Whether the card's hash is that of the weights file.
    pub hash_matches: bool,
}

impl OneShot {
    /// Loads the model in `folder` onto `device`.
    ///
    /// # Errors
    /// [`Error::Config`] for the card, [`Error::Input`] for weights that are missing, damaged, of
    /// another shape, not finite, or not the ones the card was written for.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        Self::of_card(&Card::read(&folder.join("card.toml"))?, folder, device)
    }

    /// Like [`load`](Self::load), for a card that has been read already.
    pub(super) fn of_card(card: &Card, folder: &Path, device: &Device) -> Result<Self> {
        if card.raw.denoiser.is_some() {
            let place = format!("{}: denoiser", crate::error::shown(&card.path));
            return Err(Error::config(place, "a diffusion model is no one-shot generator; it has no map of one pass"));
        }
        let network = build(card)?;
        let weights = read_model(card, network.parameters(), folder)?;
        Self::assemble(card, network, &weights, device)
    }

    /// Builds a generator from a checked card and weights that fit it.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn assemble(card: &Card, network: Network, weights: &Weights, device: &Device) -> Result<Self> {
        let parameters = Parameters::upload(&network.parameters(), weights, device);
        Self::from_parts(card, network, parameters, device)
    }

    /// Builds a generator from parameters that are already on the device.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn from_parts(card: &Card, network: Network, parameters: Parameters, device: &Device) -> Result<Self> {
        let left_out = network.last_activation().filter(|_| card.raw.geometry.output == Output::Preactivation);
        let to_preactivation = left_out.map(|i| network.without(i));
        let measured = to_preactivation.as_ref().unwrap_or(&network);
        let spec = Spec {
            usual: &super::ONE_SHOT,
            domain: super::Domain::Pictures,
            id: card.raw.id.clone(),
            latent_width: card.latent_width,
            sample_shape: card.sample_shape,
            state_shape: card.sample_shape,
            range: card.raw.sample.range,
            output: card.raw.geometry.output,
            piecewise_linear: measured.is_piecewise_linear(),
            widest: network.widest(),
            activations: network.activations(),
        };
        let model_sha256 = card.model_sha256()?;
        let (device, host) = (device.clone(), LazyHost::default());
        let lanes = card.raw.graph.is_some() && network.widest() <= LANES;
        let pictures = lanes.then(LazyHost::default);
        Ok(Self { spec, network, to_preactivation, parameters, device, model_sha256, host, pictures })
    }

    /// The map that is measured.
    fn map(&self) -> &Network {
        self.to_preactivation.as_ref().unwrap_or(&self.network)
    }

    /// A network on host memory, if the device is the processor.
    fn on_host(&self, network: &Network) -> Option<HostGraph> {
        let parameters = HostParameters::read(&self.parameters).ok().filter(|_| device::is_host(&self.device))?;
        HostGraph::of_network(network, &parameters)
    }

    /// The pictures by the way through host memory, where no gradient is asked for: it tracks none.
    fn on_lanes(&self, z: &Rows) -> Option<Rows> {
        let pictures = self.pictures.as_ref().filter(|_| device::is_host(&z.device()) && !z.is_tracked())?;
        let graph = match self.to_preactivation {
            Some(_) => pictures.get(|| self.on_host(&self.network))?,
            None => self.host()?,
        };
        Some(rows(graph.values(&host(z.clone()).ok()?), graph.features(), &self.device))
    }

    /// Reads card and weights and reports what does not fit, instead of refusing to load.
    ///
    /// # Errors
    /// [`Error::Config`] for a card that cannot be built, [`Error::Input`] for an unreadable file.
    pub fn inspect(folder: &Path) -> Result<Inspection> {
        let card = Card::read(&folder.join("card.toml"))?;
        let network = build(&card)?;
        let (weights, sha256) = read_weights(&card.raw.weights, &card.path, folder)?;
        let mismatch = Mismatch::between(&card_parameters(&card)?, &weights, &card.raw.weights.ignore);
        let hash_matches = sha256 == card.raw.weights.sha256;
        Ok(Inspection { card, network, mismatch, hash_matches })
    }
}

/// The tensors that the card's layers, its embedding and its encoder need.
///
/// # Errors
/// [`Error::Config`], naming the layer's key.
pub fn card_parameters(card: &Card) -> Result<Vec<ParameterSpec>> {
    let specs = match card.raw.denoiser {
        Some(_) => card.denoiser_parts()?.parameters(),
        None => build(card)?.parameters(),
    };
    with_codec(card, specs)
}

fn with_codec(card: &Card, mut specs: Vec<ParameterSpec>) -> Result<Vec<ParameterSpec>> {
    specs.extend(CodecParts::of(card)?.iter().flat_map(CodecParts::parameters));
    specs.extend(card.encoder()?.iter().flat_map(Network::parameters));
    Ok(specs)
}

/// Reads the weights of a card's model and checks them against the card's hash, against the parameters `specs` of its
/// networks, and against its encoder and decoder.
///
/// # Errors
/// [`Error::Input`] for weights that are missing, damaged, of another shape, not finite, or not the ones the card was
/// written for.
pub fn read_model(card: &Card, specs: Vec<ParameterSpec>, folder: &Path) -> Result<Weights> {
    checked_weights(&card.raw.weights, &card.path, &with_codec(card, specs)?, folder)
}

/// Reads all weights of a card's model, encoder and decoder included, and checks them as [`read_model`] does.
///
/// # Errors
/// Those of [`read_model`], and [`Error::Config`] for the card.
pub fn card_weights(card: &Card, folder: &Path) -> Result<Weights> {
    checked_weights(&card.raw.weights, &card.path, &card_parameters(card)?, folder)
}

/// Reads the weights that the card at `path` names and checks them against its hash and the parameters `specs`.
pub(super) fn checked_weights(
    raw: &RawWeights,
    path: &Path,
    specs: &[ParameterSpec],
    folder: &Path,
) -> Result<Weights> {
    let (weights, sha256) = read_weights(raw, path, folder)?;
    if sha256 != raw.sha256 {
        let message = format!(
            "SHA-256 {sha256}, but card.toml was written for {}; the file was changed or damaged",
            shown_hash(&raw.sha256)
        );
        return Err(Error::input(weights.file(), message));
    }
    let mismatch = Mismatch::between(specs, &weights, &raw.ignore);
    if !mismatch.is_empty() {
        return Err(Error::input(weights.file(), mismatch.message()));
    }
    Ok(weights)
}

/// Builds the card's network and checks that its output has the shape of the card's sample.
///
/// # Errors
/// [`Error::Config`], naming the layer's key.
pub fn build(card: &Card) -> Result<Network> {
    let network = card.network()?;
    let (key, shape) = match card.raw.decoder {
        Some(_) => ("latent.shape", card.state_shape()),
        None => ("sample.shape", card.sample_shape),
    };
    if network.output_shape() != shape {
        let message = format!("the layers end in shape {:?}, expected {key} {shape:?}", network.output_shape());
        return Err(Error::config(format!("{}: layers", crate::error::shown(&card.path)), message));
    }
    if card.raw.denoiser.is_none() && network.condition_width() != Ok(None) {
        let place = format!("{}: layers", crate::error::shown(&card.path));
        return Err(Error::config(
            place,
            "a modulate layer reads a condition, which only a denoiser has; see [denoiser]",
        ));
    }
    Ok(network)
}

fn read_weights(raw: &RawWeights, card: &Path, folder: &Path) -> Result<(Weights, String)> {
    if raw.file.is_empty() {
        let place = format!("{}: weights.file", crate::error::shown(card));
        return Err(Error::config(place, "missing; this is a draft, complete it with isoline import"));
    }
    let path = folder.join(&raw.file);
    let bytes = store::read_bounded(&path, crate::limits::WEIGHTS_BYTES)?;
    let sha256 = store::sha256_hex(&bytes);
    Ok((Weights::parse(&path, &bytes)?, sha256))
}

fn shown_hash(hash: &str) -> String {
    if hash.is_empty() { "no hash".to_owned() } else { hash.escape_debug().to_string() }
}

impl Generator for OneShot {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn generate(&self, z: Rows) -> Rows {
        self.on_lanes(&z).unwrap_or_else(|| self.network.forward(z, &Pass::frozen(&self.parameters)))
    }

    fn tangents(&self, z: Rows, directions: Tangents) -> (Rows, Tangents) {
        self.map().tangent(z, directions, &Pass::frozen(&self.parameters))
    }

    fn measured(&self, z: Rows) -> Rows {
        self.map().forward(z, &Pass::frozen(&self.parameters))
    }

    fn taps(&self, z: Rows) -> Vec<Rows> {
        self.network.tap(z, &Pass::frozen(&self.parameters)).1
    }

    fn host(&self) -> Option<&HostGraph> {
        self.host.get(|| self.on_host(self.map()))
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn model_sha256(&self) -> &str {
        &self.model_sha256
    }
}
