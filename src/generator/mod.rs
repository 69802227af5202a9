//! From a model folder to a map noise → picture that carries tangents.

mod attributes;
mod beside;
mod card;
mod classifier;
mod codec;
mod encoder;
mod find;
mod footprint;
mod host_sampler;
mod import;
mod one_shot;
mod pictures;
mod preprocess;
mod sampler;
mod shipped;
mod showers;
mod spatial;
pub mod train;
mod usual;

pub use attributes::{Attribute, OutputKind, OutputSpec, read_outputs};
pub use beside::{other_rewards, rewards};
pub use card::{CLASSIFIER, Card, FAMILIES, Output, Provenance, RawCard, finish_card};
pub use classifier::Classifier;
pub use codec::CodecParts;
pub use encoder::{ENCODER, Encoder, Seen, latent_encoder};
pub use find::{KnownModel, Place, anchored_model, cache_folder, find_model, known_models, places};
pub use footprint::{DEFAULT_MEMORY, check_memory};
pub use import::{ImportOptions, Imported, check_import_folder, import, prefix_told, put_model, read_source};
pub use one_shot::{Inspection, OneShot, build, card_parameters, card_weights, read_model};
pub use pictures::pictures;
pub use preprocess::Input;
pub use sampler::{AtSigma, BACK, Sampler, spoilt};
pub use showers::{Domain, ShowerModel, at_energy};
pub use usual::{DIFFUSION, ONE_SHOT, Usual};

use crate::host::HostGraph;
use crate::nn::{Rows, Tangents};
use std::sync::OnceLock;

/// What every user of a generator needs to know about it.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The card's id.
    pub id: String,
    /// Width d of the flattened latent.
    pub latent_width: usize,
    /// `[channels, height, width]` of a sample.
    pub sample_shape: [usize; 3],
    /// `[channels, height, width]` of what the model's sampler ends in: codes for a model of two stages, else the sample
    /// itself.
    pub state_shape: [usize; 3],
    /// The values of black and of white in the network's output.
    pub range: [f32; 2],
    /// Which map geometry is measured on.
    pub output: Output,
    /// Whether that map is continuous and piecewise linear.
    pub piecewise_linear: bool,
    /// Number of values of one sample that are alive at once where a forward pass is at its widest, for memory estimates.
    pub widest: usize,
    /// Number of values in all activations of one sample; a backward pass keeps them all.
    pub activations: usize,
    /// Defaults for models of its family.
    pub usual: &'static Usual,
    /// What its samples are.
    pub domain: Domain,
}

/// A map from latents to samples, with exact tangents. The prior of every latent is N(0, I).
///
/// Each row is one sample, and row i of any result depends only on row i of the input.
pub trait Generator: Send + Sync {
    /// Its description.
    fn spec(&self) -> &Spec;

    /// Samples `[n, channels·height·width]` of latents `[n, d]`, with values in the card's range.
    fn generate(&self, z: Rows) -> Rows;

    /// What the quantities of pictures are measured on, `[n, state width]`: the codes that a model of two stages decodes, else
    /// the samples.
    fn states(&self, z: Rows) -> Rows {
        self.generate(z)
    }

    /// The samples of states, both `[n, ·]`.
    fn pictures_of(&self, states: Rows) -> Rows {
        states
    }

    /// The states of samples, both `[n, ·]`: their codes, for a model of two stages.
    fn states_of(&self, samples: Rows) -> Rows {
        samples
    }

    /// The latents that lead to `states`, `[n, d]`, if the model can tell: a sampler runs backwards.
    ///
    /// # Errors
    /// When the device fails.
    fn latents_of(&self, _states: Rows) -> crate::error::Result<Option<Rows>> {
        Ok(None)
    }

    /// Value `[n, D]` and tangents J·v of the map that geometry is measured on ([`Spec::output`]): the picture, or what
    /// enters its saturating last activation.
    fn tangents(&self, z: Rows, directions: Tangents) -> (Rows, Tangents);

    /// Only the value `[n, D]` of that map.
    fn measured(&self, z: Rows) -> Rows {
        let zero = Rows::zeros([1, self.spec().latent_width], &z.device());
        self.tangents(z, Tangents::shared(zero)).0
    }

    /// Pre-activations of every nonlinear layer at latents `z`, one `[n, width]` per layer.
    fn taps(&self, z: Rows) -> Vec<Rows>;

    /// The map that geometry is measured on, on host memory. It exists where the model is on the processor and every
    /// layer has a host rule; otherwise this is `None`, and [`tangents`](Self::tangents) is the only way.
    fn host(&self) -> Option<&HostGraph> {
        None
    }

    /// The device it runs on.
    fn device(&self) -> &crate::device::Device;

    /// The diffusion model behind it, if it is one.
    fn as_sampler(&self) -> Option<&Sampler> {
        None
    }

    /// SHA-256 over card and weights; see [`Card::model_sha256`].
    fn model_sha256(&self) -> &str;
}

impl Spec {
    /// Values of one state.
    pub fn state_width(&self) -> usize {
        self.state_shape.iter().product()
    }
}

/// The map of a generator on host memory, built when it is first asked for.
#[derive(Default)]
struct LazyHost(OnceLock<Option<HostGraph>>);

impl LazyHost {
    fn get(&self, build: impl FnOnce() -> Option<HostGraph>) -> Option<&HostGraph> {
        self.0.get_or_init(build).as_ref()
    }
}

/// Loads the model in `folder`, of whatever family.
///
/// # Errors
/// Those of [`OneShot::load`] and [`Sampler::load`].
pub fn load(
    folder: &std::path::Path,
    device: &crate::device::Device,
) -> crate::error::Result<std::sync::Arc<dyn Generator>> {
    let card = Card::read(&folder.join("card.toml"))?;
    Ok(match card.raw.denoiser {
        Some(_) => std::sync::Arc::new(Sampler::of_card(&card, folder, device)?),
        None => std::sync::Arc::new(OneShot::of_card(&card, folder, device)?),
    })
}
